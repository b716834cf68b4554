//! A scenario as people write it: `name key=value key="value with spaces"`.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Number, Value};

use super::catalog::Kind;
use super::{Bad, Scenario, find, find_kind};

/// Either form that JSON may carry.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Written {
    Text(String),
    Object(Map<String, Value>),
}

impl TryFrom<Written> for Scenario {
    type Error = Bad;

    fn try_from(written: Written) -> Result<Self, Bad> {
        match written {
            Written::Text(text) => text.parse(),
            Written::Object(map) => Self::from_map(map),
        }
    }
}

impl FromStr for Scenario {
    type Err = Bad;

    fn from_str(text: &str) -> Result<Self, Bad> {
        let text = text.trim();
        let (name, mut rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let entry = find(name)?;
        let mut map = Map::new();
        map.insert("name".to_owned(), Value::String(name.to_owned()));
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return Self::from_map(map);
            }
            let (key, after) = rest
                .split_once('=')
                .ok_or_else(|| Bad(format!("'{rest}' is not key=value")))?;
            let (value, after) = take_value(after)?;
            let kind = find_kind(entry, key)?;
            map.insert(key.to_owned(), typed(kind, key, value)?);
            rest = after;
        }
    }
}

/// A quoted value (backslash escapes a quote or a backslash), or everything up to white space.
fn take_value(text: &str) -> Result<(String, &str), Bad> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &quoted[index + 1..])),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    Err(Bad(format!("the quote of '{text}' is not closed")))
}

fn typed(kind: Kind, key: &str, value: String) -> Result<Value, Bad> {
    let bad = || Bad(format!("'{value}' is not a {kind:?} (parameter {key})"));
    match kind {
        Kind::Text => Ok(Value::String(value)),
        Kind::Flag => value.parse().map(Value::Bool).map_err(|_| bad()),
        Kind::Count => value.parse::<u64>().map(Value::from).map_err(|_| bad()),
        Kind::Number => value
            .parse::<f64>()
            .ok()
            .and_then(Number::from_f64)
            .map(Value::Number)
            .ok_or_else(bad),
    }
}

impl fmt::Display for Scenario {
    /// As it could be written in a marker.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())?;
        let Ok(Value::Object(map)) = serde_json::to_value(self) else {
            return Err(fmt::Error);
        };
        for (key, value) in map.iter().filter(|(key, value)| *key != "name" && !value.is_null()) {
            match value {
                Value::String(text) => {
                    write!(
                        formatter,
                        " {key}=\"{}\"",
                        text.replace('\\', "\\\\").replace('"', "\\\"")
                    )?;
                }
                other => write!(formatter, " {key}={other}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_displayed_parses_again() {
        for text in [
            "ok",
            "silent-in-middle after=3 ttft_ms=0",
            r#"tool-calls tool=hand_off arguments="{\"why\":\"a \\\\ b\"}""#,
            r#"not-json body="] not the end""#,
        ] {
            let scenario: Scenario = text.parse().unwrap();
            assert_eq!(scenario.to_string().parse::<Scenario>().unwrap(), scenario, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, says) in [
            ("nope", "no scenario 'nope'"),
            ("ok after=1", "no parameter 'after'"),
            ("cut after", "not key=value"),
            ("cut after=x", "not a Count"),
            ("cut how=softly", "unknown variant"),
            ("status error=tool_use_failed", "code=400"),
            ("status code=200", "400 to 599"),
            ("not-json body=\"x", "not closed"),
        ] {
            let error = text.parse::<Scenario>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}

//! What may go wrong, as data.
//!
//! A scenario is written as `name key=value …` in a marker, a header or a variable, and as `{"name": …, "key": …}` in
//! JSON. Which names and keys there are stands in [`catalog()`] and nowhere else.

pub mod catalog;
mod fault;
pub(crate) mod marker;
pub mod script;
mod written;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::Language;
use crate::settings::Pace;
use catalog::{COMMON, Entry, Kind};
pub use fault::{ErrorCode, Fault, HowBroken, HowCut, LimitKind};

/// What happens to one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "written::Written")]
pub struct Scenario {
    /// What goes wrong, if anything.
    #[serde(flatten)]
    pub fault: Fault,
    /// What every scenario understands.
    #[serde(flatten)]
    pub options: Options,
}

/// What every scenario understands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "every field is described in the catalog")]
pub struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_requests: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_requests: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_tokens: Option<String>,
}

/// Why a scenario was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Bad(pub(crate) String);

impl Scenario {
    /// The name in the catalog.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.fault.name()
    }

    /// The pace that this scenario asks for, over the one that holds otherwise.
    pub(crate) fn pace(&self, otherwise: Pace) -> Pace {
        let base = if self.fault == Fault::Slow {
            Pace {
                ttft_ms: 2000.0,
                token_ms: 100.0,
            }
        } else {
            otherwise
        };
        Pace {
            ttft_ms: self.options.ttft_ms.unwrap_or(base.ttft_ms),
            token_ms: self.options.token_ms.unwrap_or(base.token_ms),
        }
    }

    /// What a request gets that this scenario does not apply to: `ok`, at the same pace and length.
    pub(crate) fn spared(self) -> Self {
        let Options {
            ttft_ms,
            token_ms,
            tokens,
            reasoning,
            language,
            ..
        } = self.options;
        Self {
            fault: Fault::Ok,
            options: Options {
                ttft_ms,
                token_ms,
                tokens,
                reasoning,
                language,
                ..Options::default()
            },
        }
    }

    /// From JSON; unknown names and keys are refused by the catalog, so that a typing mistake is not a quiet `ok`.
    ///
    /// # Errors
    /// [`Bad`] names what is wrong.
    pub fn from_map(map: Map<String, Value>) -> Result<Self, Bad> {
        let Some(Value::String(name)) = map.get("name") else {
            return Err(Bad("a scenario has a \"name\"".to_owned()));
        };
        let entry = find(name)?;
        for key in map.keys().filter(|key| *key != "name") {
            find_kind(entry, key)?;
        }
        let value = Value::Object(map);
        let fault = Fault::deserialize(&value).map_err(|error| Bad(format!("scenario {}: {error}", entry.name)))?;
        let options = Options::deserialize(&value).map_err(|error| Bad(format!("scenario {}: {error}", entry.name)))?;
        fault.check()?;
        Ok(Self { fault, options })
    }
}

fn find(name: &str) -> Result<&'static Entry, Bad> {
    catalog()
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| Bad(format!("there is no scenario '{name}'; GET /_sim/scenarios lists them")))
}

fn find_kind(entry: &Entry, key: &str) -> Result<Kind, Bad> {
    entry
        .parameters
        .iter()
        .chain(COMMON)
        .find(|parameter| parameter.name == key)
        .map(|parameter| parameter.kind)
        .ok_or_else(|| Bad(format!("scenario {} has no parameter '{key}'", entry.name)))
}

/// Every scenario that there is.
#[must_use]
pub fn catalog() -> &'static [Entry] {
    catalog::SCENARIOS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_parses_by_name_and_states_its_defaults_truly() {
        for entry in catalog() {
            let scenario: Scenario = entry.name.parse().unwrap();
            assert_eq!(scenario.name(), entry.name);
            let json = serde_json::to_value(&scenario).unwrap();
            assert_eq!(json["name"], entry.name);
            for parameter in entry.parameters {
                let stated = match &json[parameter.name] {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                };
                assert_eq!(stated, parameter.default, "{} {}", entry.name, parameter.name);
            }
            let fields = json.as_object().unwrap().len() - 1;
            assert_eq!(
                fields,
                entry.parameters.len(),
                "{} has a field that the catalog leaves out",
                entry.name
            );
        }
    }

    #[test]
    fn the_common_options_are_those_of_the_catalog() {
        let all = r#"ok ttft_ms=1 token_ms=2.5 tokens=3 reasoning=4 first=5 model=m tier=flex language=de
            remaining_requests=6 reset_requests=7s remaining_tokens=8 reset_tokens="9s""#;
        let json = serde_json::to_value(all.parse::<Scenario>().unwrap()).unwrap();
        let mut keys: Vec<_> = json
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .filter(|key| *key != "name")
            .collect();
        let mut stated: Vec<_> = COMMON.iter().map(|parameter| parameter.name).collect();
        keys.sort_unstable();
        stated.sort_unstable();
        assert_eq!(keys, stated);
    }

    #[test]
    fn json_goes_round() {
        for text in [
            "tool-calls tool=hand_off arguments=\"{\\\"why\\\": 1}\"",
            "rate-limit kind=rpd wait=1.5",
            "cut how=close",
        ] {
            let scenario: Scenario = text.parse().unwrap();
            let json = serde_json::to_string(&scenario).unwrap();
            assert_eq!(serde_json::from_str::<Scenario>(&json).unwrap(), scenario, "{json}");
        }
    }
}

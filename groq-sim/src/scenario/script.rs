//! Scripts: replies written as data, for what the catalog does not have.
//!
//! A script is JSON: `{"steps": [{"head": {"status": 200}}, {"text": "Hello"}, {"pause_ms": 50}, "hang"]}`. It comes
//! from a file or over the control endpoints, and is played by the scenario `script of=<name>`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Bad, HowCut};

/// The name of the script that is always there.
pub const EXAMPLE: &str = "example";

/// A reply, step by step. The body ends after the last step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// What happens next. Steps that need no value are written as a string: `"hang"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Status and headers. Only pauses may stand before it; without it the status is 200 at once.
    Head(Head),
    /// Milliseconds in which nothing happens.
    PauseMs(f64),
    /// The first chunk of a stream: the role and an empty text.
    Role,
    /// A chunk with visible text; it is counted in tokens.
    Text(String),
    /// A chunk with reasoning; it is counted in tokens.
    Reasoning(String),
    /// A chunk with a whole tool call; name and arguments are counted in tokens.
    ToolCall(Call),
    /// The last chunk of an answer, with usage at both places; the value is the finish reason.
    Finish(String),
    /// A chunk with usage and no choices.
    Usage,
    /// `[DONE]`.
    Done,
    /// `event: error` with this as its `error`.
    Error(Value),
    /// A chunk with the usual fields, overwritten by these; `null` takes one away.
    Chunk(serde_json::Map<String, Value>),
    /// An event as it stands; data that is not a string is written as JSON.
    Event(Event),
    /// JSON without any framing, as the body of an error has it.
    Body(Value),
    /// Text without any framing.
    Raw(String),
    /// Bytes without any framing, for what is not UTF-8. Each such step is a write of its own.
    Bytes(Vec<u8>),
    /// Nothing more, ever; the connection stays open.
    Hang,
    /// The connection breaks.
    Cut(HowCut),
}

/// Status and headers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The status; 200 if it is left out.
    #[serde(default = "ok")]
    pub status: u16,
    /// Added to the usual ones, or in their place; `null` takes one away.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
}

/// A tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// `fc_…` of the simulator's choice if it is left out.
    #[serde(default)]
    pub id: Option<String>,
    /// The function's name.
    pub name: String,
    /// Sent as they are, valid or not.
    pub arguments: String,
}

/// A server-sent event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The `event:` line, if there is one.
    #[serde(default)]
    pub name: Option<String>,
    /// The `data:` lines.
    pub data: Value,
}

fn ok() -> u16 {
    200
}

impl Script {
    /// From JSON.
    ///
    /// # Errors
    /// [`Bad`] names what is wrong.
    pub fn parse(json: &str) -> Result<Self, Bad> {
        let script: Self = serde_json::from_str(json).map_err(|error| Bad(error.to_string()))?;
        script.check()?;
        Ok(script)
    }

    /// What the types leave open.
    ///
    /// # Errors
    /// [`Bad`] names what is wrong.
    pub fn check(&self) -> Result<(), Bad> {
        let bad = |why: &str| Err(Bad(why.to_owned()));
        for (index, step) in self.steps.iter().enumerate() {
            let why = match step {
                Step::Head(_) if !self.steps[..index].iter().all(|step| matches!(step, Step::PauseMs(_))) => {
                    "only pauses may stand before the head"
                }
                Step::Head(head) if !(200..=599).contains(&head.status) => "the status is from 200 to 599",
                Step::PauseMs(pause) if !(0.0..=1e9).contains(pause) => "a pause is 0 to 1000000000 milliseconds",
                _ => continue,
            };
            return bad(why);
        }
        Ok(())
    }

    /// The script that is always there: it shows most steps, and is a whole answer.
    pub(crate) fn example() -> Self {
        Self {
            summary: "a short answer with a pause in it".to_owned(),
            steps: vec![
                Step::Head(Head {
                    status: 200,
                    headers: BTreeMap::from([("x-script".to_owned(), Some(EXAMPLE.to_owned()))]),
                }),
                Step::Role,
                Step::Reasoning("We".to_owned()),
                Step::Text("You".to_owned()),
                Step::PauseMs(1.0),
                Step::Raw(": a comment\n\n".to_owned()),
                Step::Text(" wrote".to_owned()),
                Step::Finish("stop".to_owned()),
                Step::Done,
            ],
        }
    }
}

/// Scripts by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scripts(pub BTreeMap<String, Arc<Script>>);

impl Scripts {
    /// Every `*.json` of a folder, named as the file is.
    ///
    /// # Errors
    /// [`Bad`] names the file that cannot be read or understood.
    pub fn load(folder: &str) -> Result<Self, Bad> {
        let unreadable = |path: &Path, error: std::io::Error| Bad(format!("{}: {error}", path.display()));
        let folder = Path::new(folder);
        let mut scripts = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
            let path = entry.map_err(|error| unreadable(folder, error))?.path();
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else {
                continue;
            };
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            let script = Script::parse(&text).map_err(|bad| Bad(format!("{}: {bad}", path.display())))?;
            scripts.insert(name.to_owned(), Arc::new(script));
        }
        Ok(Self(scripts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_goes_round_and_mistakes_are_named() {
        let example = Script::example();
        let json = serde_json::to_string(&example).unwrap();
        assert_eq!(Script::parse(&json).unwrap(), example);
        for (json, says) in [
            (r#"{"steps": ["hangs"]}"#, "unknown variant `hangs`"),
            (r#"{"steps": [], "x": 1}"#, "unknown field `x`"),
            (r#"{"steps": [{"text": "a"}, {"head": {}}]}"#, "before the head"),
            (r#"{"steps": [{"head": {"status": 100}}]}"#, "200 to 599"),
            (r#"{"steps": [{"pause_ms": -1}]}"#, "a pause is"),
        ] {
            let error = Script::parse(json).unwrap_err().to_string();
            assert!(error.contains(says), "{json}: {error}");
        }
    }
}

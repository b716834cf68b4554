//! What the assistant makes of tickets and texts.

use serde::{Deserialize, Serialize};

use crate::tickets::ticket::{Category, Priority};

/// How a customer feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Sentiment {
    Positive,
    Neutral,
    Negative,
    Angry,
}

/// The assistant's judgement of a ticket. The text of a reply that is one is this in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Triage {
    pub(crate) category: Category,
    pub(crate) priority: Priority,
    pub(crate) sentiment: Sentiment,
    pub(crate) language: String,
    pub(crate) confidence: f64,
    pub(crate) needs_human: bool,
    pub(crate) why: String,
}

/// How a text is to sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Neutral,
    Friendly,
    Formal,
    Shorter,
}

//! What an ask tells: its calls, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use crate::groq::failure::Failure;
use crate::usage::{Source, Tokens};

/// A call that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// 1 for the first call of a request.
    pub call_no: i32,
    /// The model that is asked.
    pub model: Arc<str>,
    /// No prompt of these messages has more tokens.
    pub input_tokens_at_most: u64,
    /// The model is told to write no more, reasoning included.
    pub output_tokens_at_most: u64,
}

impl Started {
    /// The call takes no more tokens, prompt and answer.
    pub fn at_most(&self) -> u64 {
        self.input_tokens_at_most.saturating_add(self.output_tokens_at_most)
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With the model's finish and the end marker.
    Completed,
    /// In any other way that was not ours.
    Failed,
    /// A time limit of ours or the caller's was over.
    CutShort,
}

/// A call that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// As it began.
    pub call_no: i32,
    /// As it began.
    pub model: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it cost.
    pub usage: Tokens,
    /// Who says so.
    pub source: Source,
    /// The price of that in millionths of a US dollar, rounded up; 0 where the model has none.
    pub cost_micro_usd: u64,
    /// The provider's name for it; empty if it gave none.
    pub upstream_id: String,
    /// From the request's sending to the first piece of the answer.
    pub time_to_first_text: Option<Duration>,
    /// From the request's sending to the end.
    pub duration: Duration,
}

/// What happens while something is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A call is about to be made.
    CallStarted(Started),
    /// Some of the answer. Never empty. No other call is made after it.
    Text(String),
    /// The model calls a tool that was offered; after all text, before the call's end.
    ToolCall {
        /// Which one.
        name: String,
        /// JSON, if the model kept to it.
        arguments: String,
    },
    /// A call is over.
    CallEnded(Ended),
}

/// One call, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// Its beginning.
    pub started: Started,
    /// Its end.
    pub ended: Ended,
}

/// An answer in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// What the model wrote.
    pub text: String,
    /// The calls that it took; the last one brought it.
    pub calls: Vec<CallRecord>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct Failed {
    /// What the last call failed with, or why none was made.
    pub failure: Failure,
    /// The calls that were made.
    pub calls: Vec<CallRecord>,
}

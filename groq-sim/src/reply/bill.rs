//! Usage: what was generated, and what it is said to have taken.

use std::time::Duration;

use crate::settings::Pace;
use crate::wire::{CompletionDetails, PromptDetails, Usage};

/// Seconds that every call is said to have waited.
const QUEUE_TIME: f64 = 0.0005;

/// What a call's usage is counted from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bill {
    pub(crate) prompt_tokens: u32,
    pub(crate) cached_tokens: u32,
    pub(crate) pace: Pace,
}

/// What is generated while a client waits for an answer in one piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Generating {
    pub(super) tokens: u32,
    pub(super) reasoning_tokens: u32,
}

impl Generating {
    /// How much of it is there after so long. Before the first token nothing is.
    pub(super) fn after(self, elapsed: Duration, bill: Bill) -> Option<Usage> {
        let since_first = elapsed.checked_sub(bill.pace.to_first_token())?;
        let per_token = bill.pace.per_token().as_secs_f64();
        // A float that is too large becomes the largest integer; no pace at all means everything at once.
        let more = (since_first.as_secs_f64() / per_token) as u32;
        let tokens = more.saturating_add(1).min(self.tokens);
        Some(bill.usage(tokens, tokens.min(self.reasoning_tokens)))
    }
}

impl Bill {
    pub(crate) fn usage(&self, completion_tokens: u32, reasoning_tokens: u32) -> Usage {
        let prompt_time = self.pace.to_first_token().as_secs_f64();
        let completion_time = self.pace.per_token().as_secs_f64() * f64::from(completion_tokens);
        Usage {
            queue_time: QUEUE_TIME,
            prompt_tokens: self.prompt_tokens,
            prompt_time,
            completion_tokens,
            completion_time,
            total_tokens: self.prompt_tokens + completion_tokens,
            total_time: prompt_time + completion_time,
            completion_tokens_details: (reasoning_tokens > 0).then_some(CompletionDetails { reasoning_tokens }),
            prompt_tokens_details: (self.cached_tokens > 0).then_some(PromptDetails {
                cached_tokens: self.cached_tokens,
            }),
        }
    }
}

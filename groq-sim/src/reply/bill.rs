//! Usage: what was generated, and what it is said to have taken.

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

//! The prompt: how long it is, what it hashes to, and how much of it was seen before.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::time::Duration;

use super::tokens;
use crate::models::Family;
use crate::request::ChatRequest;
use crate::simulator::locked;

/// Cached tokens come in whole blocks of this many.
pub(crate) const BLOCK: u32 = 16;

/// Idle prefixes are forgotten after this.
const IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// Beyond this many blocks everything is forgotten: 16 million tokens.
const MOST_BLOCKS: usize = 1_000_000;

#[derive(Debug)]
pub(crate) struct Prompt {
    pub(crate) tokens: u32,
    /// Of model and prompt; what varies from answer to answer varies by this.
    pub(crate) digest: u64,
    /// The hash of each prefix of whole blocks.
    prefixes: Vec<u64>,
}

impl Prompt {
    pub(crate) fn of(request: &ChatRequest) -> Self {
        // `DefaultHasher::new()` has fixed keys: the same request hashes the same in every process.
        let mut hasher = DefaultHasher::new();
        let mut prefixes = Vec::new();
        let mut count = 0;
        request.model.id.hash(&mut hasher);
        let mut add = |token: &str| {
            token.hash(&mut hasher);
            count += 1;
            if count % BLOCK == 0 {
                prefixes.push(hasher.finish());
            }
        };
        // Tools come first, as in a real chat template, so that one prefix serves a whole conversation.
        tokens::split(&request.attachments).for_each(&mut add);
        for message in &request.messages {
            add("<|start|>");
            add(message.role);
            add("<|message|>");
            tokens::split(&message.text).for_each(&mut add);
            add("<|end|>");
        }
        add("<|start|>");
        add("assistant");
        let digest = hasher.finish();
        Self {
            tokens: count,
            digest,
            prefixes,
        }
    }
}

/// The prefixes of earlier prompts.
#[derive(Default)]
pub(crate) struct Cache(Mutex<HashMap<u64, Duration>>);

impl Cache {
    /// How many tokens at the start of this prompt were seen before; remembers the prompt.
    pub(crate) fn look_up(&self, request: &ChatRequest, prompt: &Prompt, now: Duration) -> u32 {
        if request.model.family != Family::GptOss {
            return 0;
        }
        let mut seen = locked(&self.0);
        if seen.len() + prompt.prefixes.len() > MOST_BLOCKS {
            seen.clear();
        }
        let mut cached = 0;
        let mut unbroken = true;
        for prefix in &prompt.prefixes {
            let fresh = seen
                .insert(*prefix, now)
                .is_some_and(|then| now.saturating_sub(then) < IDLE);
            unbroken &= fresh;
            cached += u32::from(unbroken);
        }
        cached * BLOCK
    }

    pub(crate) fn clear(&self) {
        locked(&self.0).clear();
    }
}

//! A model that is asked: what it is sent, and all that is kept of it from call to call.

use std::sync::Arc;

use super::ask::Ask;
use super::told::Started;
use crate::groq::breaker::{Breaker, Rule};
use crate::groq::gate::Gate;
use crate::groq::models::{Profile, profile};
use crate::groq::wire;
use crate::settings::Calls;
use crate::usage::{Price, Prices};

/// Tokens that a provider puts around a prompt of ours: its own instructions, the answer's beginning.
const AROUND_PROMPT: u64 = 512;
/// Tokens that it puts around each message or tool.
const AROUND_PART: u64 = 64;

#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: Arc<str>,
    pub(super) profile: Profile,
    pub(super) price: Option<Price>,
    pub(super) breaker: Arc<Breaker>,
    pub(super) gate: Arc<Gate>,
}

impl Model {
    pub(super) fn new(name: &str, calls: &Calls, prices: &Prices) -> Self {
        let price = prices.of(name);
        if price.is_none() {
            tracing::warn!(
                model = name,
                "the model has no price: its calls are counted as costing nothing"
            );
        }
        Self {
            name: name.into(),
            profile: profile(name),
            price,
            breaker: Breaker::new(Rule {
                failures: calls.breaker_failures,
                cool_down: calls.breaker_cool_down,
            }),
            gate: Gate::new(calls.quota_share),
        }
    }

    pub(super) fn output_at_most(&self, answer_tokens: u32, reasoning_tokens: u32) -> u32 {
        let reasoning = if self.profile.reasons { reasoning_tokens } else { 0 };
        self.profile
            .max_output_tokens
            .min(answer_tokens.saturating_add(reasoning))
    }

    /// Only what the model is known to take, on `tier` where it has tiers.
    pub(super) fn request<'a>(
        &'a self,
        ask: &'a Ask,
        reasoning_tokens: u32,
        tier: Option<&'static str>,
    ) -> wire::ChatRequest<'a> {
        let streamed = ask.schema.is_none();
        let tools = ask.tools.as_deref().filter(|_| self.profile.tools && streamed);
        let offered = tools.unwrap_or_default().iter().map(|tool| wire::OfferedTool {
            kind: "function",
            function: wire::OfferedFunction {
                name: &tool.name,
                description: &tool.description,
                parameters: &tool.parameters,
            },
        });
        let offered: Vec<_> = offered.collect();
        let form = ask.schema.as_ref().map(|schema| {
            if !self.profile.strict_schema {
                return wire::ResponseFormat::JsonObject;
            }
            wire::ResponseFormat::JsonSchema {
                json_schema: wire::StrictSchema {
                    name: &schema.name,
                    strict: true,
                    schema: &schema.schema,
                },
            }
        });
        let messages = ask.messages.iter().map(|message| wire::Message {
            role: message.role,
            content: &message.content,
        });
        wire::ChatRequest {
            model: &self.name,
            messages: messages.collect(),
            max_completion_tokens: self.output_at_most(ask.answer_tokens, reasoning_tokens),
            reasoning_effort: self.profile.reasoning_effort,
            service_tier: tier.filter(|_| self.profile.service_tiers),
            response_format: form,
            tools: Some(offered).filter(|offered| !offered.is_empty()),
            stream: streamed,
            stream_options: (streamed && self.profile.stream_options)
                .then_some(wire::StreamOptions { include_usage: true }),
        }
    }

    /// What is announced of a call that is yet to be numbered.
    pub(super) fn started(&self, request: &wire::ChatRequest<'_>) -> Started {
        Started {
            call_no: 0,
            model: Arc::clone(&self.name),
            input_tokens_at_most: input_at_most(request),
            output_tokens_at_most: request.max_completion_tokens.into(),
        }
    }
}

/// More tokens than the prompt has, whatever its language. The provider's encoders work on bytes: a token of text stands for
/// at least one byte of it, and the others are those that it puts around. Of tools and schemas all JSON is counted, which
/// is longer than what models are shown of them.
fn input_at_most(request: &wire::ChatRequest<'_>) -> u64 {
    let messages = request
        .messages
        .iter()
        .map(|message| message.role.len() + message.content.len());
    let tools = request.tools.iter().flatten().map(json_length);
    let form = request.response_format.iter().map(json_length);
    let parts = messages.chain(tools).chain(form);
    parts.map(|bytes| bytes as u64 + AROUND_PART).sum::<u64>() + AROUND_PROMPT
}

fn json_length(part: &impl serde::Serialize) -> usize {
    // What is sent can be written: it has been read from JSON, or is text.
    serde_json::to_string(part).map_or(0, |json| json.len())
}

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

    /// Only what the model is known to take.
    pub(super) fn request<'a>(&'a self, ask: &'a Ask, reasoning_tokens: u32) -> wire::ChatRequest<'a> {
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
            response_format: form,
            tools: Some(offered).filter(|offered| !offered.is_empty()),
            stream: streamed,
            stream_options: (streamed && self.profile.stream_options)
                .then_some(wire::StreamOptions { include_usage: true }),
        }
    }

    pub(super) fn started(&self, ask: &Ask, request: &wire::ChatRequest<'_>, call_no: i32) -> Started {
        Started {
            call_no,
            model: Arc::clone(&self.name),
            input_tokens_at_most: self.input_at_most(ask),
            output_tokens_at_most: request.max_completion_tokens.into(),
        }
    }

    /// More tokens than the prompt has: a token is at least one byte, and what the provider puts around is not much.
    fn input_at_most(&self, ask: &Ask) -> u64 {
        let messages = ask.messages.iter().map(|message| message.content.len());
        let schema = ask.schema.iter().map(|schema| schema.schema.to_string().len());
        let tools = ask
            .tools
            .iter()
            .flat_map(|tools| tools.iter())
            .map(|tool| tool.name.len() + tool.description.len() + tool.parameters.to_string().len());
        let parts = messages
            .chain(schema)
            .chain(tools)
            .map(|bytes| bytes as u64 + AROUND_PART);
        (parts.sum::<u64>() + AROUND_PROMPT).min(self.profile.context_window.into())
    }
}

//! The models that the simulator knows, with the limits that Groq publishes.

use serde::{Deserialize, Serialize};

/// How a model shows its reasoning on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// `reasoning` deltas with `channel: "analysis"`; `reasoning_effort` low, medium, high; prompt cache.
    GptOss,
    /// `<think>` in the text, or `reasoning` without a channel when parsed; `reasoning_effort` none, default.
    Qwen,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    pub(crate) id: &'static str,
    pub(crate) family: Family,
    pub(crate) owned_by: &'static str,
    pub(crate) created: u64,
    pub(crate) context_window: u64,
    pub(crate) max_completion_tokens: u64,
    /// Answers can be bound to a JSON schema.
    pub(crate) strict_schema: bool,
    /// The policy stands in `system`, what to judge in `user`; the answer is a verdict in JSON.
    pub(crate) guard: bool,
    /// What Groq publishes, where it does.
    pub(crate) tokens_per_second: Option<u32>,
    /// Millionths of a millionth of a dollar for a token of the prompt, by the list of 2026-10; cached ones cost half.
    pub(crate) prompt_picodollars: u64,
    /// The same for a token that was generated.
    pub(crate) completion_picodollars: u64,
}

pub(crate) const MODELS: &[Model] = &[
    Model {
        id: "openai/gpt-oss-120b",
        family: Family::GptOss,
        owned_by: "OpenAI",
        created: 1_754_408_224,
        context_window: 131_072,
        max_completion_tokens: 65_536,
        strict_schema: true,
        guard: false,
        tokens_per_second: Some(500),
        prompt_picodollars: 150_000,
        completion_picodollars: 600_000,
    },
    Model {
        id: "openai/gpt-oss-20b",
        family: Family::GptOss,
        owned_by: "OpenAI",
        created: 1_754_407_957,
        context_window: 131_072,
        max_completion_tokens: 65_536,
        strict_schema: true,
        guard: false,
        tokens_per_second: Some(1000),
        prompt_picodollars: 75_000,
        completion_picodollars: 300_000,
    },
    Model {
        id: "openai/gpt-oss-safeguard-20b",
        family: Family::GptOss,
        owned_by: "OpenAI",
        created: 1_761_708_789,
        context_window: 131_072,
        max_completion_tokens: 65_536,
        strict_schema: false,
        guard: true,
        tokens_per_second: Some(1000),
        prompt_picodollars: 75_000,
        completion_picodollars: 300_000,
    },
    Model {
        id: "qwen/qwen3.8-27b",
        family: Family::Qwen,
        owned_by: "Alibaba Cloud",
        created: 1_788_000_000,
        context_window: 131_072,
        max_completion_tokens: 16_384,
        strict_schema: false,
        guard: false,
        tokens_per_second: None,
        prompt_picodollars: 800_000,
        completion_picodollars: 4_000_000,
    },
];

/// Asking for these is a 400 `model_decommissioned`, not a 404.
const DECOMMISSIONED: &[&str] = &[
    "gemma2-9b-it",
    "llama3-70b-8192",
    "llama3-8b-8192",
    "mixtral-8x7b-32768",
];

/// Whether a model can be used. What a model is at start stands in the list of models; the control changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// It is listed and answers, if the simulator knows it.
    Active,
    /// It is not listed; asking for it is a 400 `model_decommissioned`.
    Decommissioned,
    /// It is not listed; asking for it is a 404 `model_not_found`.
    Missing,
}

pub(crate) fn find(id: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.id == id)
}

pub(crate) fn is_decommissioned(id: &str) -> bool {
    DECOMMISSIONED.contains(&id)
}

/// An entry of `GET /openai/v1/models`.
#[derive(Serialize)]
pub(crate) struct Listed {
    id: &'static str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    active: bool,
    context_window: u64,
    public_apps: Option<()>,
    max_completion_tokens: u64,
}

impl From<&Model> for Listed {
    fn from(model: &Model) -> Self {
        Self {
            id: model.id,
            object: "model",
            created: model.created,
            owned_by: model.owned_by,
            active: true,
            context_window: model.context_window,
            public_apps: None,
            max_completion_tokens: model.max_completion_tokens,
        }
    }
}

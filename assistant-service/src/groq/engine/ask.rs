//! What is asked.

use std::sync::Arc;

use service_kit::deadline::Deadline;

use super::allowance::Allowance;

/// A message of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// Its text.
    pub content: String,
}

/// The form of an answer in JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// Letters, digits and `_`.
    pub name: String,
    /// JSON Schema: every property required, `additionalProperties` false. Models that cannot be held to it get JSON mode,
    /// for which the word JSON must stand in the prompt; so the answer must be validated.
    pub schema: serde_json::Value,
}

/// Something that the model may do instead of answering, or beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Letters, digits and `_`.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: serde_json::Value,
}

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The prompt.
    pub messages: Vec<Message>,
    /// Most tokens of the answer's text; room for reasoning is added for models that reason.
    pub answer_tokens: u32,
    /// What the prompt is taken for in the books of the quota.
    pub estimated_prompt_tokens: u32,
    /// The form of the answer, which then comes in one piece; unset: text.
    pub schema: Option<Arc<Schema>>,
    /// What the model may do instead of answering; not with a schema. Models that are not known are not told of it.
    pub tools: Option<Arc<[Tool]>>,
    /// When the caller's time is over.
    pub deadline: Option<Deadline>,
    /// What the request may still have of which this is a part.
    pub allowance: Allowance,
}

//! What goes over the wire, field for field: only what the provider documents as taken, and of what it answers only
//! what is used. Unknown fields of an answer say nothing.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Body of `POST /openai/v1/chat/completions`. The provider refuses requests with fields that it does not know.
#[derive(Debug, Serialize)]
pub struct ChatRequest<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The prompt.
    pub messages: Vec<Message<'a>>,
    /// Most tokens of the answer, reasoning included. Always sent: the provider's own default is undocumented and small.
    pub max_completion_tokens: u32,
    /// How much the model reasons, for models that take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<&'static str>,
    /// Whose turn the request is; unset: the account's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<&'static str>,
    /// What the answer must look like; unset: text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat<'a>>,
    /// What the model may do instead of answering.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<OfferedTool<'a>>>,
    /// Whether the answer comes in pieces.
    pub stream: bool,
    /// Only with `stream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
}

/// What a stream tells beside the answer.
#[derive(Debug, Serialize)]
pub struct StreamOptions {
    /// A last chunk that holds the usage.
    pub include_usage: bool,
}

/// What an answer must look like.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseFormat<'a> {
    /// Any JSON. The word must stand in the prompt.
    JsonObject,
    /// JSON of this form.
    JsonSchema {
        /// The form.
        json_schema: StrictSchema<'a>,
    },
}

/// A form that the provider holds the model to.
#[derive(Debug, Serialize)]
pub struct StrictSchema<'a> {
    /// Letters, digits and `_`.
    pub name: &'a str,
    /// Always.
    pub strict: bool,
    /// JSON Schema; every property required, no others allowed.
    pub schema: &'a serde_json::Value,
}

/// A tool as the provider is told of it.
#[derive(Debug, Serialize)]
pub struct OfferedTool<'a> {
    /// `function`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What it is.
    pub function: OfferedFunction<'a>,
}

/// What a tool is.
#[derive(Debug, Serialize)]
pub struct OfferedFunction<'a> {
    /// Letters, digits and `_`.
    pub name: &'a str,
    /// When to use it.
    pub description: &'a str,
    /// JSON Schema of its arguments.
    pub parameters: &'a serde_json::Value,
}

/// A message of the prompt.
#[derive(Debug, Serialize)]
pub struct Message<'a> {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// Its text.
    pub content: &'a str,
}

/// One event of a stream; an answer in one piece has the same form, with `message` for `delta`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Chunk<'a> {
    /// One, or none in the last chunk.
    #[serde(borrow)]
    pub choices: Option<Vec<Choice<'a>>>,
    /// May stand here, in `x_groq`, in both, and again in the last chunk.
    pub usage: Option<Usage>,
    /// The provider's own.
    pub x_groq: Option<XGroq>,
    /// Instead of all else.
    pub error: Option<Fault>,
}

/// An answer among those asked for; only one is ever asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Choice<'a> {
    /// Which one.
    pub index: u32,
    /// What is new.
    #[serde(borrow, alias = "message")]
    pub delta: Option<Delta<'a>>,
    /// Why the model stopped; in one chunk at the end.
    #[serde(borrow)]
    pub finish_reason: Option<Cow<'a, str>>,
}

/// What is new of an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Delta<'a> {
    /// Text of the answer.
    #[serde(borrow)]
    pub content: Option<Cow<'a, str>>,
    /// Text of the model's reasoning, which nobody is shown.
    #[serde(borrow)]
    pub reasoning: Option<Cow<'a, str>>,
    /// Calls of tools. The provider sends each whole; others send them in pieces, to be joined by their index.
    pub tool_calls: Option<Vec<ToolCall>>,
}

/// A call of a tool, or a piece of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ToolCall {
    /// Which one it is a piece of; unset in an answer that is no stream.
    pub index: Option<usize>,
    /// What is called.
    pub function: Option<Function>,
}

/// What is called, and with what.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Function {
    /// The tool's name.
    pub name: Option<String>,
    /// JSON.
    pub arguments: Option<String>,
}

/// The provider's own part of a chunk.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct XGroq {
    /// The provider's name for the call.
    pub id: Option<String>,
    /// As [`Chunk::usage`].
    pub usage: Option<Usage>,
    /// Says that the stream failed.
    pub error: Option<Fault>,
}

/// What a call cost.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens that the model wrote, reasoning included.
    pub completion_tokens: u32,
    /// Of the prompt's tokens.
    pub prompt_tokens_details: Option<PromptDetails>,
    /// Of the answer's tokens.
    pub completion_tokens_details: Option<CompletionDetails>,
}

/// Of the prompt's tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct PromptDetails {
    /// Those that the provider had cached.
    pub cached_tokens: Option<u32>,
}

/// Of the answer's tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct CompletionDetails {
    /// Those spent on reasoning.
    pub reasoning_tokens: Option<u32>,
}

/// An error as the provider says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Fault {
    /// In the documented form.
    Told(FaultBody),
    /// As a bare sentence.
    Said(String),
    /// In a form that nobody has seen yet.
    Other(serde::de::IgnoredAny),
}

/// The documented form of an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct FaultBody {
    /// For people; may quote the request.
    pub message: Option<String>,
    /// Such as `invalid_request_error`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Such as `rate_limit_exceeded`.
    pub code: Option<Code>,
    /// Inside a stream, the HTTP status that it would have been.
    pub status_code: Option<u16>,
}

/// A code, which has been seen as either.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Code {
    /// A word.
    Word(String),
    /// An HTTP status.
    Number(u16),
    /// Something else.
    Other(serde::de::IgnoredAny),
}

/// Body of an HTTP error.
#[derive(Debug, Deserialize)]
pub struct ErrorBody {
    /// What happened.
    pub error: Fault,
}

/// Body of `GET /openai/v1/models`.
#[derive(Debug, Deserialize)]
pub struct Models {
    /// All of them.
    pub data: Vec<Model>,
}

/// A model.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Model {
    /// Its name in requests.
    pub id: String,
    /// Who made it.
    #[serde(default)]
    pub owned_by: String,
    /// Tokens that prompt and answer may have together.
    #[serde(default)]
    pub context_window: Option<u32>,
    /// Tokens that an answer may have.
    #[serde(default)]
    pub max_completion_tokens: Option<u32>,
    /// Whether it can be used now.
    #[serde(default)]
    pub active: Option<bool>,
}

//! What a caller may send: an allow-list, as strict as Groq's, and the refusals for everything else.

mod fields;
mod messages;
mod refusal;
mod strict;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::models::{self, Availability, Family, Model};
pub(crate) use messages::Message;
pub(crate) use refusal::Refusal;

/// Groq's default is not documented; about this was seen.
const DEFAULT_MAX_COMPLETION_TOKENS: u64 = 2048;

/// A request that passed.
#[derive(Debug)]
pub(crate) struct ChatRequest {
    pub(crate) model: &'static Model,
    pub(crate) messages: Vec<Message>,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) reasoning: Reasoning,
    pub(crate) effort: Effort,
    pub(crate) max_completion_tokens: usize,
    pub(crate) stop: Vec<String>,
    pub(crate) seed: Option<i64>,
    pub(crate) service_tier: String,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: ToolChoice,
    /// Whether an answer may hold several calls of tools.
    pub(crate) parallel_tool_calls: bool,
    pub(crate) format: Format,
    /// Tools and schemas are part of the prompt; this is their text.
    pub(crate) attachments: String,
}

/// Where reasoning shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reasoning {
    Hidden,
    Parsed,
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    None,
    Low,
    Medium,
    High,
}

#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) parameters: Value,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    None,
    Auto,
    Required,
    Named(String),
}

#[derive(Debug)]
pub(crate) enum Format {
    Text,
    JsonObject,
    JsonSchema(Value),
}

const ALLOWED: &[&str] = &[
    "include_reasoning",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "n",
    "parallel_tool_calls",
    "reasoning_effort",
    "reasoning_format",
    "response_format",
    "seed",
    "service_tier",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
    "user",
];

/// `availability` says which models are not as the list has them.
pub(crate) fn parse(body: &Value, availability: &BTreeMap<String, Availability>) -> Result<ChatRequest, Refusal> {
    let Value::Object(fields) = body else {
        return Err(Refusal::invalid("the body must be a JSON object", None));
    };
    if let Some(unknown) = fields.keys().find(|key| !ALLOWED.contains(&key.as_str())) {
        return Err(Refusal::unsupported(unknown));
    }
    // A `null` is the same as leaving the field out.
    let fields: Map<String, Value> = fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();

    let model = model(&fields, availability)?;
    fields::check_ranges(&fields)?;
    let messages = messages::parse(fields.get("messages"))?;
    let stream = fields::flag(&fields, "stream")?.unwrap_or(false);
    let tools = fields::tools(&fields)?;
    let tool_choice = fields::tool_choice(&fields, &tools)?;
    let format = fields::format(&fields, model, stream, &messages, &tools)?;
    let structured = !tools.is_empty() || !matches!(format, Format::Text);
    let request = ChatRequest {
        model,
        stream,
        include_usage: fields::include_usage(&fields, stream)?,
        reasoning: reasoning(&fields, model, structured)?,
        effort: effort(&fields, model)?,
        max_completion_tokens: max_completion_tokens(&fields, model)?,
        stop: fields::stop(&fields)?,
        seed: fields.get("seed").and_then(Value::as_i64),
        service_tier: fields::service_tier(&fields)?,
        parallel_tool_calls: fields::flag(&fields, "parallel_tool_calls")?.unwrap_or(true),
        attachments: attachments(&fields),
        messages,
        tools,
        tool_choice,
        format,
    };
    Ok(request)
}

fn model(
    fields: &Map<String, Value>,
    availability: &BTreeMap<String, Availability>,
) -> Result<&'static Model, Refusal> {
    let Some(id) = fields.get("model") else {
        return Err(Refusal::invalid("property 'model' is missing", Some("model")));
    };
    let id = id
        .as_str()
        .ok_or_else(|| Refusal::invalid("'model' : value must be a string", Some("model")))?;
    match availability.get(id) {
        Some(Availability::Decommissioned) => Err(Refusal::decommissioned(id)),
        Some(Availability::Missing) => Err(Refusal::model_not_found(id)),
        None if models::is_decommissioned(id) => Err(Refusal::decommissioned(id)),
        None | Some(Availability::Active) => models::find(id).ok_or_else(|| Refusal::model_not_found(id)),
    }
}

fn reasoning(fields: &Map<String, Value>, model: &Model, structured: bool) -> Result<Reasoning, Refusal> {
    let include = fields::flag(fields, "include_reasoning")?;
    let format = fields.get("reasoning_format");
    if include.is_some() && format.is_some() {
        return Err(Refusal::invalid(
            "cannot specify both `include_reasoning` and `reasoning_format`",
            None,
        ));
    }
    let chosen = match (include, format.map(Value::as_str)) {
        (Some(false), _) | (_, Some(Some("hidden"))) => Reasoning::Hidden,
        (Some(true), _) | (_, Some(Some("parsed"))) => Reasoning::Parsed,
        (_, Some(Some("raw"))) if structured => {
            return Err(Refusal::invalid(
                "`reasoning_format` must be `parsed` or `hidden` with JSON mode or tools",
                Some("reasoning_format"),
            ));
        }
        (_, Some(Some("raw"))) => Reasoning::Raw,
        (_, Some(_)) => {
            return Err(Refusal::invalid(
                "'reasoning_format' : value must be one of [hidden, raw, parsed]",
                Some("reasoning_format"),
            ));
        }
        (None, None) if model.family == Family::Qwen && !structured => Reasoning::Raw,
        (None, None) => Reasoning::Parsed,
    };
    Ok(chosen)
}

fn effort(fields: &Map<String, Value>, model: &Model) -> Result<Effort, Refusal> {
    let Some(given) = fields.get("reasoning_effort") else {
        return Ok(Effort::Medium);
    };
    match (model.family, given.as_str()) {
        (Family::GptOss, Some("low")) => Ok(Effort::Low),
        (Family::GptOss, Some("medium")) | (Family::Qwen, Some("default")) => Ok(Effort::Medium),
        (Family::GptOss, Some("high")) => Ok(Effort::High),
        (Family::Qwen, Some("none")) => Ok(Effort::None),
        (Family::GptOss, _) => Err(Refusal::invalid(
            "`reasoning_effort` must be one of `low`, `medium`, or `high`",
            Some("reasoning_effort"),
        )),
        (Family::Qwen, _) => Err(Refusal::invalid(
            "`reasoning_effort` must be one of `none` or `default`",
            Some("reasoning_effort"),
        )),
    }
}

fn max_completion_tokens(fields: &Map<String, Value>, model: &Model) -> Result<usize, Refusal> {
    let name = if fields.contains_key("max_completion_tokens") {
        "max_completion_tokens"
    } else {
        "max_tokens"
    };
    let Some(given) = fields.get(name) else {
        return Ok(DEFAULT_MAX_COMPLETION_TOKENS as usize);
    };
    let most = model.max_completion_tokens;
    match given.as_u64() {
        Some(tokens) if (1..=most).contains(&tokens) => Ok(tokens as usize),
        Some(0) | None => Err(Refusal::invalid(
            &format!("'{name}' : value must be at least 1"),
            Some(name),
        )),
        Some(_) => Err(Refusal::invalid(
            &format!(
                "`{name}` must be less than or equal to `{most}`, the maximum value for `{name}` is less than the \
                 `context_window` for this model"
            ),
            Some(name),
        )),
    }
}

fn attachments(fields: &Map<String, Value>) -> String {
    ["tools", "response_format"]
        .iter()
        .filter_map(|name| fields.get(*name))
        .map(Value::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_counts_as_absent() {
        let body = json!({
            "model": "openai/gpt-oss-20b", "messages": [{"role": "user", "content": "x"}], "stop": null, "tools": null,
        });
        let request = parse(&body, &BTreeMap::new());
        assert_eq!(request.unwrap().max_completion_tokens, 2048);
    }
}

//! What would be said: decided by the request and the scenario alone, so that the same request always gets the same
//! words.

pub(crate) mod prompt;
mod schema;
mod text;
pub(crate) mod tokens;

use serde_json::{Value, json};

use crate::models::Family;
use crate::request::{ChatRequest, Effort, Format, Reasoning, Tool, ToolChoice};
use crate::scenario::{Fault, Scenario};
use prompt::Prompt;

/// A whole answer, in tokens, before anything is put on the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Generated and billed whether or not it is shown.
    pub(crate) reasoning: Vec<String>,
    pub(crate) content: Vec<String>,
    pub(crate) tool_call: Option<ToolCall>,
    pub(crate) finish_reason: &'static str,
}

#[derive(Debug)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
    pub(crate) tokens: u32,
}

impl Answer {
    pub(crate) fn reasoning_tokens(&self) -> u32 {
        self.reasoning.len() as u32
    }

    pub(crate) fn completion_tokens(&self) -> u32 {
        let call = self.tool_call.as_ref().map_or(0, |call| call.tokens);
        (self.reasoning.len() + self.content.len()) as u32 + call
    }
}

/// `default_tokens` is the length of an answer if the scenario says none; without either, the request decides.
pub(crate) fn compose(
    request: &ChatRequest,
    prompt: &Prompt,
    scenario: &Scenario,
    default_tokens: Option<u32>,
) -> Answer {
    let budget = request.max_completion_tokens;
    if let Fault::Length { empty: true, .. } = scenario.fault {
        let reasoning = text::reasoning(request, budget);
        return Answer {
            reasoning,
            content: Vec::new(),
            tool_call: None,
            finish_reason: "length",
        };
    }

    let mut reasoning = reasoning(request, prompt, scenario);
    let mut content = content(request, prompt, scenario, default_tokens);
    let tool_call = tool_call(request, prompt, scenario);
    let mut finish_reason = "stop";
    if tool_call.is_some() {
        let before = if let Fault::ToolCalls { after, .. } = scenario.fault {
            after
        } else {
            0
        };
        content.truncate(before);
        finish_reason = "tool_calls";
    }
    match scenario.fault {
        Fault::Length { after, .. } => {
            content.truncate(after);
            finish_reason = "length";
        }
        Fault::ContentFilter { after } => {
            content.truncate(after);
            finish_reason = "content_filter";
        }
        _ => {}
    }

    let mut answer = Answer {
        reasoning: Vec::new(),
        content: Vec::new(),
        tool_call,
        finish_reason,
    };
    let call_tokens = answer.tool_call.as_ref().map_or(0, |call| call.tokens as usize);
    if reasoning.len() + content.len() + call_tokens > budget {
        // Reasoning comes first, so it eats the budget first; a tool call that does not fit is not made.
        reasoning.truncate(budget);
        content.truncate(budget - reasoning.len());
        answer.tool_call = None;
        answer.finish_reason = "length";
    }
    answer.reasoning = reasoning;
    answer.content = content;
    answer
}

fn reasoning(request: &ChatRequest, prompt: &Prompt, scenario: &Scenario) -> Vec<String> {
    let by_effort = match request.effort {
        Effort::None => 0,
        Effort::Low => 8 + (prompt.digest % 5) as usize,
        Effort::Medium => 16 + (prompt.digest % 9) as usize,
        Effort::High => 40 + (prompt.digest % 21) as usize,
    };
    let length = scenario.options.reasoning.map_or(by_effort, |tokens| tokens as usize);
    text::reasoning(request, length)
}

fn content(request: &ChatRequest, prompt: &Prompt, scenario: &Scenario, default_tokens: Option<u32>) -> Vec<String> {
    let whole = match &request.format {
        Format::Text => {
            let by_request = 60 + (prompt.digest % 61) as u32;
            let length = scenario.options.tokens.or(default_tokens).unwrap_or(by_request);
            text::content(request, prompt, length as usize)
        }
        Format::JsonObject => json!({"answer": text::quote(request), "model": request.model.id}).to_string(),
        Format::JsonSchema(schema) => schema::fill(schema, &text::quote(request)).to_string(),
    };
    let end = request
        .stop
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| whole.find(stop.as_str()))
        .min();
    tokens::split(&whole[..end.unwrap_or(whole.len())])
        .map(str::to_owned)
        .collect()
}

fn tool_call(request: &ChatRequest, prompt: &Prompt, scenario: &Scenario) -> Option<ToolCall> {
    let named = |name: &str| request.tools.iter().find(|tool| tool.name == name);
    let (name, parameters, arguments) = match (&scenario.fault, &request.tool_choice) {
        (Fault::ToolCalls { tool, arguments, .. }, _) => {
            let known = tool.as_deref().map_or(request.tools.first(), named);
            let name = tool.clone().or_else(|| known.map(|tool| tool.name.clone()));
            (
                name.unwrap_or_else(|| "simulated_tool".to_owned()),
                parameters_of(known),
                arguments.clone(),
            )
        }
        (_, ToolChoice::Required) => {
            let first = request.tools.first();
            (first?.name.clone(), parameters_of(first), None)
        }
        (_, ToolChoice::Named(name)) => (name.clone(), parameters_of(named(name)), None),
        (_, ToolChoice::None | ToolChoice::Auto) => return None,
    };
    let arguments = arguments.unwrap_or_else(|| schema::fill(parameters, &text::quote(request)).to_string());
    let tokens = (tokens::count(&name) + tokens::count(&arguments)) as u32;
    Some(ToolCall {
        id: format!("fc_{:016x}", prompt.digest),
        name,
        arguments,
        tokens,
    })
}

fn parameters_of(tool: Option<&Tool>) -> &Value {
    tool.map_or(&Value::Null, |tool| &tool.parameters)
}

/// The `channel` of a reasoning delta.
pub(crate) fn channel(family: Family) -> Option<&'static str> {
    match family {
        Family::GptOss => Some("analysis"),
        Family::Qwen => None,
    }
}

/// Whether reasoning stands in the text itself, between `<think>` tags.
pub(crate) fn thinks_aloud(request: &ChatRequest) -> bool {
    request.reasoning == Reasoning::Raw
}

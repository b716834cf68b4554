//! What would be said: decided by the request and the scenario alone, so that the same request always gets the same
//! words.

mod broken;
mod language;
pub(crate) mod prompt;
mod schema;
mod text;
pub(crate) mod tokens;

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::models::Family;
use crate::request::{ChatRequest, Effort, Format, Reasoning, Tool, ToolChoice};
use crate::scenario::{Fault, Scenario};
pub use language::Language;
use prompt::Prompt;

/// A whole answer, in tokens, before anything is put on the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Generated and billed whether or not it is shown.
    pub(crate) reasoning: Vec<String>,
    pub(crate) content: Vec<String>,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) finish_reason: Cow<'static, str>,
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
        (self.reasoning.len() + self.content.len()) as u32 + tokens_of(&self.tool_calls)
    }
}

/// What holds for answers where the scenario says nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// Tokens of visible text; `None`: the request decides.
    pub(crate) tokens: Option<u32>,
    pub(crate) language: Option<Language>,
}

pub(crate) fn compose(request: &ChatRequest, prompt: &Prompt, scenario: &Scenario, habits: Habits) -> Answer {
    let budget = request.max_completion_tokens;
    if let Fault::Length { empty: true, .. } = scenario.fault {
        let reasoning = text::reasoning(request, budget);
        return Answer {
            reasoning,
            content: Vec::new(),
            tool_calls: Vec::new(),
            finish_reason: "length".into(),
        };
    }

    let mut reasoning = reasoning(request, prompt, scenario);
    let mut content = content(request, prompt, scenario, habits);
    let tool_calls = tool_calls(request, prompt, scenario);
    let mut finish_reason = Cow::Borrowed("stop");
    if !tool_calls.is_empty() {
        let before = if let Fault::ToolCalls { after, .. } = scenario.fault {
            after
        } else {
            0
        };
        content.truncate(before);
        finish_reason = "tool_calls".into();
    }
    match scenario.fault {
        Fault::Length { after, .. } => {
            content.truncate(after);
            finish_reason = "length".into();
        }
        Fault::ContentFilter { after } => {
            content.truncate(after);
            finish_reason = "content_filter".into();
        }
        Fault::Finish { ref reason } => finish_reason = reason.clone().into(),
        _ => {}
    }

    let mut answer = Answer {
        reasoning: Vec::new(),
        content: Vec::new(),
        tool_calls,
        finish_reason,
    };
    let call_tokens = tokens_of(&answer.tool_calls) as usize;
    if reasoning.len() + content.len() + call_tokens > budget {
        // Reasoning comes first, so it eats the budget first; tool calls that do not fit are not made.
        reasoning.truncate(budget);
        content.truncate(budget - reasoning.len());
        answer.tool_calls.clear();
        answer.finish_reason = "length".into();
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

fn content(request: &ChatRequest, prompt: &Prompt, scenario: &Scenario, habits: Habits) -> Vec<String> {
    let whole = match (structured(request, scenario), &scenario.fault) {
        (Some((value, schema)), Fault::BadJson { kind }) => broken::spoil(value, schema, *kind),
        (Some((value, _)), _) => value.to_string(),
        (None, _) => {
            let by_request = 60 + (prompt.digest % 61) as u32;
            let length = scenario.options.tokens.or(habits.tokens).unwrap_or(by_request);
            let language = scenario.options.language.or(habits.language);
            text::content(request, prompt, language, length as usize)
        }
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

/// The answer as JSON and its schema, where the request, the model or the scenario makes it JSON.
fn structured<'a>(request: &'a ChatRequest, scenario: &Scenario) -> Option<(Value, &'a Value)> {
    const NO_SCHEMA: &Value = &Value::Null;
    let quote = || text::quote(request);
    if let Format::JsonSchema(schema) = &request.format {
        return Some((schema::fill(schema, &quote()), schema));
    }
    if request.model.guard {
        let (violation, category) = match &scenario.fault {
            Fault::Verdict { violation, category } => (u8::from(*violation), json!(category)),
            _ => (0, Value::Null),
        };
        let rationale = format!("The content is “{}”.", quote());
        let verdict = json!({"violation": violation, "category": category, "rationale": rationale});
        return Some((verdict, NO_SCHEMA));
    }
    let asked = matches!(request.format, Format::JsonObject) || matches!(scenario.fault, Fault::BadJson { .. });
    asked.then(|| (json!({"answer": quote(), "model": request.model.id}), NO_SCHEMA))
}

fn tokens_of(calls: &[ToolCall]) -> u32 {
    calls.iter().map(|call| call.tokens).sum()
}

fn tool_calls(request: &ChatRequest, prompt: &Prompt, scenario: &Scenario) -> Vec<ToolCall> {
    let named = |name: &str| request.tools.iter().find(|tool| tool.name == name);
    let (name, parameters, arguments, count) = match (&scenario.fault, &request.tool_choice) {
        (
            Fault::ToolCalls {
                tool, arguments, count, ..
            },
            _,
        ) => {
            let known = tool.as_deref().map_or(request.tools.first(), named);
            let name = tool.clone().or_else(|| known.map(|tool| tool.name.clone()));
            (
                name.unwrap_or_else(|| "simulated_tool".to_owned()),
                parameters_of(known),
                arguments.clone(),
                if request.parallel_tool_calls { *count } else { 1 },
            )
        }
        (_, ToolChoice::Required) => match request.tools.first() {
            Some(first) => (first.name.clone(), parameters_of(Some(first)), None, 1),
            None => return Vec::new(),
        },
        (_, ToolChoice::Named(name)) => (name.clone(), parameters_of(named(name)), None, 1),
        (_, ToolChoice::None | ToolChoice::Auto) => return Vec::new(),
    };
    let arguments = arguments.unwrap_or_else(|| schema::fill(parameters, &text::quote(request)).to_string());
    let tokens = (tokens::count(&name) + tokens::count(&arguments)) as u32;
    let call = |index: u64| ToolCall {
        id: format!("fc_{:016x}", prompt.digest.wrapping_add(index)),
        name: name.clone(),
        arguments: arguments.clone(),
        tokens,
    };
    (0..u64::from(count)).map(call).collect()
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

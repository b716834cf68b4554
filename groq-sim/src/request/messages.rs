//! `messages`: roles, contents, and what each role may carry.

use serde_json::{Map, Value};

use super::Refusal;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) role: &'static str,
    /// The text, parts joined; a tool call counts as its JSON.
    pub(crate) text: String,
}

pub(super) fn parse(messages: Option<&Value>) -> Result<Vec<Message>, Refusal> {
    let Some(messages) = messages else {
        return Err(Refusal::invalid("property 'messages' is missing", Some("messages")));
    };
    let Value::Array(messages) = messages else {
        return Err(Refusal::invalid(
            "'messages' : value must be an array",
            Some("messages"),
        ));
    };
    if messages.is_empty() {
        return Err(Refusal::invalid(
            "'messages' : minimum number of items is 1",
            Some("messages"),
        ));
    }
    messages
        .iter()
        .enumerate()
        .map(|(index, message)| one(index, message))
        .collect()
}

fn one(index: usize, message: &Value) -> Result<Message, Refusal> {
    let Value::Object(fields) = message else {
        return Err(invalid(index, "value must be an object"));
    };
    let Some(role) = fields.get("role").and_then(Value::as_str) else {
        return Err(invalid(index, "discriminator property 'role' is missing"));
    };
    let (role, allowed): (&'static str, &[&str]) = match role {
        "system" => ("system", &["role", "content"]),
        "user" => ("user", &["role", "content"]),
        "assistant" => ("assistant", &["role", "content", "reasoning", "tool_calls"]),
        "tool" => ("tool", &["role", "content", "tool_call_id"]),
        _ => return Err(invalid(index, "discriminator property 'role' has invalid value")),
    };
    if let Some(unknown) = fields.keys().find(|key| !allowed.contains(&key.as_str())) {
        return Err(for_role(index, role, &format!("property '{unknown}' is unsupported")));
    }
    if role == "tool" && fields.get("tool_call_id").and_then(Value::as_str).is_none() {
        return Err(for_role(index, role, "property 'tool_call_id' is missing"));
    }
    Ok(Message {
        role,
        text: text(index, role, fields)?,
    })
}

fn text(index: usize, role: &str, fields: &Map<String, Value>) -> Result<String, Refusal> {
    let calls = fields
        .get("tool_calls")
        .filter(|calls| !calls.is_null())
        .map(Value::to_string)
        .unwrap_or_default();
    match fields.get("content") {
        Some(Value::String(text)) => Ok(format!("{text}{calls}")),
        Some(Value::Array(parts)) => {
            let mut text = String::new();
            for part in parts {
                match (part["type"].as_str(), part["text"].as_str()) {
                    (Some("text"), Some(piece)) => text.push_str(piece),
                    _ => return Err(for_role(index, role, "content parts other than text are unsupported")),
                }
            }
            Ok(text + &calls)
        }
        None | Some(Value::Null) if !calls.is_empty() => Ok(calls),
        None => Err(for_role(index, role, "property 'content' is missing")),
        Some(_) => Err(for_role(
            index,
            role,
            "'content' : value must be a string or an array of parts",
        )),
    }
}

fn invalid(index: usize, why: &str) -> Refusal {
    Refusal::invalid(
        &format!("'messages.{index}' : {why}"),
        Some(&format!("messages.{index}")),
    )
}

fn for_role(index: usize, role: &str, why: &str) -> Refusal {
    invalid(
        index,
        &format!("for 'role:{role}' the following must be satisfied[('messages.{index}' : {why})]"),
    )
}

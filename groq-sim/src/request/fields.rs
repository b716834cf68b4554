//! The smaller fields of a request.

use serde_json::{Map, Value};

use super::{Format, Message, Refusal, Tool, ToolChoice, strict};
use crate::models::Model;

type Fields = Map<String, Value>;

pub(super) fn check_ranges(fields: &Fields) -> Result<(), Refusal> {
    range(fields, "temperature", 2.0)?;
    range(fields, "top_p", 1.0)?;
    if fields.get("n").is_some_and(|n| n.as_u64() != Some(1)) {
        return Err(Refusal::invalid("'n' : value must be 1", Some("n")));
    }
    if fields.get("seed").is_some_and(|seed| seed.as_i64().is_none()) {
        return Err(Refusal::invalid("'seed' : value must be an integer", Some("seed")));
    }
    if fields.get("user").is_some_and(|user| !user.is_string()) {
        return Err(Refusal::invalid("'user' : value must be a string", Some("user")));
    }
    Ok(())
}

fn range(fields: &Fields, name: &str, most: f64) -> Result<(), Refusal> {
    let Some(given) = fields.get(name) else { return Ok(()) };
    match given.as_f64() {
        None => Err(Refusal::invalid(
            &format!("'{name}' : value must be a number"),
            Some(name),
        )),
        Some(number) if (0.0..=most).contains(&number) => Ok(()),
        Some(_) => Err(Refusal::invalid(
            &format!("'{name}' : value must be between 0 and {most}"),
            Some(name),
        )),
    }
}

pub(super) fn flag(fields: &Fields, name: &str) -> Result<Option<bool>, Refusal> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(Refusal::invalid(
            &format!("'{name}' : value must be a boolean"),
            Some(name),
        )),
    }
}

pub(super) fn include_usage(fields: &Fields, stream: bool) -> Result<bool, Refusal> {
    let Some(options) = fields.get("stream_options") else {
        return Ok(false);
    };
    if !stream {
        return Err(Refusal::invalid(
            "`stream_options` is only allowed with `stream`",
            Some("stream_options"),
        ));
    }
    let Value::Object(options) = options else {
        return Err(Refusal::invalid(
            "'stream_options' : value must be an object",
            Some("stream_options"),
        ));
    };
    if let Some(unknown) = options.keys().find(|key| *key != "include_usage") {
        return Err(Refusal::unsupported(&format!("stream_options.{unknown}")));
    }
    Ok(flag(options, "include_usage")?.unwrap_or(false))
}

pub(super) fn stop(fields: &Fields) -> Result<Vec<String>, Refusal> {
    let wrong = |why: &str| Refusal::invalid(&format!("'stop' : {why}"), Some("stop"));
    match fields.get("stop") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(several)) if several.len() > 4 => Err(wrong("maximum number of items is 4")),
        Some(Value::Array(several)) => several
            .iter()
            .map(|stop| {
                stop.as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| wrong("items must be strings"))
            })
            .collect(),
        Some(_) => Err(wrong("value must be a string or an array of strings")),
    }
}

/// The tier that answers: `auto` is served on demand.
pub(super) fn service_tier(fields: &Fields) -> Result<String, Refusal> {
    match fields.get("service_tier").map(Value::as_str) {
        None | Some(Some("auto")) => Ok("on_demand".to_owned()),
        Some(Some(tier @ ("on_demand" | "flex" | "performance"))) => Ok(tier.to_owned()),
        Some(_) => Err(Refusal::invalid(
            "'service_tier' : value must be one of [auto, on_demand, flex, performance]",
            Some("service_tier"),
        )),
    }
}

pub(super) fn tools(fields: &Fields) -> Result<Vec<Tool>, Refusal> {
    let Some(tools) = fields.get("tools") else {
        return Ok(Vec::new());
    };
    let Value::Array(tools) = tools else {
        return Err(Refusal::invalid("'tools' : value must be an array", Some("tools")));
    };
    if tools.len() > 128 {
        return Err(Refusal::invalid(
            "'tools' : maximum number of items is 128",
            Some("tools"),
        ));
    }
    tools
        .iter()
        .enumerate()
        .map(
            |(index, tool)| match (tool["type"].as_str(), tool["function"]["name"].as_str()) {
                (Some("function"), Some(name)) => Ok(Tool {
                    name: name.to_owned(),
                    parameters: tool["function"]["parameters"].clone(),
                }),
                _ => Err(Refusal::invalid(
                    &format!("'tools.{index}' : value must be a function with a name"),
                    Some(&format!("tools.{index}")),
                )),
            },
        )
        .collect()
}

pub(super) fn tool_choice(fields: &Fields, tools: &[Tool]) -> Result<ToolChoice, Refusal> {
    let wrong = |why: String| Refusal::invalid(&format!("'tool_choice' : {why}"), Some("tool_choice"));
    let choice = match fields.get("tool_choice") {
        None => {
            return Ok(if tools.is_empty() {
                ToolChoice::None
            } else {
                ToolChoice::Auto
            });
        }
        Some(Value::String(word)) => match word.as_str() {
            "none" => return Ok(ToolChoice::None),
            "auto" => ToolChoice::Auto,
            "required" => ToolChoice::Required,
            _ => {
                return Err(wrong(
                    "value must be one of [none, auto, required] or a function".to_owned(),
                ));
            }
        },
        Some(named) => match named["function"]["name"].as_str() {
            Some(name) if tools.iter().any(|tool| tool.name == name) => ToolChoice::Named(name.to_owned()),
            Some(name) => return Err(wrong(format!("function '{name}' is not among the tools"))),
            None => {
                return Err(wrong(
                    "value must be one of [none, auto, required] or a function".to_owned(),
                ));
            }
        },
    };
    if tools.is_empty() {
        Err(wrong("there are no tools".to_owned()))
    } else {
        Ok(choice)
    }
}

pub(super) fn format(
    fields: &Fields,
    model: &Model,
    stream: bool,
    messages: &[Message],
    tools: &[Tool],
) -> Result<Format, Refusal> {
    let wrong = |why: &str| Refusal::invalid(why, Some("response_format"));
    let Some(format) = fields.get("response_format") else {
        return Ok(Format::Text);
    };
    match format["type"].as_str() {
        Some("text") => Ok(Format::Text),
        Some("json_object") => {
            if messages
                .iter()
                .any(|message| message.text.to_lowercase().contains("json"))
            {
                return Ok(Format::JsonObject);
            }
            Err(wrong(
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            ))
        }
        Some("json_schema") => {
            let schema = &format["json_schema"];
            if !model.strict_schema {
                return Err(wrong(&format!(
                    "This model does not support response format `json_schema`: `{}`",
                    model.id
                )));
            }
            if stream || !tools.is_empty() {
                return Err(wrong(
                    "response format `json_schema` cannot be used with streaming or tools",
                ));
            }
            if schema["name"].as_str().is_none() || !schema["schema"].is_object() {
                return Err(wrong("'response_format.json_schema' : needs a name and a schema"));
            }
            if schema["strict"] == true {
                strict::check(&schema["schema"]).map_err(|why| {
                    let name = schema["name"].as_str().unwrap_or_default();
                    wrong(&format!("invalid JSON schema for response_format: '{name}': {why}"))
                })?;
            }
            Ok(Format::JsonSchema(schema["schema"].clone()))
        }
        _ => Err(wrong(
            "'response_format.type' : value must be one of [text, json_object, json_schema]",
        )),
    }
}

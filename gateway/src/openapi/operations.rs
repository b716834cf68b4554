//! One RPC as an operation.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::comments::Comments;
use super::schemas::{Schemas, Way, is_required};
use super::{errors, examples, is_stream};
use crate::bindings::{Binding, Body, parameter};

pub(super) fn describe(binding: &Binding, comments: &Comments, schemas: &mut Schemas<'_>) -> anyhow::Result<Value> {
    let rpc = &binding.rpc;
    let comment = comments.at(&rpc.parent_file(), rpc.path());
    let mut operation = json!({
        "operationId": rpc.name(),
        "tags": [rpc.parent_service().name()],
        "summary": summary(comment),
        "description": comment,
        "parameters": parameters(binding, schemas)?,
        "responses": errors::of(comment, binding),
    });
    operation["responses"]["200"] = success(binding, schemas);
    if binding.is_anonymous() {
        operation["security"] = json!([]);
    }
    if let Some((message, place)) = binding.body_message() {
        let bound: Vec<_> = binding
            .bound()
            .filter_map(|field| {
                if place.is_empty() {
                    Some(field)
                } else {
                    field.strip_prefix(place)?.strip_prefix('.')
                }
            })
            .collect();
        let mut content = json!({"schema": schemas.message(&message, Way::Sent, &bound)});
        if let Some(example) = examples::request(rpc.name()) {
            content["examples"] = json!({"usual": {"value": example}});
        }
        operation["requestBody"] = json!({
            "required": message.fields().any(|field| {
                !bound.contains(&field.name()) && is_required(schemas.comment(&field))
            }),
            "content": {"application/json": content},
        });
    }
    Ok(operation)
}

/// The first sentence.
fn summary(comment: &str) -> &str {
    let paragraph = comment.split("\n\n").next().unwrap_or_default();
    let sentence = paragraph.split(". ").next().unwrap_or_default();
    sentence.split(": ").next().unwrap_or_default().trim_end_matches('.')
}

fn parameters(binding: &Binding, schemas: &mut Schemas<'_>) -> anyhow::Result<Value> {
    let mut parameters = Vec::new();
    for path in binding.bound() {
        let mut message = binding.rpc.input();
        let mut steps = path.split('.').peekable();
        let field = loop {
            let step = steps.next().context("a path ends in a field")?;
            let field = message.get_field_by_name(step).with_context(|| path.to_owned())?;
            if steps.peek().is_none() {
                break field;
            }
            message = field.kind().as_message().cloned().with_context(|| path.to_owned())?;
        };
        let mut schema = schemas.field(&field, Way::Sent);
        let mut description = plain(schemas.comment(&field)).to_owned();
        if path.contains('.') {
            // The id inside a message that is sent says who gave it; here it is the caller's.
            description = "The ticket's UUID.".to_owned();
            schema["format"] = "uuid".into();
        }
        strip_description(&mut schema);
        if schema.get("format").is_none() {
            schema["minLength"] = 1.into();
        }
        let mut described = json!({
            "name": parameter(path), "in": "path", "required": true, "description": description, "schema": schema,
        });
        if described["schema"]["format"] == "uuid" {
            described["example"] = examples::ID.into();
        }
        parameters.push(described);
    }
    let in_body = match &binding.body {
        Body::Whole => return Ok(parameters.into()),
        Body::Field(field) => field.as_str(),
        Body::None => "",
    };
    let bound: Vec<_> = binding.bound().collect();
    for field in binding.rpc.input().fields() {
        if field.name() == in_body || bound.contains(&field.name()) {
            continue;
        }
        let comment = schemas.comment(&field);
        let mut schema = schemas.field(&field, Way::Sent);
        strip_description(&mut schema);
        let mut described = json!({
            "name": field.name(), "in": "query", "description": plain(comment), "schema": schema,
        });
        if is_required(comment) {
            described["required"] = true.into();
        }
        if field.is_list() {
            described["style"] = "form".into();
            described["explode"] = true.into();
        }
        parameters.push(described);
    }
    Ok(parameters.into())
}

fn strip_description(schema: &mut Value) {
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("description");
    }
}

/// Without what the document says in another way.
fn plain(comment: &str) -> &str {
    comment
        .strip_prefix("Required. ")
        .or_else(|| comment.strip_prefix("Optional. "))
        .unwrap_or(comment)
}

fn success(binding: &Binding, schemas: &mut Schemas<'_>) -> Value {
    let reference = schemas.message(&binding.rpc.output(), Way::Answered, &[]);
    if !is_stream(binding) {
        let mut content = json!({"schema": reference});
        if let Some(example) = examples::response(binding.rpc.name()) {
            content["examples"] = json!({"usual": {"value": example}});
        }
        return json!({"description": "It is done.", "content": {"application/json": content}});
    }
    let mut content = json!({
        // One of the events.
        "schema": {
            "type": "object",
            "description": "A server-sent event: one line of `data:` with a JSON object, and an empty line.",
            "required": ["data"],
            "properties": {"data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": reference,
            }},
        },
    });
    if let Some(Value::String(example)) = examples::response(binding.rpc.name()) {
        content["examples"] = json!({"usual": {"value": example}});
    }
    json!({
        "description": "A stream. What ends it is told in it, since its status is said before its first event.",
        "content": {"text/event-stream": content},
    })
}

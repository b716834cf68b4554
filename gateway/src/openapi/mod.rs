//! The OpenAPI document, made of the contracts: paths, parameters and bodies as the transcoder maps them, comments as
//! descriptions. docs/openapi.json is what comes out; `./dev check` holds it against this.

mod comments;
mod errors;
mod examples;
mod operations;
mod schemas;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::bindings::{self, Binding, SERVICES};
use comments::Comments;
use schemas::Schemas;

const DESCRIPTION: &str = include_str!("description.md");

/// The document, as its file has it.
///
/// # Errors
/// Where the contracts hold something that cannot be described.
pub fn text() -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(&document()?)?;
    text.push('\n');
    Ok(text)
}

/// The document.
///
/// # Errors
/// Where the contracts hold something that cannot be described.
pub fn document() -> anyhow::Result<Value> {
    let pool = bindings::pool()?;
    let comments = Comments::of(&pool);
    let mut schemas = Schemas::new(&comments);
    let mut paths = Map::new();
    for binding in bindings::all(&pool)? {
        let operation = operations::describe(&binding, &comments, &mut schemas)
            .with_context(|| binding.rpc.full_name().to_owned())?;
        let path = paths.entry(binding.path()).or_insert_with(|| json!({}));
        path[binding.method.to_ascii_lowercase()] = operation;
    }
    let mut tags = Vec::new();
    for name in SERVICES {
        let service = pool.get_service_by_name(name).with_context(|| (*name).to_owned())?;
        let description = comments.at(&service.parent_file(), service.path());
        tags.push(json!({"name": service.name(), "description": description}));
    }
    let mut components = schemas.finish()?;
    components.extend(errors::schemas());
    Ok(sorted(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Deskhand",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A customer-support desk with an AI assistant",
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The gateway that this document comes from"}],
        "security": [{"accessToken": []}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": errors::responses(),
            "securitySchemes": {"accessToken": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "The `access_token` of a log-in. It lives 10 minutes.",
            }},
        },
    })))
}

/// With the names of every object in order, whatever the JSON library was built to keep.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            entries.into_iter().collect()
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        value => value,
    }
}

/// Whether the answer is a stream.
fn is_stream(binding: &Binding) -> bool {
    binding.rpc.is_server_streaming()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_what_the_contracts_say() {
        let committed = include_str!("../../../docs/openapi.json");
        assert!(
            committed == text().unwrap(),
            "docs/openapi.json is not what the contracts say; `./dev openapi` writes it anew"
        );
    }

    #[test]
    fn nothing_is_without_a_description() {
        let document = document().unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let place = format!("{method} {path}");
                assert!(!operation["description"].as_str().unwrap().is_empty(), "{place}");
                for parameter in operation["parameters"].as_array().unwrap() {
                    assert!(
                        !parameter["description"].as_str().unwrap().is_empty(),
                        "{place}: {parameter}"
                    );
                }
                assert!(operation["responses"]["200"]["content"].is_object(), "{place}");
                assert!(operation["responses"]["default"].is_object(), "{place}");
            }
        }
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            assert!(
                schema["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{name}"
            );
            for (property, value) in schema["properties"].as_object().into_iter().flatten() {
                assert!(value["description"].is_string(), "{name}.{property}");
            }
        }
    }

    #[test]
    fn names_of_operations_are_their_own() {
        let document = document().unwrap();
        let operations = document["paths"].as_object().unwrap().values();
        let mut names: Vec<_> = operations
            .flat_map(|methods| methods.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap().to_owned())
            .collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(count >= 38, "{count}");
    }
}

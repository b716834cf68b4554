//! A JSON value that fits a schema: for the arguments of tool calls and for structured answers.

use serde_json::{Map, Value, json};

/// Nesting beyond this is answered with null, so that a schema that refers to itself ends.
const DEEPEST: usize = 16;

/// Fills every property (strict schemas require them all); strings hold `text`, enumerations their first value.
pub(super) fn fill(schema: &Value, text: &str) -> Value {
    if schema.is_null() {
        return json!({});
    }
    fill_in(schema, schema, text, DEEPEST)
}

fn fill_in(root: &Value, schema: &Value, text: &str, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(pointer) = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'))
    {
        return root
            .pointer(pointer)
            .map_or(Value::Null, |target| fill_in(root, target, text, depth - 1));
    }
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    for list in ["enum", "anyOf", "oneOf"] {
        if let Some(first) = schema[list].get(0) {
            return if list == "enum" {
                first.clone()
            } else {
                fill_in(root, first, text, depth - 1)
            };
        }
    }
    let kind = schema["type"]
        .as_str()
        .or_else(|| schema["type"].get(0).and_then(Value::as_str));
    match kind {
        Some("string") => Value::String(text.to_owned()),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => Value::Bool(true),
        Some("array") => Value::Array(vec![fill_in(root, &schema["items"], text, depth - 1)]),
        Some("null") => Value::Null,
        _ => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            Value::Object(
                properties
                    .map(|(name, inner)| (name.clone(), fill_in(root, inner, text, depth - 1)))
                    .collect::<Map<_, _>>(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_is_filled() {
        let schema = json!({"type": "object", "properties": {
            "why": {"type": "string"}, "level": {"enum": ["low", "high"]}, "sure": {"type": "number"},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}}, "maybe": {"type": ["boolean", "null"]}},
            "$defs": {"tag": {"type": "string"}}});
        let filled = fill(&schema, "x");
        assert_eq!(
            filled,
            json!({"why": "x", "level": "low", "sure": 1, "tags": ["x"], "maybe": true})
        );
        assert_eq!(fill(&Value::Null, "x"), json!({}));
    }
}

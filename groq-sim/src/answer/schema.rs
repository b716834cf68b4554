//! A JSON value that fits a schema: for the arguments of tool calls and for structured answers.

use serde_json::{Map, Value, json};

/// Nesting beyond this is answered with null, so that a schema that refers to itself ends.
const DEEPEST: usize = 16;

/// More items than this are not made, whatever the schema asks for.
const MOST_ITEMS: u64 = 1000;

/// Nor longer strings.
const MOST_CHARACTERS: u64 = 100_000;

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
        Some("string") => Value::String(of_length(schema, text)),
        Some("integer" | "number") => number(schema),
        Some("boolean") => Value::Bool(true),
        Some("array") => {
            let bound = |name: &str| schema[name].as_u64().map(|count| count.min(MOST_ITEMS) as usize);
            let count = bound("minItems")
                .unwrap_or(1)
                .max(1)
                .min(bound("maxItems").unwrap_or(usize::MAX));
            Value::Array(vec![fill_in(root, &schema["items"], text, depth - 1); count])
        }
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

/// The text within `minLength` and `maxLength`, which count characters.
fn of_length(schema: &Value, text: &str) -> String {
    let bound = |name: &str| schema[name].as_u64().map(|count| count.min(MOST_CHARACTERS) as usize);
    let (least, most) = (
        bound("minLength").unwrap_or(0),
        bound("maxLength").unwrap_or(usize::MAX),
    );
    let missing = least.saturating_sub(text.chars().count());
    let filler = std::iter::repeat_n('x', missing);
    text.chars().chain(filler).take(most).collect()
}

/// A number within the bounds; 1 if it may be.
fn number(schema: &Value) -> Value {
    let bound = |name: &str| schema[name].as_i64();
    let least = bound("minimum").or(bound("exclusiveMinimum").map(|least| least.saturating_add(1)));
    let most = bound("maximum").or(bound("exclusiveMaximum").map(|most| most.saturating_sub(1)));
    if let (None, Some(least)) = (least, schema.get("minimum")) {
        return least.clone();
    }
    json!(1.max(least.unwrap_or(1)).min(most.unwrap_or(i64::MAX)))
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
        let bounded = json!({"type": "object", "properties": {
            "short": {"type": "string", "maxLength": 2}, "long": {"type": "string", "minLength": 5},
            "low": {"type": "integer", "maximum": 0}, "high": {"type": "integer", "exclusiveMinimum": 4},
            "half": {"type": "number", "minimum": 2.5},
            "two": {"type": "array", "minItems": 2, "items": {"type": "null"}}}});
        assert_eq!(
            fill(&bounded, "äöü"),
            json!({"short": "äö", "long": "äöüxx", "low": 0, "high": 5, "half": 2.5, "two": [null, null]})
        );
    }
}

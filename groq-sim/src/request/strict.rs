//! What a schema must have so that answers can be bound to it.

use serde_json::Value;

/// Every object names all of its properties as required and allows no others.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    walk("", schema)
}

fn walk(path: &str, schema: &Value) -> Result<(), String> {
    let Value::Object(fields) = schema else { return Ok(()) };
    if let Some(Value::Object(properties)) = fields.get("properties") {
        if schema["additionalProperties"] != false {
            return Err(format!(
                "{path}/additionalProperties: `additionalProperties:false` must be set on every object"
            ));
        }
        let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(missing) = properties
            .keys()
            .find(|name| !required.iter().any(|known| known == *name))
        {
            return Err(format!(
                "{path}/required: `required` is required to be supplied and to be an array including every key in \
                 properties. Missing '{missing}'"
            ));
        }
    } else if schema["type"] == "object" && schema["additionalProperties"] != false {
        return Err(format!(
            "{path}/additionalProperties: `additionalProperties:false` must be set on every object"
        ));
    }
    for group in ["properties", "$defs", "definitions"] {
        for (name, inner) in fields.get(group).and_then(Value::as_object).into_iter().flatten() {
            walk(&format!("{path}/{group}/{name}"), inner)?;
        }
    }
    for list in ["anyOf", "oneOf", "allOf"] {
        for (index, inner) in schema[list].as_array().into_iter().flatten().enumerate() {
            walk(&format!("{path}/{list}/{index}"), inner)?;
        }
    }
    walk(&format!("{path}/items"), &schema["items"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_property_is_required_and_no_other_is_allowed() {
        let inner = json!({"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]});
        let strict = json!({"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"],
            "additionalProperties": false});
        let outer = |inner: &Value| {
            json!({"type": "object", "properties": {"a": {"type": "array", "items": inner}}, "required": ["a"],
                "additionalProperties": false})
        };
        assert_eq!(check(&outer(&strict)), Ok(()));
        let why = check(&outer(&inner)).unwrap_err();
        assert!(why.starts_with("/properties/a/items/additionalProperties"), "{why}");
        let why = check(&json!({"properties": {"a": {}}, "additionalProperties": false})).unwrap_err();
        assert!(why.contains("/required") && why.contains("'a'"), "{why}");
    }
}

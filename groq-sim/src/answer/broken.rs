//! JSON that is not what was asked for, although the status is 200.

use serde_json::{Map, Value, json};

use crate::scenario::HowBroken;

const NO_SUCH_VALUE: &str = "no-such-value";

/// Spoils a value that fits the schema.
pub(super) fn spoil(value: Value, schema: &Value, how: HowBroken) -> String {
    let whole = value.to_string();
    match how {
        HowBroken::Invalid => {
            let half = whole
                .char_indices()
                .nth(whole.chars().count() / 2)
                .map_or(0, |(at, _)| at);
            whole[..half.max(1).min(whole.len())].to_owned()
        }
        HowBroken::ExtraText => format!("Here is the JSON that you asked for:\n{whole}\nI hope that helps."),
        HowBroken::Fenced => format!("```json\n{whole}\n```"),
        HowBroken::MissingField => with_object(value, |object| {
            let last = object.keys().next_back().cloned();
            last.and_then(|last| object.remove(&last));
        }),
        HowBroken::ExtraField => with_object(value, |object| {
            object.insert("unasked".to_owned(), json!("for"));
        }),
        HowBroken::WrongType => with_object(value, |object| {
            if let Some(first) = object.values_mut().next() {
                *first = if first.is_array() {
                    json!(1)
                } else {
                    json!(["wrong type"])
                };
            }
        }),
        HowBroken::WrongEnum => with_object(value, |object| {
            let known = object
                .keys()
                .find(|key| schema["properties"][*key].get("enum").is_some());
            let chosen = known.or_else(|| object.keys().next()).cloned();
            if let Some(chosen) = chosen {
                object.insert(chosen, json!(NO_SUCH_VALUE));
            }
        }),
    }
}

fn with_object(mut value: Value, change: impl FnOnce(&mut Map<String, Value>)) -> String {
    if let Value::Object(object) = &mut value {
        change(object);
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_breaks_one_thing() {
        let schema = json!({"properties": {"a": {"type": "string"}, "level": {"enum": ["low"]}}});
        let spoiled = |how| spoil(json!({"a": "ü", "level": "low"}), &schema, how);
        assert!(serde_json::from_str::<Value>(&spoiled(HowBroken::Invalid)).is_err());
        assert_eq!(spoiled(HowBroken::MissingField), r#"{"a":"ü"}"#);
        assert_eq!(spoiled(HowBroken::WrongEnum), r#"{"a":"ü","level":"no-such-value"}"#);
        assert_eq!(spoiled(HowBroken::WrongType), r#"{"a":["wrong type"],"level":"low"}"#);
        assert_eq!(
            spoiled(HowBroken::ExtraField),
            r#"{"a":"ü","level":"low","unasked":"for"}"#
        );
        assert!(spoiled(HowBroken::ExtraText).contains(r#"{"a":"ü","level":"low"}"#));
        assert!(spoiled(HowBroken::Fenced).starts_with("```json\n{"));
    }
}

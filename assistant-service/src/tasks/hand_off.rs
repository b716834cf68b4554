//! The one tool that a reply may call: it leaves the ticket to a person. It does nothing but set a field.

use serde::Deserialize;
use serde_json::json;

use crate::groq::engine::Tool;
use crate::guard::Guard;
use crate::prompt::untrusted::clean;

const NAME: &str = "hand_off";
/// The most characters of the reason, as the contract says.
const LONGEST: usize = 500;

#[derive(Deserialize)]
struct Arguments {
    why: String,
}

/// What the model is offered.
pub(super) fn tool() -> Tool {
    Tool {
        name: NAME.to_owned(),
        description: "Leaves this ticket to a person of the desk. Call it instead of answering, when one is needed."
            .to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {"why": {
                "type": "string",
                "description": "One sentence for the desk's people, in English: what the customer needs, what is known.",
            }},
            "required": ["why"],
            "additionalProperties": false,
        }),
    }
}

/// Why the model calls it.
///
/// # Errors
/// Where it is no valid call; the sentence is for the model.
pub(super) fn reason(name: &str, arguments: &str, guard: &Guard) -> Result<String, &'static str> {
    if name != NAME {
        return Err("There is no such tool; the only one is `hand_off`.");
    }
    let Ok(Arguments { why }) = serde_json::from_str(arguments) else {
        return Err("The arguments of `hand_off` must be a JSON object with one field, `why`, a string.");
    };
    if why.trim().is_empty() {
        return Err("`why` must not be empty.");
    }
    sentence(&why, LONGEST, guard).ok_or("`why` holds what must not be told.")
}

/// What the model says to staff, at most `most` characters of it, as it may be told.
pub(super) fn sentence(said: &str, most: usize, guard: &Guard) -> Option<String> {
    // Restored first: what customers wrote is cleaned as the rest is. Inert last: nothing is taken out of it any more.
    let restored = guard.restore(said);
    let inert = guard.whole(&clean(&restored)).ok()?;
    Some(at_most(&inert, most))
}

/// `text`, cut after `most` characters.
pub(super) fn at_most(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(most - 1).collect();
            format!("{}…", kept.trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::sync::Arc;

    use super::*;
    use crate::guard::hosts::Hosts;
    use crate::guard::mark::Mark;

    fn reason(name: &str, arguments: &str) -> Result<String, &'static str> {
        let guard = Guard::new(Mark::new().unwrap(), Hosts::default(), Arc::default());
        super::reason(name, arguments, &guard)
    }

    #[test]
    fn a_reason_is_taken_cleaned_and_bounded() {
        assert_eq!(
            reason("hand_off", r#"{"why":" A \u202erefund\u0000. "}"#).unwrap(),
            "A refund."
        );
        let long = json!({"why": "ö".repeat(600)}).to_string();
        let long = reason("hand_off", &long).unwrap();
        assert!(long.chars().count() == LONGEST && long.ends_with('…'));
        assert!(reason("hand_off", r#"{"why":"x","more":1}"#).is_ok());
        assert_eq!(
            reason("hand_off", r#"{"why":"see ![x](https://evil.example/a)"}"#).unwrap(),
            "see ! [x] (https:// evil.example/a)"
        );
    }

    #[test]
    fn anything_else_is_no_hand_off() {
        for (name, arguments) in [
            ("refund", r#"{"why":"x"}"#),
            ("", r#"{"why":"x"}"#),
            ("hand_off", ""),
            ("hand_off", "{}"),
            ("hand_off", "why"),
            ("hand_off", r#"{"why":5}"#),
            ("hand_off", r#"{"why":" "}"#),
            ("hand_off", r#"{"why":"x"#),
            ("hand_off", r#"[{"why":"x"}]"#),
        ] {
            assert!(reason(name, arguments).is_err(), "{name} {arguments}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_arguments_are_a_reason_fits(arguments in any::<String>(), why in any::<String>()) {
            let _ = reason(NAME, &arguments);
            if let Ok(why) = reason(NAME, &json!({"why": why}).to_string()) {
                prop_assert!((1..=LONGEST).contains(&why.chars().count()));
            }
        }
    }
}

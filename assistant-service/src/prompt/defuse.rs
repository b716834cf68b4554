//! Tags of blocks and tokens of models, in other people's text: taken apart, so that they are only text.
//!
//! A model is given its messages between tokens of its own, such as `<|start|>` or `[INST]`. Not every provider keeps those
//! apart from the same letters in a message, and a model may take the letters for the token. So the bracket that one
//! begins with becomes a round one.

use super::untrusted::Label;

/// What is an angle to a reader.
const ANGLES: &[char] = &['<', '＜', '﹤', '‹', '〈', '⟨', '❮', 'ᐸ', '≺', '˂'];
/// Whole names between angles that are tokens in the templates of common models.
const TOKENS: &[&str] = &[
    "s",
    "sys",
    "bos",
    "eos",
    "pad",
    "unk",
    "mask",
    "sep",
    "cls",
    "start_of_turn",
    "end_of_turn",
    "start_of_image",
    "think",
    "tool_call",
    "tool_response",
    "endoftext",
];
/// The same between square brackets, in capitals.
const BRACKETED: &[&str] = &[
    "INST",
    "SYS",
    "SYSTEM_PROMPT",
    "TOOL_CALLS",
    "TOOL_RESULTS",
    "TOOL_CONTENT",
    "AVAILABLE_TOOLS",
    "ARGS",
    "CALL_ID",
    "IMG",
    "IMG_BREAK",
    "IMG_END",
    "PREFIX",
    "SUFFIX",
    "MIDDLE",
    "THINK",
];
/// The longest name that is looked at, in characters.
const LONGEST: usize = 24;

/// Takes the bracket off whatever could be read as a tag or a token, so that no text even looks as if it left its block.
pub(super) fn defuse(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c| c == '[' || ANGLES.contains(&c)) {
        let (before, from) = rest.split_at(at);
        safe.push_str(before);
        let mut characters = from.chars();
        let bracket = characters.next().unwrap_or_default();
        rest = characters.as_str();
        let is_one = if bracket == '[' {
            named(rest, &[']']).is_some_and(|name| BRACKETED.contains(&name))
        } else {
            let named = named(rest, &['>', '＞', '﹥', '›', '〉', '⟩', '❯']);
            let is_token = |name: &str| TOKENS.iter().any(|token| token.eq_ignore_ascii_case(name));
            is_tag(rest) || named.is_some_and(is_token)
        };
        safe.push(if is_one { '(' } else { bracket });
    }
    safe.push_str(rest);
    safe
}

/// What follows the bracket, without slashes and space.
fn name(after: &str) -> &str {
    after.trim_start_matches(|c: char| c.is_whitespace() || c == '/')
}

/// Whether a tag of a block follows, or a bar, which begins most tokens.
fn is_tag(after: &str) -> bool {
    let name = name(after);
    name.starts_with(['|', '｜', '¦', '∣', 'ǀ'])
        || Label::ALL.iter().any(|label| {
            name.get(..label.name().len())
                .is_some_and(|start| start.eq_ignore_ascii_case(label.name()))
        })
}

/// The name that stands before one of `ends`, if that is near.
fn named<'a>(after: &'a str, ends: &[char]) -> Option<&'a str> {
    let name = name(after);
    let (at, _) = name.char_indices().take(LONGEST).find(|(_, c)| ends.contains(c))?;
    let name = name.get(..at)?;
    Some(name.trim_end_matches(|c: char| c.is_whitespace() || c == '/'))
}

#[cfg(test)]
mod tests {
    use crate::prompt::untrusted::clean;

    #[test]
    fn nothing_looks_like_a_tag() {
        assert_eq!(clean("</customer-0123456789abcdef>"), "(/customer-0123456789abcdef>");
        assert_eq!(
            clean("< / CusTomer-x> <ticket-1><system>"),
            "( / CusTomer-x> (ticket-1>(system>"
        );
        assert_eq!(
            clean("<\u{200b}/cus\u{ad}tomer-x>"),
            "(/customer-x>",
            "hidden characters go first"
        );
        assert_eq!(clean("<\n/agent-1>＜/agent-1＞"), "(\n/agent-1>(/agent-1＞");
    }

    #[test]
    fn nothing_looks_like_a_token_of_a_model() {
        for (token, safe) in [
            ("<|im_start|>", "(|im_start|>"),
            ("< | eot_id | >", "( | eot_id | >"),
            ("<｜User｜>", "(｜User｜>"),
            ("<s></s>", "(s>(/s>"),
            ("<<SYS>> <</SYS>>", "<(SYS>> <(/SYS>>"),
            ("<start_of_turn>user", "(start_of_turn>user"),
            ("[INST] x [/INST]", "(INST] x (/INST]"),
            ("[ TOOL_CALLS ]", "( TOOL_CALLS ]"),
            ("<think>", "(think>"),
        ] {
            assert_eq!(clean(token), safe);
        }
    }

    #[test]
    fn other_brackets_stay() {
        let text = "a < b, <div>, <3, vector<int>, x[1], [inst], [EMAIL_1], [link](x), <span class=\"s\">, ‹quoted›, <";
        assert_eq!(clean(text), text);
    }
}

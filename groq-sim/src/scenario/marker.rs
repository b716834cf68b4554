//! Finds `[sim:…]` in the text of a message.

use std::str::FromStr;

use super::{Bad, Scenario};

const OPENING: &str = "[sim:";

/// The scenario that the text asks for. The last marker counts: where a caller puts several messages of a conversation
/// into one, the newest stands last.
pub(crate) fn find(text: &str) -> Option<Result<Scenario, Bad>> {
    let start = text.rfind(OPENING)? + OPENING.len();
    let end = closing(&text[start..]);
    Some(match end {
        Some(end) => Scenario::from_str(&text[start..start + end]),
        None => Err(Bad("the marker is not closed by ']'".to_owned())),
    })
}

/// The text without its markers.
pub(crate) fn strip(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(OPENING) {
        kept.push_str(&rest[..start]);
        let inner = &rest[start + OPENING.len()..];
        rest = closing(inner).map_or("", |end| &inner[end + 1..]);
    }
    kept.push_str(rest);
    kept
}

/// Where the first `]` outside of quotes stands.
fn closing(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b']' if !quoted => return Some(index),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_marker_counts_and_none_is_left() {
        let text = r#"a [sim:ok] b [sim:not-json body="x ] \" y"] c"#;
        assert_eq!(find(text).unwrap().unwrap().name(), "not-json");
        assert_eq!(strip(text), "a  b  c");
        assert!(find("nothing [here]").is_none());
        assert!(find("[sim:ok").unwrap().is_err());
    }
}

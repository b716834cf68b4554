//! Text from elsewhere, made fit to be shown: what a customer wrote must not steer an agent's terminal.

use std::borrow::Cow;

use prost_types::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Text of any number of lines: characters that a terminal obeys, or that turn the direction of what follows, are
/// spelled out (`\u{1b}`); carriage returns are dropped.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hazard) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\r' => {}
            c if is_hazard(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Text for one line: as `visible`, and line breaks and tabs are spaces.
pub(crate) fn visible_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

/// The same for a JSON document, which stays the same document.
pub(crate) fn visible_json(document: &str) -> Cow<'_, str> {
    if !document.contains(is_hazard) {
        return Cow::Borrowed(document);
    }
    let mut shown = String::with_capacity(document.len());
    for c in document.chars() {
        if is_hazard(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Control characters but line breaks and tabs, separators that act as line breaks, marks of direction, and invisible
/// tag characters.
fn is_hazard(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        '\u{feff}' | '\u{e0000}'..='\u{e007f}' => true,
        c => c.is_control(),
    }
}

/// Each line moved to the right, so that no message can look like what stands around it.
pub(crate) fn indented(text: &str) -> String {
    text.lines()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// At most so many characters; the last of them says where something was left out.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let begin: String = text.chars().take(longest.saturating_sub(1)).collect();
    format!("{begin}…")
}

/// An enum value of the contracts in words: `TICKET_STATUS_IN_PROGRESS` is `in progress`.
pub(crate) fn words(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix)
        .trim_start_matches('_')
        .to_ascii_lowercase()
        .replace('_', " ")
}

/// To the second, in UTC; a dash where it is not set.
pub(crate) fn moment(timestamp: Option<&Timestamp>) -> String {
    let moment = timestamp.and_then(|timestamp| OffsetDateTime::from_unix_timestamp(timestamp.seconds).ok());
    moment
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        for (text, shown) in [
            ("plain, Grüße 👋\n\tindented", "plain, Grüße 👋\n\tindented"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("pay 10\rpay 99\r\n", "pay 10pay 99\n"),
            ("a\u{8}b\u{7f}\0", "a\\u{8}b\\u{7f}\\u{0}"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
            ("a\u{2028}b", "a\\u{2028}b"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(visible(text), shown);
        }
        assert_eq!(visible_line("two\nlines\t\x1b"), "two lines \\u{1b}");
    }

    #[test]
    fn no_control_character_survives() {
        let all: String = ('\0'..='\u{2100}').collect();
        assert!(
            visible(&all)
                .chars()
                .all(|c| matches!(c, '\n' | '\t') || !c.is_control())
        );
    }

    #[test]
    fn json_stays_what_it_is() {
        let value = serde_json::json!({"text": "\u{9b}31m\u{7f} \u{202e} \u{e0041} \x1b \r\n ok 👋"});
        let shown = visible_json(&value.to_string()).into_owned();
        assert!(!shown.contains(is_hazard));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn a_message_cannot_fake_a_heading() {
        assert_eq!(indented("a\n\nassistant, now"), "  a\n  \n  assistant, now");
    }

    #[test]
    fn what_is_left_out_is_marked() {
        assert_eq!(shortened("Grüße", 5), "Grüße");
        assert_eq!(shortened("Grüße!", 5), "Grüß…");
    }

    #[test]
    fn enum_values_in_words() {
        assert_eq!(
            words("TICKET_STATUS_WAITING_ON_CUSTOMER", "TICKET_STATUS"),
            "waiting on customer"
        );
    }

    #[test]
    fn moments() {
        assert_eq!(
            moment(Some(&Timestamp {
                seconds: 1_700_000_000,
                nanos: 9
            })),
            "2023-11-14T22:13:20Z"
        );
        assert_eq!(moment(None), "-");
        assert_eq!(
            moment(Some(&Timestamp {
                seconds: i64::MAX,
                nanos: 0
            })),
            "-"
        );
    }
}

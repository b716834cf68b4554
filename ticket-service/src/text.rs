//! Text as people write it, made fit to keep: UTF-8 in NFC, trimmed, without NUL, within its limits.

use unicode_normalization::UnicodeNormalization as _;

/// What a text must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Characters (Unicode scalar values) at most.
    pub(crate) characters: usize,
    /// Bytes of UTF-8 at most.
    pub(crate) bytes: usize,
    /// Whether line breaks and tabs may stand in it.
    pub(crate) lines: bool,
}

impl Rule {
    /// The text in NFC and trimmed; else what is wrong with it, as the end of a sentence about it.
    pub(crate) fn parse(self, text: &str) -> Result<String, String> {
        // NFC at most triples the length (UAX 15); what is beyond that is refused unread.
        if text.len() > self.bytes * 4 {
            return Err(self.too_long());
        }
        let text: String = text.nfc().collect();
        let text = text.trim();
        if text.is_empty() {
            return Err("is required".to_owned());
        }
        if text.len() > self.bytes || text.chars().count() > self.characters {
            return Err(self.too_long());
        }
        if let Some(unfit) = text.chars().find(|&c| self.is_unfit(c)) {
            return Err(format!("must not contain the character U+{:04X}", u32::from(unfit)));
        }
        Ok(text.to_owned())
    }

    fn too_long(self) -> String {
        format!(
            "must have at most {} characters and {} bytes",
            self.characters, self.bytes
        )
    }

    fn is_unfit(self, c: char) -> bool {
        if self.lines {
            // PostgreSQL's text cannot hold NUL; other controls are harmless in a body, and kept out of prompts there.
            return c == '\0';
        }
        c.is_control() || is_line_break(c) || changes_direction(c)
    }
}

fn is_line_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// The explicit directional embeddings, overrides and isolates of UAX 9.
fn changes_direction(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: Rule = Rule {
        characters: 10,
        bytes: 20,
        lines: false,
    };
    const BODY: Rule = Rule {
        characters: 10,
        bytes: 20,
        lines: true,
    };

    #[test]
    fn limits_are_in_characters_and_in_bytes_after_trimming() {
        assert_eq!(LINE.parse("  0123456789  ").unwrap(), "0123456789");
        assert!(LINE.parse("0123456789a").is_err());
        assert!(LINE.parse("ééééééééé").is_ok());
        assert!(LINE.parse("€€€€€€€").is_err(), "21 bytes");
        assert!(LINE.parse(" \n\t ").is_err());
        assert!(LINE.parse(&"x".repeat(1 << 20)).is_err());
    }

    #[test]
    fn composed_and_decomposed_are_one() {
        assert_eq!(LINE.parse("e\u{301}").unwrap(), "é");
    }

    #[test]
    fn what_may_stand_in_it() {
        for unfit in ["a\0b", "a\nb", "a\u{202E}b", "a\u{2028}b", "a\u{1B}b"] {
            assert!(LINE.parse(unfit).is_err(), "{unfit:?}");
        }
        assert!(BODY.parse("a\nb\tc").is_ok());
        assert!(BODY.parse("a\0b").is_err());
    }

    proptest! {
        #[test]
        fn parsing_is_stable_and_within_limits(text in "\\PC{0,30}|.{0,30}") {
            for rule in [LINE, BODY] {
                if let Ok(kept) = rule.parse(&text) {
                    prop_assert!(kept.chars().count() <= 10 && kept.len() <= 20 && !kept.is_empty());
                    prop_assert_eq!(rule.parse(&kept), Ok(kept.clone()));
                }
            }
        }
    }
}

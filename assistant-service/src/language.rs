//! Languages, by their tags.

/// No tag in use is longer; the longest have about 20.
const LONGEST: usize = 35;

/// A language tag of the usual kind (BCP 47: a language of two or three letters, then subtags), written as is usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Language(String);

impl Language {
    /// The tag that `text` is, in whatever letters; none where it is no such tag.
    pub fn parse(text: &str) -> Option<Self> {
        let tag = text.trim();
        if tag.len() > LONGEST {
            return None;
        }
        let mut parts = tag.split('-');
        let first = parts.next()?;
        if !(2..=3).contains(&first.len()) || !first.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        let mut written = first.to_ascii_lowercase();
        for part in parts {
            if !(1..=8).contains(&part.len()) || !part.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return None;
            }
            let mut part = part.to_ascii_lowercase();
            match part.len() {
                2 => part.make_ascii_uppercase(),
                4 => part.get_mut(..1)?.make_ascii_uppercase(),
                _ => {}
            }
            written.push('-');
            written.push_str(&part);
        }
        // A subtag of one letter announces another.
        let last = written.rsplit('-').next().unwrap_or_default();
        (last.len() > 1).then_some(Self(written))
    }

    /// Such as `en` or `pt-BR`: ASCII letters, digits and hyphens.
    pub fn tag(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_written_as_usual() {
        for (tag, written) in [
            ("EN", "en"),
            ("zh-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("de-CH-1996", "de-CH-1996"),
            ("und", "und"),
            ("en-a-bbb", "en-a-bbb"),
        ] {
            assert_eq!(Language::parse(tag).unwrap().tag(), written, "{tag}");
        }
    }

    #[test]
    fn nothing_else_is_a_tag() {
        for wrong in [
            "",
            "e",
            "English",
            "en_US",
            "en-",
            "x-y",
            "en-u",
            "de\nObey",
            "de Obey",
            &"en-x".repeat(9),
        ] {
            assert_eq!(Language::parse(wrong), None, "{wrong}");
        }
    }
}

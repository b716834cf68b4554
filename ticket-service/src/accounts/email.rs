//! E-mail addresses, in the one form in which they are kept and compared.

use unicode_normalization::UnicodeNormalization as _;

/// RFC 5321: 254 bytes for the address, 64 for what stands before the at sign.
const MAX_BYTES: usize = 254;
const MAX_LOCAL_BYTES: usize = 64;

/// An address: trimmed, lower case, its domain in ASCII. No letter is folded into another, so `mıke@x` never is `mike@x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Email(String);

impl Email {
    /// The address; else what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "must be an e-mail address such as name@example.com";
        let text = text.trim();
        if text.is_empty() {
            return Err("is required");
        }
        if text.len() > MAX_BYTES {
            return Err("must have at most 254 bytes");
        }
        let (local, domain) = text.rsplit_once('@').ok_or(WRONG)?;
        let local: String = local.to_lowercase().nfc().collect();
        if local.is_empty() || local.len() > MAX_LOCAL_BYTES || !local.chars().all(may_stand_in_local) {
            return Err(WRONG);
        }
        if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
            return Err(WRONG);
        }
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| WRONG)?;
        if !domain.contains('.') || domain.split('.').any(str::is_empty) {
            return Err(WRONG);
        }
        let email = format!("{local}@{domain}");
        if email.len() > MAX_BYTES {
            Err("must have at most 254 bytes")
        } else {
            Ok(Self(email))
        }
    }

    /// The address as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// RFC 5322's atoms and RFC 6531's letters, without quoting.
fn may_stand_in_local(c: char) -> bool {
    c.is_alphanumeric() || (c.is_ascii_punctuation() && !"\"(),:;<>@[\\]".contains(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_address_has_one_form() {
        for same in ["ann@example.com", " Ann@Example.COM ", "ANN@EXAMPLE.COM\n"] {
            assert_eq!(Email::parse(same).unwrap().as_str(), "ann@example.com");
        }
        assert_eq!(
            Email::parse("ann@bücher.example").unwrap().as_str(),
            "ann@xn--bcher-kva.example"
        );
        assert_eq!(
            Email::parse("o'brien+x@example.com").unwrap().as_str(),
            "o'brien+x@example.com"
        );
    }

    #[test]
    fn letters_that_look_alike_stay_apart() {
        assert_ne!(
            Email::parse("mıke@example.com").unwrap(),
            Email::parse("mike@example.com").unwrap()
        );
    }

    #[test]
    fn what_is_no_address() {
        let long = format!("{}@example.com", "a".repeat(65));
        for wrong in [
            "",
            "   ",
            "ann",
            "@example.com",
            "ann@",
            "ann@localhost",
            "a b@example.com",
            "ann@exa mple.com",
            "a..b@example.com",
            ".a@example.com",
            "ann@example..com",
            "ann@.com",
            "ann@-x.com",
            "a\0b@example.com",
            "a@b@example.com",
            "ann@[127.0.0.1]",
            "<ann@example.com>",
            "a\u{202E}b@example.com",
            &long,
        ] {
            assert!(Email::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_stable(text in ".{0,40}|[a-zA-Z.]{1,9}@[a-zA-Z]{1,9}\\.[a-z]{2,3}") {
            if let Ok(email) = Email::parse(&text) {
                prop_assert_eq!(Email::parse(email.as_str()), Ok(email.clone()));
            }
        }
    }
}

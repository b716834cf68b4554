//! Passwords: what they must be. How they are kept stands in `hashing`.

mod common;
mod hashing;
mod slots;

pub(crate) use hashing::Passwords;

use secrecy::{ExposeSecret as _, SecretString};
use unicode_normalization::UnicodeNormalization as _;

/// NIST 800-63B-4 wants room for 64; more than this only costs time.
const MOST_CHARACTERS: usize = 256;
/// As many characters of four bytes; NFKC is only asked of what is short.
const MOST_BYTES: usize = 1024;
/// The least that a setting can make it.
const LEAST_CHARACTERS: usize = 8;
const PRODUCT: &str = "deskhand";

/// A password that may be hashed: in NFKC, within its limits.
#[derive(Clone, Debug)]
pub(crate) struct Password(SecretString);

impl Password {
    /// A new password for the account of `email` (empty where that is not known); else what is wrong with it.
    /// [`Passwords::long_enough`] asks for more where the desk wants longer ones.
    pub(crate) fn parse_new(text: &str, email: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is required");
        }
        let password = Self::parse_given(text).ok_or("must have at most 256 characters and no NUL")?;
        if password.characters() < LEAST_CHARACTERS {
            return Err("must have at least 8 characters");
        }
        let folded = password.0.expose_secret().to_lowercase();
        if is_of_email(&folded, email) {
            return Err("must not be the e-mail address or its beginning");
        }
        if is_of_product(&folded) {
            return Err("must not be the product's name");
        }
        if common::contains(&folded) {
            return Err("must not be one of the most common passwords");
        }
        Ok(password)
    }

    /// A password that someone logs in with; `None` where it can be nobody's.
    pub(crate) fn parse_given(text: &str) -> Option<Self> {
        if text.len() > MOST_BYTES || text.contains('\0') {
            return None;
        }
        let text: String = text.nfkc().collect();
        (text.chars().count() <= MOST_CHARACTERS).then(|| Self(text.into()))
    }

    /// As NIST 800-63B-4 counts: code points.
    fn characters(&self) -> usize {
        self.0.expose_secret().chars().count()
    }
}

/// Whether it is the address, or what stands before its at sign where that is long enough to be a password.
fn is_of_email(folded: &str, email: &str) -> bool {
    let email = email.nfkc().collect::<String>().to_lowercase();
    email == folded || email.rsplit_once('@').is_some_and(|(local, _)| local == folded)
}

/// Whether it is the product's name, with nothing but digits and signs around and between.
fn is_of_product(folded: &str) -> bool {
    let letters: String = folded.chars().filter(|c| c.is_alphabetic()).collect();
    !letters.is_empty() && letters.replace(PRODUCT, "").is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(text: &str) -> bool {
        Password::parse_new(text, "ann.example@example.com").is_ok()
    }

    #[test]
    fn length_is_counted_in_characters_after_nfkc() {
        assert!(!accepts("1a2b3c4"));
        assert!(accepts("pässwört"));
        assert!(accepts(&"€".repeat(256)));
        assert!(!accepts(&"€".repeat(257)));
        assert!(!accepts(&"x".repeat(1_000_000)));
        assert!(!accepts("1a2b3c4\0x"));
        // One character that NFKC makes four of.
        assert!(accepts("㎯㎯"));
    }

    #[test]
    fn what_anyone_would_guess_first_is_refused() {
        for wrong in [
            "ann.example@example.com",
            "ANN.Example@example.COM",
            "Ann.Example",
            "deskhand",
            "Deskhand1!",
            "!!DESKHAND2026",
            "desk-hand",
            "deskhanddeskhand",
            "password",
            "Password123!",
            "qwertyuiop",
            "12345678",
            "aaaaaaaa",
            // Full-width letters, which NFKC makes plain ones.
            "ｐａｓｓｗｏｒｄ",
        ] {
            assert!(!accepts(wrong), "{wrong}");
        }
        for right in [
            "correct horse",
            "correct horse battery",
            "my deskhand rocks",
            "a new good one",
            "ann.example+1",
        ] {
            assert!(accepts(right), "{right}");
        }
        // Too short to be a password by itself, so nothing is said of what contains it.
        assert!(Password::parse_new("annannann1x", "ann@example.com").is_ok());
        assert!(Password::parse_new("correct horse", "").is_ok());
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".{0,300}", email in ".{0,40}") {
            if let Ok(password) = Password::parse_new(&text, &email) {
                let characters = password.characters();
                prop_assert!((LEAST_CHARACTERS..=MOST_CHARACTERS).contains(&characters));
                // What was accepted can be logged in with.
                let given = Password::parse_given(&text).unwrap();
                prop_assert_eq!(given.0.expose_secret(), password.0.expose_secret());
            }
        }
    }
}

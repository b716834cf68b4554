//! Passwords: what they must be, and hashing them off the async threads within a bound of memory.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unicode_normalization::UnicodeNormalization as _;

use crate::error::{Error, Result};

/// OWASP's password storage cheat sheet: Argon2id with m = 19 MiB, t = 2, p = 1.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How long a log-in waits for a slot before it is refused.
const PATIENCE: Duration = Duration::from_secs(5);

/// A password that may be hashed: in NFKC, within its limits.
#[derive(Clone, Debug)]
pub(crate) struct Password(SecretString);

impl Password {
    /// A new password; else what is wrong with it.
    pub(crate) fn parse_new(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is required");
        }
        let password = Self::parse_given(text).ok_or("must have at most 256 characters and no NUL")?;
        // NIST 800-63B-4 counts code points.
        if password.0.expose_secret().chars().count() < 8 {
            return Err("must have at least 8 characters");
        }
        Ok(password)
    }

    /// A password that someone logs in with; `None` where it can be nobody's.
    pub(crate) fn parse_given(text: &str) -> Option<Self> {
        // 256 characters are at most 1,024 bytes; NFKC can only be asked of what is short.
        if text.len() > 1024 || text.contains('\0') {
            return None;
        }
        let text: String = text.nfkc().collect();
        (text.chars().count() <= 256).then(|| Self(text.into()))
    }

    /// Whether it is this text, in any letter case.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.0.expose_secret().to_lowercase() == text.to_lowercase()
    }
}

/// Hashes passwords, so many at a time.
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    slots: Arc<Semaphore>,
    /// A hash of nobody's password, so that an unknown address takes as long as a known one.
    dummy: String,
}

impl Passwords {
    /// With `slots` passwords hashed at a time, or one per processor.
    pub(crate) fn new(slots: Option<usize>) -> Result<Self> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
            .map_err(|error| Error::internal("argon2 refuses its parameters", error))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let slots = slots
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
            .max(1);
        let dummy = hash(&argon2, &Password(uuid::Uuid::new_v4().to_string().into()))?;
        Ok(Self {
            argon2,
            slots: Arc::new(Semaphore::new(slots)),
            dummy,
        })
    }

    /// The password's hash, as a PHC string.
    pub(crate) async fn hash(&self, password: Password) -> Result<String> {
        let argon2 = self.argon2.clone();
        self.in_slot(move || hash(&argon2, &password)).await?
    }

    /// Whether the password belongs to the hash; where there is no hash or no password, false after the same time.
    pub(crate) async fn verify(&self, password: Option<Password>, phc: Option<String>) -> Result<bool> {
        let argon2 = self.argon2.clone();
        let known = password.is_some() && phc.is_some();
        let phc = phc.unwrap_or_else(|| self.dummy.clone());
        self.in_slot(move || {
            let phc = PasswordHash::new(&phc)
                .map_err(|error| Error::internal("a stored password hash cannot be read", error))?;
            let given = password.as_ref().map_or("", |password| password.0.expose_secret());
            Ok(argon2.verify_password(given.as_bytes(), &phc).is_ok() && known)
        })
        .await?
    }

    /// Runs `work` on a blocking thread. The permit goes with it: a caller who leaves does not free the memory.
    async fn in_slot<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let slot = tokio::time::timeout(PATIENCE, self.slots.clone().acquire_owned());
        let permit: OwnedSemaphorePermit = slot
            .await
            .map_err(|_| Error::Overloaded)?
            .map_err(|error| Error::internal("the slots are closed", error))?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        })
        .await
        .map_err(|error| Error::internal("hashing a password failed", error))
    }
}

fn hash(argon2: &Argon2<'_>, password: &Password) -> Result<String> {
    argon2
        .hash_password(password.0.expose_secret().as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| Error::internal("hashing a password failed", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself_fits_its_hash() {
        let passwords = Passwords::new(Some(2)).unwrap();
        let hash = passwords
            .hash(Password::parse_new("correct horse").unwrap())
            .await
            .unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");

        let verify = async |text: &str| {
            passwords
                .verify(Password::parse_given(text), Some(hash.clone()))
                .await
                .unwrap()
        };
        assert!(verify("correct horse").await);
        assert!(!verify("Correct horse").await);
        assert!(!verify("").await);
        assert!(
            !passwords
                .verify(Password::parse_given("correct horse"), None)
                .await
                .unwrap()
        );
        assert!(!passwords.verify(None, Some(hash.clone())).await.unwrap());
    }

    #[test]
    fn length_is_counted_in_characters_after_nfkc() {
        assert!(Password::parse_new("1234567").is_err());
        assert!(Password::parse_new("pässwört").is_ok());
        assert!(Password::parse_new(&"€".repeat(256)).is_ok());
        assert!(Password::parse_new(&"€".repeat(257)).is_err());
        assert!(Password::parse_new(&"x".repeat(1_000_000)).is_err());
        assert!(Password::parse_new("1234567\0x").is_err());
        // One character that NFKC makes four of.
        assert!(Password::parse_new("㎯㎯").is_ok());
    }
}

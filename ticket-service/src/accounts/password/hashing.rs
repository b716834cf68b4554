//! How passwords are kept: Argon2id, off the async threads, within a bound of memory.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, KeyId, Params, ParamsBuilder, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretSlice};

use super::Password;
use super::slots::{Memory, Slots};
use crate::error::{Error, Result};
use crate::settings;

const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = Params::DEFAULT_OUTPUT_LEN;
const PEPPER_BYTES: usize = 32;

/// Hashes passwords, so many at a time.
pub(crate) struct Passwords {
    hasher: Arc<Hasher>,
    slots: Slots,
    /// A hash of nobody's password, so that an unknown address takes as long as a known one.
    dummy: String,
    least_characters: usize,
}

/// One processor stays free of hashes. With all of them at it, a call in a hundred waits for the system to take one away from a
/// hash, which is 4 ms on Linux at 250 ticks a second, whatever the hash's niceness or class.
fn default_slots(processors: usize) -> usize {
    processors.saturating_sub(1).max(1)
}

impl Passwords {
    /// As the settings say.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub(crate) fn new(settings: &settings::Passwords) -> anyhow::Result<Self> {
        let hasher = Hasher::new(settings)?;
        let slots = settings
            .argon2_slots
            .unwrap_or_else(|| default_slots(std::thread::available_parallelism().map_or(1, usize::from)));
        let nobodys = Password(uuid::Uuid::new_v4().to_string().into());
        let dummy = hasher.hash(&nobodys, &mut Memory::default())?;
        Ok(Self {
            hasher: Arc::new(hasher),
            slots: Slots::start(slots).context("threads for passwords (ARGON2_SLOTS)")?,
            dummy,
            least_characters: settings.password_min_length.into(),
        })
    }

    /// Whether a new password is as long as the desk wants it; else what is wrong with it.
    pub(crate) fn long_enough(&self, password: &Password) -> Result<(), String> {
        if password.characters() < self.least_characters {
            return Err(format!("must have at least {} characters", self.least_characters));
        }
        Ok(())
    }

    /// The password's hash, as a PHC string.
    pub(crate) async fn hash(&self, password: Password) -> Result<String> {
        let hasher = self.hasher.clone();
        self.slots.run(move |memory| hasher.hash(&password, memory)).await?
    }

    /// Whether the password belongs to the hash; where there is no hash or no password, false after the same time.
    pub(crate) async fn verify(&self, password: Option<Password>, phc: Option<String>) -> Result<bool> {
        let hasher = self.hasher.clone();
        let known = password.is_some() && phc.is_some();
        let phc = phc.unwrap_or_else(|| self.dummy.clone());
        let verified = self.slots.run(move |memory| {
            let given = password.as_ref().map_or("", |password| password.0.expose_secret());
            hasher.verify(given, &phc, memory)
        });
        Ok(verified.await?? && known)
    }

    /// Whether the settings have become stronger since a hash was made.
    pub(crate) fn needs_rehash(&self, phc: &str) -> bool {
        PasswordHash::new(phc).is_ok_and(|phc| self.hasher.is_weaker(&phc))
    }
}

/// A key that goes into hashes and is not in the database. A hash names the key that is in it, so that one can be introduced
/// while there are hashes without.
struct Pepper {
    key: SecretSlice<u8>,
    id: KeyId,
}

impl Pepper {
    fn from_file(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)?;
        let key = STANDARD.decode(text.trim()).ok().context("it is not base64")?;
        anyhow::ensure!(key.len() >= PEPPER_BYTES, "it is shorter than {PEPPER_BYTES} bytes");
        let id = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), b"deskhand password pepper");
        let id = KeyId::new(id.as_ref().get(..Params::MAX_KEYID_LEN).unwrap_or_default())
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Self { key: key.into(), id })
    }
}

/// Argon2id with the parameters of new hashes.
struct Hasher {
    params: Params,
    pepper: Option<Pepper>,
}

impl Hasher {
    fn new(settings: &settings::Passwords) -> anyhow::Result<Self> {
        let read = |path: &Path| {
            Pepper::from_file(path)
                .with_context(|| format!("the key of passwords, {} (PASSWORD_PEPPER_FILE)", path.display()))
        };
        let pepper = settings.password_pepper_file.as_deref().map(read).transpose()?;
        let mut params = ParamsBuilder::new();
        params
            .m_cost(settings.argon2_memory_kib)
            .t_cost(settings.argon2_passes)
            .p_cost(LANES);
        if let Some(pepper) = &pepper {
            params.keyid(pepper.id);
        }
        let params = params
            .build()
            .map_err(|error| anyhow::anyhow!("argon2 refuses its parameters: {error}"))?;
        Ok(Self { params, pepper })
    }

    fn hash(&self, password: &Password, memory: &mut Memory) -> Result<String> {
        let (mut salt, mut output) = ([0; SALT_BYTES], [0; OUTPUT_BYTES]);
        aws_lc_rs::rand::fill(&mut salt).map_err(|error| Error::internal("there is no randomness", error))?;
        self.compute(
            self.params.clone(),
            password.0.expose_secret(),
            &salt,
            &mut output,
            memory,
        )?;
        let phc = || -> argon2::password_hash::Result<_> {
            Ok(PasswordHash {
                algorithm: ARGON2ID_IDENT,
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(&self.params)?,
                salt: Some(Salt::new(&salt)?),
                hash: Some(Output::new(&output)?),
            })
        };
        phc()
            .map(|phc| phc.to_string())
            .map_err(|error| Error::internal("a password's hash cannot be written", error))
    }

    fn verify(&self, given: &str, phc: &str, memory: &mut Memory) -> Result<bool> {
        let phc = PasswordHash::new(phc).map_err(|error| unreadable(error.into()))?;
        let params = Params::try_from(&phc).map_err(unreadable)?;
        let (Some(salt), Some(kept)) = (&phc.salt, &phc.hash) else {
            return Err(Error::Internal("a stored password hash cannot be read", None));
        };
        if phc.algorithm != ARGON2ID_IDENT || phc.version != Some(Version::V0x13.into()) {
            return Err(Error::Internal("a stored password hash is of another kind", None));
        }
        let knows_pepper = params.keyid().is_empty() || params.keyid() == self.params.keyid();
        if !knows_pepper {
            // It fails after the same time as any.
            tracing::error!("a password was kept with a key that is not in PASSWORD_PEPPER_FILE");
        }
        let mut output = vec![0; kept.len()];
        self.compute(params, given, salt, &mut output, memory)?;
        Ok(verify_slices_are_equal(&output, kept.as_bytes()).is_ok() && knows_pepper)
    }

    /// With the pepper where the parameters name one.
    fn compute(&self, params: Params, text: &str, salt: &[u8], output: &mut [u8], memory: &mut Memory) -> Result<()> {
        let pepper = self.pepper.as_ref().filter(|_| !params.keyid().is_empty());
        let key = pepper.map_or(&[][..], |pepper| pepper.key.expose_secret());
        let blocks = memory.blocks(params.block_count());
        Argon2::new_with_secret(key, Algorithm::Argon2id, Version::V0x13, params)
            .and_then(|argon2| argon2.hash_password_into_with_memory(text.as_bytes(), salt, output, blocks))
            .map_err(|error| Error::internal("hashing a password failed", error))
    }

    fn is_weaker(&self, phc: &PasswordHash) -> bool {
        let Ok(theirs) = Params::try_from(phc) else {
            return true;
        };
        phc.algorithm != ARGON2ID_IDENT
            || theirs.m_cost() < self.params.m_cost()
            || theirs.t_cost() < self.params.t_cost()
            || (self.pepper.is_some() && theirs.keyid() != self.params.keyid())
    }
}

fn unreadable(error: argon2::password_hash::Error) -> Error {
    Error::internal("a stored password hash cannot be read", error)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::PathBuf;

    use super::*;

    fn settings() -> settings::Passwords {
        settings::Passwords {
            argon2_slots: Some(2),
            argon2_memory_kib: 19_456,
            argon2_passes: 2,
            password_min_length: 8,
            password_pepper_file: None,
        }
    }

    fn new(text: &str) -> Password {
        Password::parse_new(text, "").unwrap()
    }

    async fn verify(passwords: &Passwords, text: &str, hash: &str) -> bool {
        passwords
            .verify(Password::parse_given(text), Some(hash.to_owned()))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn only_the_password_itself_fits_its_hash() {
        let passwords = Passwords::new(&settings()).unwrap();
        let hash = passwords.hash(new("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");

        assert!(verify(&passwords, "correct horse", &hash).await);
        assert!(!verify(&passwords, "Correct horse", &hash).await);
        assert!(!verify(&passwords, "", &hash).await);
        assert!(
            !passwords
                .verify(Password::parse_given("correct horse"), None)
                .await
                .unwrap()
        );
        assert!(!passwords.verify(None, Some(hash.clone())).await.unwrap());
        assert!(passwords.verify(None, Some("no hash".into())).await.is_err());
    }

    #[tokio::test]
    async fn a_hash_is_what_others_make_of_it() {
        use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

        let passwords = Passwords::new(&settings()).unwrap();
        let params = Params::new(19_456, 2, 1, None).unwrap();
        let theirs = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = theirs.hash_password(b"correct horse").unwrap().to_string();
        assert!(verify(&passwords, "correct horse", &hash).await);
        // Twice, so that the memory is no longer empty.
        for _ in 0..2 {
            let hash = passwords.hash(new("correct horse")).await.unwrap();
            let hash = PasswordHash::new(&hash).unwrap();
            theirs.verify_password(b"correct horse", &hash).unwrap();
        }
    }

    #[tokio::test]
    async fn a_stronger_setting_asks_for_a_new_hash_and_reads_the_old_one() {
        let before = Passwords::new(&settings()).unwrap();
        let hash = before.hash(new("correct horse")).await.unwrap();
        assert!(!before.needs_rehash(&hash));
        for stronger in [
            settings::Passwords {
                argon2_memory_kib: 20_000,
                ..settings()
            },
            settings::Passwords {
                argon2_passes: 3,
                ..settings()
            },
        ] {
            let now = Passwords::new(&stronger).unwrap();
            assert!(now.needs_rehash(&hash));
            assert!(verify(&now, "correct horse", &hash).await);
            let stronger = now.hash(new("correct horse")).await.unwrap();
            assert!(
                !now.needs_rehash(&stronger) && !before.needs_rehash(&stronger),
                "weaker settings ask for nothing"
            );
        }
        assert!(before.needs_rehash("$argon2i$v=19$m=65536,t=4,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo"));
    }

    fn pepper(folder: &tempfile::TempDir, name: &str, byte: u8) -> Option<PathBuf> {
        let path = folder.path().join(name);
        writeln!(fs::File::create(&path).unwrap(), "{}", STANDARD.encode([byte; 32])).unwrap();
        Some(path)
    }

    #[tokio::test]
    async fn a_hash_with_pepper_needs_that_pepper() {
        let folder = tempfile::tempdir().unwrap();
        let plain = Passwords::new(&settings()).unwrap();
        let with = |file| {
            Passwords::new(&settings::Passwords {
                password_pepper_file: file,
                ..settings()
            })
            .unwrap()
        };
        let (one, other) = (with(pepper(&folder, "one", 1)), with(pepper(&folder, "other", 2)));

        // It can be introduced while there are hashes without.
        let old = plain.hash(new("correct horse")).await.unwrap();
        assert!(verify(&one, "correct horse", &old).await && one.needs_rehash(&old));

        let hash = one.hash(new("correct horse")).await.unwrap();
        assert!(hash.contains("keyid="), "{hash}");
        assert!(!one.needs_rehash(&hash));
        assert!(verify(&one, "correct horse", &hash).await);
        assert!(!verify(&one, "wrong horse", &hash).await);
        assert!(!verify(&other, "correct horse", &hash).await);
        assert!(!verify(&plain, "correct horse", &hash).await);
    }

    #[test]
    fn a_pepper_must_be_there_and_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pepper");
        for content in [None, Some("c2hvcnQ="), Some("not base64!")] {
            if let Some(content) = content {
                fs::write(&path, content).unwrap();
            }
            let settings = settings::Passwords {
                password_pepper_file: Some(path.clone()),
                ..settings()
            };
            let error = format!("{:#}", Passwords::new(&settings).err().unwrap());
            assert!(error.contains("PASSWORD_PEPPER_FILE"), "{error}");
        }
    }

    #[test]
    fn a_desk_may_want_longer_ones() {
        let passwords = Passwords::new(&settings::Passwords {
            password_min_length: 12,
            ..settings()
        })
        .unwrap();
        assert!(passwords.long_enough(&new("elf zeichen")).is_err());
        assert!(passwords.long_enough(&new("zwölf zeichen")).is_ok());
    }
}

//! The desk's secret: 256 bits that all replicas share, and what is made with it.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use aws_lc_rs::aead::{AES_256_GCM, AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

const SECRET_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// Keys derived from the desk's secret, one per use.
pub(crate) struct Secret {
    fingerprints: hmac::Key,
    sealing: RandomizedNonceKey,
    sealing_often: RandomizedNonceKey,
}

impl Secret {
    /// Reads the secret from a file, which is made, readable to its owner only, where there is none.
    pub(crate) fn from_file(path: &Path) -> anyhow::Result<Self> {
        let secret = read_or_make(path)
            .with_context(|| format!("the desk's secret, {} (DESKHAND_SECRET_FILE)", path.display()))?;
        Self::derive(&secret)
    }

    fn derive(secret: &[u8]) -> anyhow::Result<Self> {
        let root = Salt::new(HKDF_SHA256, b"deskhand").extract(secret);
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, &key(&root, b"seal")?)?;
        let sealing_often = RandomizedNonceKey::new(&AES_256_GCM_SIV, &key(&root, b"seal often")?)?;
        let fingerprints = hmac::Key::new(hmac::HMAC_SHA256, &key(&root, b"fingerprint")?);
        Ok(Self {
            fingerprints,
            sealing,
            sealing_often,
        })
    }

    /// A keyed hash of the parts, each told apart from its neighbours.
    pub(crate) fn fingerprint(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.fingerprints);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().to_vec()
    }

    /// Encrypts `text` for URL-safe passage through a caller's hands, bound to `context`.
    pub(crate) fn seal(&self, text: &[u8], context: &[u8]) -> Option<String> {
        seal(&self.sealing, text, context)
    }

    /// What was sealed for the same context; `None` for anything else.
    pub(crate) fn open(&self, sealed: &str, context: &[u8]) -> Option<Vec<u8>> {
        open(&self.sealing, sealed, context)
    }

    /// [`Self::seal`] for what is sealed millions of times a day. AES-GCM's random nonces are good for 2^32 texts a key (NIST
    /// SP 800-38D, 8.3); AES-GCM-SIV (RFC 8452) keeps its promises even where a nonce comes twice.
    pub(crate) fn seal_often(&self, text: &[u8], context: &[u8]) -> Option<String> {
        seal(&self.sealing_often, text, context)
    }

    /// What [`Self::seal_often`] sealed for the same context; `None` for anything else.
    pub(crate) fn open_often(&self, sealed: &str, context: &[u8]) -> Option<Vec<u8>> {
        open(&self.sealing_often, sealed, context)
    }
}

fn seal(key: &RandomizedNonceKey, text: &[u8], context: &[u8]) -> Option<String> {
    let mut sealed = text.to_vec();
    let nonce = key.seal_in_place_append_tag(Aad::from(context), &mut sealed).ok()?;
    Some(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &sealed].concat()))
}

fn open(key: &RandomizedNonceKey, sealed: &str, context: &[u8]) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut sealed = sealed.to_vec();
    Some(key.open_in_place(nonce, Aad::from(context), &mut sealed).ok()?.to_vec())
}

fn key(root: &Prk, purpose: &[u8]) -> anyhow::Result<[u8; SECRET_BYTES]> {
    let mut key = [0; SECRET_BYTES];
    root.expand(&[purpose], HKDF_SHA256)?.fill(&mut key)?;
    Ok(key)
}

fn read_or_make(path: &Path) -> anyhow::Result<Vec<u8>> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // Made whole under another name, then linked: whoever comes second reads the first one's.
    let mut fresh = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut fresh)?;
    let draft = path.with_extension(format!("new-{}", uuid::Uuid::new_v4()));
    match fs::read_to_string(path) {
        Err(missing) if missing.kind() == ErrorKind::NotFound => {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&draft)?;
            writeln!(file, "{}", STANDARD.encode(fresh))?;
            file.sync_all()?;
            let linked = fs::hard_link(&draft, path);
            fs::remove_file(&draft)?;
            linked.or_else(|error| {
                if error.kind() == ErrorKind::AlreadyExists {
                    Ok(())
                } else {
                    Err(error)
                }
            })?;
        }
        Err(unreadable) => return Err(unreadable.into()),
        Ok(_) => {}
    }
    let secret = STANDARD
        .decode(fs::read_to_string(path)?.trim())
        .context("it is not base64")?;
    anyhow::ensure!(secret.len() >= SECRET_BYTES, "it is shorter than {SECRET_BYTES} bytes");
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_file_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/secret");
        let first = Secret::from_file(&path).unwrap();
        let second = Secret::from_file(&path).unwrap();

        assert_eq!(first.fingerprint(&[b"x"]), second.fingerprint(&[b"x"]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_short_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "c2hvcnQ=").unwrap();
        assert!(Secret::from_file(&path).is_err());
    }

    proptest! {
        #[test]
        fn only_what_was_sealed_for_the_context_opens(text: Vec<u8>, context: Vec<u8>, other: Vec<u8>, at: prop::sample::Index) {
            let secret = Secret::derive(&[7; 32]).unwrap();
            let sealed = secret.seal(&text, &context).unwrap();
            prop_assert_eq!(secret.open(&sealed, &context), Some(text));
            if other != context {
                prop_assert_eq!(secret.open(&sealed, &other), None);
            }
            let mut forged = sealed.clone().into_bytes();
            let at = at.index(forged.len() - 1);
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            prop_assert_eq!(secret.open(std::str::from_utf8(&forged).unwrap(), &context), None);
        }

        #[test]
        fn what_is_sealed_often_opens_as_such_only(text: Vec<u8>, context: Vec<u8>, other: Vec<u8>) {
            let secret = Secret::derive(&[7; 32]).unwrap();
            let sealed = secret.seal_often(&text, &context).unwrap();
            prop_assert_eq!(secret.open(&sealed, &context), None);
            if other != context {
                prop_assert_eq!(secret.open_often(&sealed, &other), None);
            }
            prop_assert_eq!(secret.open_often(&sealed, &context), Some(text));
        }

        #[test]
        fn nonsense_never_opens(text in ".{0,64}") {
            prop_assert_eq!(Secret::derive(&[7; 32]).unwrap().open(&text, b""), None);
        }

        #[test]
        fn fingerprints_tell_parts_apart(a: Vec<u8>, b: Vec<u8>) {
            let secret = Secret::derive(&[7; 32]).unwrap();
            let joined = [a.as_slice(), &b].concat();
            prop_assert_ne!(secret.fingerprint(&[&a, &b]), secret.fingerprint(&[&joined]));
        }
    }
}

//! The keys that sign access tokens: a folder of Ed25519 PKCS #8 PEM files. The last by name signs, all verify.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};

/// All keys in force.
pub struct Keys {
    signing: EncodingKey,
    signing_id: String,
    verifying: Vec<(String, DecodingKey)>,
}

impl Keys {
    /// Reads the folder; makes a first key, readable to its owner only, where there is none.
    ///
    /// # Errors
    /// Where the folder or a key in it cannot be read.
    pub fn from_folder(folder: &Path) -> anyhow::Result<Self> {
        Self::load(folder).with_context(|| format!("the signing keys, {} (SIGNING_KEYS_DIR)", folder.display()))
    }

    fn load(folder: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut files = key_files(folder)?;
        if files.is_empty() {
            make(folder)?;
            files = key_files(folder)?;
        }
        let mut signing = None;
        let mut verifying = Vec::new();
        for file in files {
            let (id, encoding, decoding) = read(&file).with_context(|| file.display().to_string())?;
            verifying.push((id.clone(), decoding));
            signing = Some((id, encoding));
        }
        let Some((signing_id, signing)) = signing else {
            bail!("there is no key");
        };
        Ok(Self {
            signing,
            signing_id,
            verifying,
        })
    }

    /// The key that signs, and its id.
    pub fn signing(&self) -> (&str, &EncodingKey) {
        (&self.signing_id, &self.signing)
    }

    /// The key of this id.
    pub fn verifying(&self, id: &str) -> Option<&DecodingKey> {
        self.verifying.iter().find(|(known, _)| known == id).map(|(_, key)| key)
    }
}

fn key_files(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> anyhow::Result<(String, EncodingKey, DecodingKey)> {
    let pem = pem::parse(fs::read(file)?)?;
    anyhow::ensure!(pem.tag() == "PRIVATE KEY", "it is a {}, not a PRIVATE KEY", pem.tag());
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pem.contents())?;
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    let decoding = DecodingKey::from_ed_components(&x)?;
    Ok((thumbprint(&x), EncodingKey::from_ed_der(pem.contents()), decoding))
}

/// RFC 7638, with the members that RFC 8037 names for Ed25519.
fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
}

fn make(folder: &Path) -> anyhow::Result<()> {
    let der = Ed25519KeyPair::generate()?.to_pkcs8v1()?;
    let text = pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref().to_vec()));
    // One name, made whole or not at all: of two that start at once, one wins and both read its key.
    let path = folder.join("0001.pem");
    let draft = folder.join(format!("new-{}", uuid::Uuid::new_v4()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, &path);
    fs::remove_file(&draft)?;
    linked.or_else(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            Ok(())
        } else {
            Err(error)
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// RFC 8037, appendix A.3.
    #[test]
    fn a_key_s_id_is_its_thumbprint() {
        assert_eq!(
            thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn a_first_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = Keys::from_folder(folder.path()).unwrap();
        let second = Keys::from_folder(folder.path()).unwrap();

        assert_eq!(first.signing().0, second.signing().0);
        assert!(second.verifying(first.signing().0).is_some());
        assert!(second.verifying("other").is_none());
        let file = folder.path().join("0001.pem");
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_last_by_name_signs_and_the_older_still_verifies() {
        let folder = tempfile::tempdir().unwrap();
        let old = Keys::from_folder(folder.path()).unwrap();
        let other = tempfile::tempdir().unwrap();
        Keys::from_folder(other.path()).unwrap();
        fs::copy(other.path().join("0001.pem"), folder.path().join("0002.pem")).unwrap();
        let both = Keys::from_folder(folder.path()).unwrap();

        assert_ne!(both.signing().0, old.signing().0);
        assert!(both.verifying(old.signing().0).is_some());
    }

    #[test]
    fn a_file_that_is_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("0001.pem"), "nonsense").unwrap();
        let error = format!("{:#}", Keys::from_folder(folder.path()).err().unwrap());
        assert!(
            error.contains("0001.pem") && error.contains("SIGNING_KEYS_DIR"),
            "{error}"
        );
    }
}

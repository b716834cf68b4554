//! One key: how it is written, what it is called, and its public half.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};

const TAG: &str = "PRIVATE KEY";

/// A key with its private half, of which nothing is ever shown.
pub(crate) struct Key {
    id: String,
    x: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Key {
    /// Makes a key; the text is its PKCS #8 PEM file.
    pub(super) fn generate() -> anyhow::Result<(Self, String)> {
        let der = Ed25519KeyPair::generate()?.to_pkcs8v1()?;
        let key = Self::from_der(der.as_ref()).ok_or_else(|| anyhow::anyhow!("a new key cannot be read"))?;
        Ok((key, pem::encode(&pem::Pem::new(TAG, der.as_ref().to_vec()))))
    }

    /// Reads a PKCS #8 PEM file of an Ed25519 key; `None` for anything else. Why is not said: it would quote the file.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let pem = pem::parse(text).ok()?;
        (pem.tag() == TAG).then(|| Self::from_der(pem.contents())).flatten()
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        Some(Self {
            id: thumbprint(&x),
            decoding: DecodingKey::from_ed_components(&x).ok()?,
            encoding: EncodingKey::from_ed_der(der),
            x,
        })
    }

    /// Its id: the thumbprint of RFC 7638.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// What signs.
    pub(crate) fn encoding(&self) -> &EncodingKey {
        &self.encoding
    }

    /// What verifies.
    pub(crate) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    /// The public half, base64url.
    pub(super) fn x(&self) -> &str {
        &self.x
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// RFC 7638, with the members that RFC 8037 names for Ed25519.
fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
}

#[cfg(test)]
mod tests {
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
    fn what_was_written_is_read() {
        let (key, text) = Key::generate().unwrap();
        let read = Key::parse(text.as_bytes()).unwrap();
        assert_eq!((read.id(), read.x()), (key.id(), key.x()));
    }

    /// `openssl genpkey -algorithm ed25519`, and the same of X25519.
    #[test]
    fn keys_of_openssl_are_read_where_they_are_ed25519() {
        let pem = |der: &str| format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
        let seed = "BCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
        assert!(Key::parse(pem(&format!("MC4CAQAwBQYDK2Vw{seed}")).as_bytes()).is_some());
        assert!(Key::parse(pem(&format!("MC4CAQAwBQYDK2Vu{seed}")).as_bytes()).is_none());
        assert!(Key::parse(b"").is_none());
    }

    #[test]
    fn nothing_private_is_shown() {
        let (key, text) = Key::generate().unwrap();
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("Key {{ id: {:?}, .. }}", key.id()));
        let secret = text.lines().nth(1).unwrap();
        assert!(secret.len() > 40 && !shown.contains(&secret[secret.len() - 20..]));
    }
}

//! The public halves of the keys, as RFC 7517 and RFC 8037 have them.

use deskhand_proto::accounts::v1 as proto;
use serde_json::{Value, json};

use super::key::Key;

const KEY_TYPE: &str = "OKP";
const CURVE: &str = "Ed25519";
const USE: &str = "sig";
const ALGORITHM: &str = "EdDSA";

/// What verifiers need of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    /// Its id.
    pub(crate) kid: String,
    /// The key itself, base64url.
    pub(crate) x: String,
}

impl PublicKey {
    pub(super) fn of(key: &Key) -> Self {
        Self {
            kid: key.id().to_owned(),
            x: key.x().to_owned(),
        }
    }
}

/// A JWK set, for a file or an HTTP answer.
pub(crate) fn json(keys: &[PublicKey]) -> Value {
    let jwk = |key: &PublicKey| json!({"kty": KEY_TYPE, "crv": CURVE, "x": key.x, "kid": key.kid, "use": USE, "alg": ALGORITHM});
    json!({"keys": keys.iter().map(jwk).collect::<Vec<_>>()})
}

impl From<PublicKey> for proto::Jwk {
    fn from(key: PublicKey) -> Self {
        Self {
            kty: KEY_TYPE.to_owned(),
            crv: CURVE.to_owned(),
            x: key.x,
            kid: key.kid,
            r#use: USE.to_owned(),
            alg: ALGORITHM.to_owned(),
        }
    }
}

//! Access tokens: JWTs by RFC 9068, signed with EdDSA and nothing else.

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::keys::{Keys, PublicKey};
use crate::caller::{Caller, Role};
use crate::error::{Error, Result};

/// How long an access token lives.
pub const LIFETIME: Duration = Duration::from_secs(600);

const ISSUER: &str = "deskhand";
const AUDIENCE: &str = "deskhand";
/// RFC 9068, section 2.1; it keeps other JWTs of the same keys from passing as access tokens.
const TYPE: &str = "at+jwt";
/// How far clocks of replicas may be apart, in seconds.
pub(super) const LEEWAY: u64 = 15;
/// A real token has about 450 bytes.
const MAX_BYTES: usize = 4096;

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    sid: Uuid,
    role: String,
    iat: u64,
    exp: u64,
    jti: Uuid,
}

/// Issues and verifies access tokens.
pub struct Tokens {
    keys: Keys,
    validation: Validation,
}

impl Tokens {
    /// With the keys that sign and verify.
    pub fn new(keys: Keys) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        Self { keys, validation }
    }

    /// A token for the caller, issued now, and when it ends.
    ///
    /// # Errors
    /// Where signing fails.
    pub fn issue(&self, caller: &Caller, now: OffsetDateTime) -> Result<(String, OffsetDateTime)> {
        let key = self.keys.signing(now);
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.id().to_owned());
        let seconds = |at: OffsetDateTime| u64::try_from(at.unix_timestamp()).unwrap_or(0);
        let ends = now + LIFETIME;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: caller.user,
            sid: caller.session,
            role: <&str>::from(caller.role).to_owned(),
            iat: seconds(now),
            exp: seconds(ends),
            jti: Uuid::new_v4(),
        };
        let token = encode(&header, &claims, key.encoding())
            .map_err(|error| Error::internal("signing a token failed", error))?;
        Ok((
            token,
            OffsetDateTime::from_unix_timestamp(ends.unix_timestamp()).unwrap_or(ends),
        ))
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// [`Error::TokenExpired`]; [`Error::TokenInvalid`] for anything else that is not a token of ours.
    pub fn verify(&self, token: &str) -> Result<Caller> {
        if token.len() > MAX_BYTES {
            return Err(Error::TokenInvalid);
        }
        let header = decode_header(token).map_err(|_| Error::TokenInvalid)?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
            return Err(Error::TokenInvalid);
        }
        let key = header
            .kid
            .and_then(|id| self.keys.verifying(&id))
            .ok_or(Error::TokenInvalid)?;
        let claims = decode::<Claims>(token, key.decoding(), &self.validation).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => Error::TokenExpired,
            _ => Error::TokenInvalid,
        })?;
        let claims = claims.claims;
        let role: Role = claims.role.parse().map_err(|_| Error::TokenInvalid)?;
        Ok(Caller {
            user: claims.sub,
            role,
            session: claims.sid,
        })
    }

    /// The public keys that verify tokens, the oldest first.
    pub(crate) fn jwks(&self) -> Vec<PublicKey> {
        self.keys.public()
    }

    /// Follows changes of the keys' folder until it is dropped.
    pub(crate) async fn keep_keys_current(&self) {
        self.keys.keep_reading().await;
    }
}

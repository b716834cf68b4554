//! The session of whoever logged in: kept between commands, renewed when its access token ends.

mod identity;
mod keeper;
mod store;

use deskhand_proto::accounts::v1::{LogInResponse, RefreshTokenResponse, User};
use prost_types::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;

pub(crate) use self::identity::Identity;
pub(crate) use self::keeper::{Farewell, Keeper};
use crate::failure::Failure;

/// Who logged in, and with what result.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) email: String,
    pub(crate) access: Token,
    /// What the next access token is got with. Sessions of earlier versions have none.
    pub(crate) refresh: Option<Token>,
}

/// A secret that ends.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: SecretString,
    pub(crate) expire_time: OffsetDateTime,
}

impl Token {
    fn is(&self, text: &SecretString) -> bool {
        self.text.expose_secret() == text.expose_secret()
    }
}

impl Session {
    /// What of a log-in's answer is kept, and whose session it is.
    pub(crate) fn opened(answer: LogInResponse) -> Result<(User, Self), Failure> {
        let user = answer.user.ok_or_else(|| incomplete("user"))?;
        let access = token(answer.access_token, answer.access_token_expire_time)?;
        let session = Self {
            email: user.email.clone(),
            access: access.ok_or_else(|| incomplete("access token"))?,
            refresh: token(answer.refresh_token, answer.refresh_token_expire_time)?,
        };
        Ok((user, session))
    }

    /// The same session with new tokens.
    fn renewed(&self, answer: RefreshTokenResponse) -> Result<Self, Failure> {
        let access = token(answer.access_token, answer.access_token_expire_time)?;
        let refresh = token(answer.refresh_token, answer.refresh_token_expire_time)?;
        Ok(Self {
            email: self.email.clone(),
            access: access.ok_or_else(|| incomplete("access token"))?,
            refresh: Some(refresh.ok_or_else(|| incomplete("refresh token"))?),
        })
    }
}

fn token(text: String, expire_time: Option<Timestamp>) -> Result<Option<Token>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let expire_time = expire_time.and_then(|time| OffsetDateTime::from_unix_timestamp(time.seconds).ok());
    Ok(Some(Token {
        text: text.into(),
        expire_time: expire_time.ok_or_else(|| incomplete("expiry"))?,
    }))
}

fn incomplete(what: &str) -> Failure {
    Failure::Local(format!(
        "the server's answer has no {what}: it cannot be used as a session"
    ))
}

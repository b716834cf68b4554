//! What can be done with accounts.

use std::sync::Arc;

use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::email::Email;
use super::password::{Password, Passwords};
use super::store;
use super::tokens::Tokens;
use crate::caller::{Caller, Role};
use crate::error::{Error, Result};
use crate::text::Rule;
use crate::violations::Violations;

const DISPLAY_NAME: Rule = Rule {
    characters: 100,
    bytes: 400,
    lines: false,
};

/// An account, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) display_name: String,
    pub(crate) role: Role,
    pub(crate) create_time: OffsetDateTime,
}

/// What a new account is made of.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(super) email: Email,
    pub(super) password: Password,
    pub(super) display_name: String,
}

impl Registration {
    pub(super) fn parse(email: &str, password: &str, display_name: &str) -> Result<Self> {
        let mut violations = Violations::default();
        let email = violations.check("email", Email::parse(email));
        let password = violations.check("password", Password::parse_new(password));
        let display_name = violations.check("display_name", DISPLAY_NAME.parse(display_name));
        if let (Some(email), Some(password)) = (&email, &password)
            && password.is(email.as_str())
        {
            violations.note("password", "must not be the e-mail address");
            return Err(violations.refused());
        }
        let (Some(email), Some(password), Some(display_name)) = (email, password, display_name) else {
            return Err(violations.refused());
        };
        Ok(Self {
            email,
            password,
            display_name,
        })
    }
}

/// A successful log-in.
pub(crate) struct LoggedIn {
    pub(crate) access_token: String,
    pub(crate) access_token_expire_time: OffsetDateTime,
    pub(crate) user: User,
}

/// Accounts.
pub(crate) struct Service {
    pool: PgPool,
    passwords: Passwords,
    tokens: Arc<Tokens>,
}

impl Service {
    /// With what it needs; `argon2_slots` passwords are checked at a time.
    pub(crate) fn new(pool: PgPool, tokens: Arc<Tokens>, argon2_slots: Option<usize>) -> Result<Self> {
        Ok(Self {
            pool,
            passwords: Passwords::new(argon2_slots)?,
            tokens,
        })
    }

    /// Makes a customer account.
    pub(super) async fn sign_up(&self, registration: Registration) -> Result<User> {
        let hash = self.passwords.hash(registration.password.clone()).await?;
        store::create(&self.pool, &registration, &hash, Role::Customer).await
    }

    /// Checks a password and issues an access token. An unknown address takes as long as a wrong password.
    pub(super) async fn log_in(&self, email: &str, password: &str) -> Result<LoggedIn> {
        let found = match Email::parse(email) {
            Ok(email) => store::by_email(&self.pool, email.as_str()).await?,
            Err(_) => None,
        };
        let (user, hash) = found.unzip();
        let right = self.passwords.verify(Password::parse_given(password), hash).await?;
        let user = user.filter(|_| right).ok_or(Error::InvalidCredentials)?;
        let caller = Caller {
            user: user.id,
            role: user.role,
            session: Uuid::now_v7(),
        };
        let (access_token, access_token_expire_time) = self.tokens.issue(&caller, OffsetDateTime::now_utc())?;
        Ok(LoggedIn {
            access_token,
            access_token_expire_time,
            user,
        })
    }

    /// The caller's account.
    pub(super) async fn me(&self, caller: &Caller) -> Result<User> {
        store::by_id(&self.pool, caller.user).await?.ok_or(Error::TokenInvalid)
    }
}

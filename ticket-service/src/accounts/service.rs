//! What people do with their own accounts.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::json;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::audit::{self, Action};
use super::email::Email;
use super::password::{Password, Passwords};
use super::revocations::Revocations;
use super::sessions::{self, Granted, Reason, Refreshed, Session, Token, Which};
use super::store;
use super::throttle::Throttle;
use super::tokens::Tokens;
use super::user::{Registration, User};
use crate::caller::{Caller, Role};
use crate::db::tx::{begin, retrying};
use crate::error::{Error, Result};
use crate::page::{self, Page};
use crate::secret::Secret;
use crate::violations;

/// Who asks, as far as it is known without a token.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    pub(super) user_agent: String,
}

/// What a session is used with.
pub(super) struct Credentials {
    pub(super) access_token: String,
    pub(super) access_token_expire_time: OffsetDateTime,
    pub(super) refresh_token: String,
    pub(super) refresh_token_expire_time: OffsetDateTime,
}

/// Accounts.
pub(crate) struct Service {
    pub(crate) pool: PgPool,
    pub(crate) secret: Arc<Secret>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) throttle: Arc<Throttle>,
}

impl Service {
    /// Makes a customer account.
    pub(super) async fn sign_up(&self, registration: Registration) -> Result<User> {
        violations::only("password", self.passwords.long_enough(&registration.password))?;
        let hash = self.passwords.hash(registration.password.clone()).await?;
        store::create(&self.pool, &registration, &hash, Role::Customer).await
    }

    /// Checks a password and begins a session. An unknown address and a disabled account take as long as a wrong password.
    pub(super) async fn log_in(&self, client: &Client, email: &str, password: &str) -> Result<(Credentials, User)> {
        let email = Email::parse(email).ok();
        // What is no address is nobody's, and tried all the same.
        let account = email.as_ref().map_or("", Email::as_str);
        self.throttle.admit(account, client.address).await?;
        let found = match &email {
            Some(email) => store::by_email(&self.pool, email.as_str()).await?,
            None => None,
        };
        let (user, hash) = found.filter(|(user, _)| user.disable_time.is_none()).unzip();
        let password = Password::parse_given(password);
        let right = self.passwords.verify(password.clone(), hash.clone()).await?;
        let (Some(user), Some(hash), Some(password), true) = (user, hash, password, right) else {
            return Err(Error::InvalidCredentials);
        };
        self.throttle.succeeded(account, client.address).await?;
        self.strengthen(user.id, &hash, password).await?;
        let begun = retrying(|| sessions::begin(&self.pool, user.id, &client.user_agent)).await?;
        let granted = begun.ok_or(Error::InvalidCredentials)?;
        Ok((self.credentials(&granted)?, user))
    }

    /// Hashes a password anew where the settings have become stronger since.
    async fn strengthen(&self, user: Uuid, hash: &str, password: Password) -> Result<()> {
        if !self.passwords.needs_rehash(hash) {
            return Ok(());
        }
        let stronger = self.passwords.hash(password).await?;
        let mut connection = self.pool.acquire().await?;
        // A password that was changed meanwhile stays.
        store::set_password_in_tx(&mut connection, user, &stronger, Some(hash)).await?;
        Ok(())
    }

    /// Exchanges a refresh token for its successor and an access token.
    pub(super) async fn refresh(&self, client: &Client, token: &str) -> Result<Credentials> {
        let Some(token) = Token::parse(token) else {
            return self.refuse_token(client).await;
        };
        let refreshed = retrying(|| async {
            let mut tx = begin(&self.pool).await?;
            let refreshed = sessions::refresh_in_tx(&mut tx, &self.secret, &token).await?;
            tx.commit().await?;
            Ok(refreshed)
        })
        .await;
        match refreshed {
            Ok(Refreshed::Granted(granted)) => self.credentials(&granted),
            Ok(Refreshed::Reused) => {
                tracing::warn!("a used refresh token was sent again; its session was ended");
                self.now_in_force().await;
                Err(Error::RefreshTokenInvalid)
            }
            Err(Error::RefreshTokenInvalid) => self.refuse_token(client).await,
            Err(error) => Err(error),
        }
    }

    /// Guesses are counted against the address. (There is nothing to guess in 256 bits; it is the load that is bounded.)
    async fn refuse_token<T>(&self, client: &Client) -> Result<T> {
        self.throttle.admit_address(client.address).await?;
        Err(Error::RefreshTokenInvalid)
    }

    fn credentials(&self, granted: &Granted) -> Result<Credentials> {
        let (access_token, access_token_expire_time) = self.tokens.issue(&granted.caller, OffsetDateTime::now_utc())?;
        Ok(Credentials {
            access_token,
            access_token_expire_time,
            refresh_token: granted.token.to_text(),
            refresh_token_expire_time: granted.expire_time,
        })
    }

    /// Ends the caller's session.
    pub(super) async fn log_out(&self, caller: &Caller) -> Result<()> {
        retrying(|| async {
            let mut tx = begin(&self.pool).await?;
            sessions::revoke_in_tx(&mut tx, caller.user, Which::One(caller.session), Reason::LoggedOut).await?;
            tx.commit().await?;
            Ok(())
        })
        .await?;
        self.now_in_force().await;
        Ok(())
    }

    /// The caller's account.
    pub(super) async fn me(&self, caller: &Caller) -> Result<User> {
        store::by_id(&self.pool, caller.user).await?.ok_or(Error::TokenInvalid)
    }

    /// Sets a new password and ends the caller's other sessions.
    pub(super) async fn change_password(
        &self,
        client: &Client,
        caller: &Caller,
        current: &str,
        new: &str,
    ) -> Result<()> {
        let user = self.me(caller).await?;
        let new = violations::only("new_password", Password::parse_new(new, &user.email))?;
        violations::only("new_password", self.passwords.long_enough(&new))?;
        self.throttle.admit(&user.email, client.address).await?;
        let hash = store::password_hash(&self.pool, caller.user).await?;
        if !self
            .passwords
            .verify(Password::parse_given(current), hash.clone())
            .await?
        {
            return Err(Error::InvalidCredentials);
        }
        self.throttle.succeeded(&user.email, client.address).await?;
        let new = self.passwords.hash(new).await?;
        retrying(|| async {
            let mut tx = begin(&self.pool).await?;
            store::lock_in_tx(&mut tx, caller.user).await?;
            if !store::set_password_in_tx(&mut tx, caller.user, &new, hash.as_deref()).await? {
                // Changed by another meanwhile, so the current password is no longer that.
                return Err(Error::InvalidCredentials);
            }
            let others = Which::AllBut(caller.session);
            let ended = sessions::revoke_in_tx(&mut tx, caller.user, others, Reason::PasswordChanged).await?;
            let details = json!({ "sessions_ended": ended });
            audit::record_in_tx(
                &mut tx,
                Action::PasswordChanged,
                Some(caller.user),
                caller.user,
                details,
            )
            .await?;
            tx.commit().await?;
            Ok(())
        })
        .await?;
        self.now_in_force().await;
        Ok(())
    }

    /// The caller's live sessions, newest first.
    pub(super) async fn list_sessions(&self, caller: &Caller, size: i64, token: &str) -> Result<Page<Session>> {
        let tokens = page::Tokens::new(&self.secret, caller, &[b"sessions"]);
        let before = tokens.open(token)?.map(Uuid::from_bytes);
        let rows = sessions::list(&self.pool, caller.user, before, size + 1).await?;
        tokens.cut(rows, size, |session| *session.id.as_bytes())
    }

    /// Ends sessions of the caller's; how many.
    pub(super) async fn revoke_sessions(&self, caller: &Caller, which: Which) -> Result<u64> {
        let ended = retrying(|| async {
            let mut tx = begin(&self.pool).await?;
            let ended = sessions::revoke_in_tx(&mut tx, caller.user, which, Reason::Revoked).await?;
            if ended > 0 {
                let details = json!({ "sessions_ended": ended });
                audit::record_in_tx(&mut tx, Action::SessionRevoked, Some(caller.user), caller.user, details).await?;
            } else if matches!(which, Which::One(_)) {
                return Err(Error::SessionNotFound);
            }
            tx.commit().await?;
            Ok(ended)
        })
        .await?;
        self.now_in_force().await;
        Ok(ended)
    }

    /// Makes what was just committed known here. Where that fails, calls ask PostgreSQL for themselves within a second.
    pub(super) async fn now_in_force(&self) {
        if let Err(error) = self.revocations.read().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "revocations cannot be read");
        }
    }
}

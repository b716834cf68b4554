//! A new password for whoever can read the account's mail.
//!
//! Asking writes one row, whatever the address, so that neither the answer nor its time tells whether there is an account.
//! [`Resets::deliver`] looks the address up afterwards; where there is an account, the token's hash and the mail are kept in one
//! transaction. The token itself is in the mail, and sealed in the outbox until that is sent. docs/decisions/0011-password-reset.md
//! says more.

mod store;
mod worker;

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::Notify;
use uuid::Uuid;

pub(crate) use store::sweep;

use super::audit::{self, Action};
use super::email::Email;
use super::mailer::{self, Mailer};
use super::password::{Password, Passwords};
use super::sessions::{self, Reason, Which};
use super::store as accounts;
use super::throttle::Throttle;
use crate::db::tx::{begin, retrying};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::settings;
use crate::violations;

const TOKEN_BYTES: usize = 32;

/// What the link in the mail holds.
struct Token([u8; TOKEN_BYTES]);

impl Token {
    fn random() -> Result<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|error| Error::internal("there is no randomness", error))?;
        Ok(Self(bytes))
    }

    fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    fn hash(&self) -> Vec<u8> {
        digest(&SHA256, &self.0).as_ref().to_vec()
    }
}

/// Links for a new password.
pub(crate) struct Resets {
    pool: PgPool,
    secret: Arc<Secret>,
    passwords: Arc<Passwords>,
    throttle: Arc<Throttle>,
    mailer: Box<dyn Mailer>,
    public_url: String,
    /// That there is something to deliver.
    asked: Notify,
}

impl Resets {
    /// With what it needs, and the mailer that the settings name.
    ///
    /// # Errors
    /// Where that cannot be used.
    pub(crate) fn new(
        pool: PgPool,
        secret: Arc<Secret>,
        passwords: Arc<Passwords>,
        throttle: Arc<Throttle>,
        settings: &settings::Mail,
    ) -> anyhow::Result<Self> {
        let mailer = mailer::from(settings)?;
        let public_url = settings.public_url.clone();
        Ok(Self {
            pool,
            secret,
            passwords,
            throttle,
            mailer,
            public_url,
            asked: Notify::new(),
        })
    }

    /// Has a link sent to an address, if it has an account; nothing here depends on whether it has.
    pub(super) async fn request(&self, email: &str, address: IpAddr) -> Result<()> {
        let email = violations::only("email", Email::parse(email))?;
        self.throttle.admit_reset(email.as_str(), address).await?;
        let id = Uuid::now_v7();
        let sealed = self.seal(id, email.as_str().as_bytes())?;
        store::ask(&self.pool, id, &sealed).await?;
        self.asked.notify_one();
        Ok(())
    }

    /// Sets a new password by the token of a mail, and ends all sessions of its user.
    pub(super) async fn reset(&self, token: &str, new_password: &str) -> Result<()> {
        let hash = Token::parse(token).ok_or(Error::ResetTokenInvalid)?.hash();
        let (user, email) = store::holder(&self.pool, &hash)
            .await?
            .ok_or(Error::ResetTokenInvalid)?;
        let password = violations::only("new_password", Password::parse_new(new_password, &email))?;
        violations::only("new_password", self.passwords.long_enough(&password))?;
        let password = self.passwords.hash(password).await?;
        retrying(|| async {
            let mut tx = begin(&self.pool).await?;
            let account = accounts::lock_in_tx(&mut tx, user).await?;
            // Another may have used it, or asked for a newer one, while the password was hashed.
            if account.disable_time.is_some() || !store::consume_in_tx(&mut tx, user, &hash).await? {
                return Err(Error::ResetTokenInvalid);
            }
            accounts::set_password_in_tx(&mut tx, user, &password, None).await?;
            let ended = sessions::revoke_in_tx(&mut tx, user, Which::All, Reason::PasswordReset).await?;
            self.throttle.forget_in_tx(&mut tx, &account.email).await?;
            let details = json!({ "sessions_ended": ended });
            audit::record_in_tx(&mut tx, Action::PasswordReset, None, user, details).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    fn seal(&self, id: Uuid, text: &[u8]) -> Result<String> {
        let sealed = self.secret.seal(text, &context(id));
        sealed.ok_or(Error::Internal("nothing can be sealed", None))
    }

    /// What was sealed for this row; `None` where it was sealed with another secret.
    fn open(&self, id: Uuid, sealed: &str) -> Option<String> {
        String::from_utf8(self.secret.open(sealed, &context(id))?).ok()
    }
}

/// What is sealed for one row opens in no other.
fn context(id: Uuid) -> Vec<u8> {
    [b"password reset".as_slice(), id.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_nothing_else_is() {
        let token = Token::random().unwrap();
        assert_eq!(Token::parse(&token.to_text()).unwrap().0, token.0);
        for wrong in ["", "x", "é", &"A".repeat(42), &"A".repeat(44), &"A".repeat(100_000)] {
            assert!(Token::parse(wrong).is_none(), "{wrong}");
        }
    }
}

//! What follows a request, behind the caller's back: look the address up, make the token, send the mail.

use std::time::Duration;

use uuid::Uuid;

use super::{Resets, Token, store};
use crate::accounts::mailer::Mail;
use crate::db::tx::{begin, retrying};
use crate::error::Result;

/// How often what other replicas left, and mail that failed, is looked for.
const PERIOD: Duration = Duration::from_secs(5);
/// How long one mail may take; under the database's limit for a transaction that waits.
const SENDING: Duration = Duration::from_secs(5);
/// Tries of one mail, 5 s after the first and twice as long each time: about 21 minutes, within the life of its token.
const TRIES: i32 = 9;
const FIRST_DELAY: Duration = Duration::from_secs(5);

impl Resets {
    /// Answers requests and sends mail, until it is dropped. Safe on several replicas at once.
    pub(crate) async fn deliver(&self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.asked.notified() => {}
            }
            match self.deliver_all().await {
                Ok(()) => failing = false,
                // Said once; what is to be done stays in the database.
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(error = &error as &dyn std::error::Error, "mail cannot be prepared");
                }
                Err(_) => {}
            }
        }
    }

    async fn deliver_all(&self) -> Result<()> {
        while retrying(|| self.answer_one()).await? {}
        while retrying(|| self.send_one()).await? {}
        Ok(())
    }

    /// Turns a request into a token and a mail, where its address has an account; false where there is none.
    async fn answer_one(&self) -> Result<bool> {
        let mut tx = begin(&self.pool).await?;
        let Some((id, sealed_email)) = store::take_request_in_tx(&mut tx).await? else {
            return Ok(false);
        };
        match self.open(id, &sealed_email) {
            Some(email) => {
                let (token, mail) = (Token::random()?, Uuid::now_v7());
                let sealed_token = self.seal(mail, token.to_text().as_bytes())?;
                store::grant_in_tx(&mut tx, &email, &token.hash(), mail, &sealed_token).await?;
            }
            None => tracing::error!(%id, "a request for a new password was sealed with another secret; it is dropped"),
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Sends a mail that is due, or puts it off; false where there is none. Its row stays locked meanwhile, so that no other
    /// replica sends it; were the commit lost after it, it would be sent again, with the same id.
    async fn send_one(&self) -> Result<bool> {
        let mut tx = begin(&self.pool).await?;
        let Some(due) = store::lock_due_mail_in_tx(&mut tx).await? else {
            return Ok(false);
        };
        let (id, tries) = (due.id, due.tries);
        match self.open(id, &due.sealed_secret) {
            Some(token) => match self.send(&self.mail(due, &token)).await {
                Ok(()) => store::remove_mail_in_tx(&mut tx, id).await?,
                Err(error) if tries + 1 < TRIES => {
                    tracing::warn!(%id, tries = tries + 1, %error, "a mail could not be sent; it is tried again");
                    store::put_off_in_tx(&mut tx, id, delay(tries).as_secs_f64()).await?;
                }
                Err(error) => {
                    tracing::error!(%id, %error, "a mail could not be sent; it is given up");
                    store::remove_mail_in_tx(&mut tx, id).await?;
                }
            },
            None => {
                tracing::error!(%id, "a mail was sealed with another secret; it is given up");
                store::remove_mail_in_tx(&mut tx, id).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn send(&self, mail: &Mail) -> std::io::Result<()> {
        let sent = tokio::time::timeout(SENDING, self.mailer.send(mail)).await;
        sent.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }

    fn mail(&self, due: store::Due, token: &str) -> Mail {
        let link = format!("{}/reset-password?token={token}", self.public_url);
        let text = format!(
            "Hello,\n\nsomebody asked for a new password for the account of this e-mail address\nat Deskhand. To set one, open:\n\n\
             {link}\n\nThe link is good for 30 minutes, once, and only the newest one is. If it was\nnot you, nothing has to be \
             done: your password stays as it is.\n"
        );
        Mail {
            id: due.id,
            kind: "PASSWORD_RESET",
            name: due.name,
            email: due.email,
            subject: "A new password",
            text,
        }
    }
}

/// How long a mail waits after it failed for the `tries + 1`st time.
fn delay(tries: i32) -> Duration {
    FIRST_DELAY * 2_u32.saturating_pow(u32::try_from(tries).unwrap_or(0).min(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_given_up_while_its_token_lives() {
        let whole: Duration = (0..TRIES - 1).map(delay).sum();
        assert_eq!(delay(0), Duration::from_secs(5));
        assert!(whole < Duration::from_secs(30 * 60), "{whole:?}");
    }
}

//! Whose calls they are.

use std::sync::{Mutex, PoisonError};

use secrecy::SecretString;

use super::keeper::{Keeper, Refused};
use crate::failure::Failure;
use crate::line::Bearer;

/// Someone, for as long as a command runs.
pub(crate) struct Identity {
    /// What calls are made with now.
    bearer: Mutex<Bearer>,
    /// Where the token is from, unless it was given.
    session: Option<Kept>,
}

struct Kept {
    keeper: Keeper,
    email: String,
}

impl Identity {
    /// The owner of a token from elsewhere. When it ends, so does this.
    pub(crate) fn given(token: SecretString) -> Result<Self, Failure> {
        Ok(Self {
            bearer: Mutex::new(Bearer::new(token)?),
            session: None,
        })
    }

    /// Whoever logged in.
    pub(crate) async fn kept(keeper: Keeper) -> Result<Self, Failure> {
        let session = keeper.session().await?;
        Ok(Self {
            bearer: Mutex::new(Bearer::new(session.access.text)?),
            session: Some(Kept {
                keeper,
                email: session.email,
            }),
        })
    }

    pub(crate) fn bearer(&self) -> Bearer {
        self.bearer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gets another token where `failure` was for the one of now; whether there is one to try. Where the session has ended,
    /// that is the failure.
    pub(crate) async fn renew_after(&self, failure: &Failure) -> Result<bool, Failure> {
        let (Some(kept), Some(refused)) = (&self.session, Refused::by(failure)) else {
            return Ok(false);
        };
        let session = kept
            .keeper
            .after_refusal(&self.bearer().token, &kept.email, refused)
            .await?;
        *self.bearer.lock().unwrap_or_else(PoisonError::into_inner) = Bearer::new(session.access.text)?;
        Ok(true)
    }

    /// Forgets the session, of which the server knows nothing any more. A token that was given is no concern of ours.
    pub(crate) async fn forget(&self) -> Result<(), Failure> {
        match &self.session {
            Some(kept) => kept.keeper.forget(&self.bearer().token).await,
            None => Ok(()),
        }
    }
}

//! Cursors: positions, sealed for one user.

use std::sync::Arc;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Seals positions for one user: a position as such would tell customers how busy the desk is, and one of another user is
/// refused rather than taken for something else.
pub(super) struct Cursors {
    secret: Arc<Secret>,
    context: Vec<u8>,
}

impl Cursors {
    /// Of one user, in whatever session.
    pub(super) fn new(secret: Arc<Secret>, caller: &Caller) -> Self {
        let context = secret.fingerprint(&[b"feed", caller.user.as_bytes()]);
        Self { secret, context }
    }

    /// The cursor of a position.
    pub(super) fn seal(&self, position: i64) -> Result<String> {
        self.secret
            .seal_often(&position.to_be_bytes(), &self.context)
            .ok_or(Error::Internal("a cursor cannot be sealed", None))
    }

    /// The position that a cursor holds; `None` for an empty one.
    pub(super) fn open(&self, cursor: &str) -> Result<Option<i64>, &'static str> {
        if cursor.is_empty() {
            return Ok(None);
        }
        let position = self.secret.open_often(cursor, &self.context);
        let position = position.and_then(|position| position.try_into().ok());
        position
            .map(|position| Some(i64::from_be_bytes(position)))
            .ok_or("is not one that you were given by WatchTickets")
    }
}

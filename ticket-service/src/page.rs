//! Keyset pages: how large, and where the next one begins.

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::violations;

const DEFAULT_SIZE: i32 = 20;
const MAX_SIZE: i32 = 100;

/// The size asked for, made fit; else what is wrong with it.
pub(crate) fn size(asked: i32) -> Result<i64, &'static str> {
    match asked {
        ..0 => Err("must not be negative"),
        0 => Ok(DEFAULT_SIZE.into()),
        asked => Ok(asked.min(MAX_SIZE).into()),
    }
}

/// Seals positions for one caller and one list, so that a token of another fits nowhere else.
pub(crate) struct Tokens<'a> {
    secret: &'a Secret,
    context: Vec<u8>,
}

impl<'a> Tokens<'a> {
    /// For the list named by `list`, filter included.
    pub(crate) fn new(secret: &'a Secret, caller: &Caller, list: &[&[u8]]) -> Self {
        let mut parts: Vec<&[u8]> = vec![b"page", caller.user.as_bytes()];
        parts.extend_from_slice(list);
        Self {
            secret,
            context: secret.fingerprint(&parts),
        }
    }

    /// The token of a position.
    fn seal(&self, position: &[u8]) -> Result<String> {
        self.secret
            .seal(position, &self.context)
            .ok_or(Error::Internal("a page token cannot be sealed", None))
    }

    /// The position that a token holds; `None` for the first page.
    pub(crate) fn open<const N: usize>(&self, token: &str) -> Result<Option<[u8; N]>> {
        if token.is_empty() {
            return Ok(None);
        }
        let position = self
            .secret
            .open(token, &self.context)
            .and_then(|position| position.try_into().ok());
        violations::only(
            "page_token",
            position.map(Some).ok_or("is not one that you were given for this list"),
        )
    }
}

/// One page of a list.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_page_token: String,
}

impl Tokens<'_> {
    /// Cuts a page from rows of which one more than `size` was asked for; `position` is where a row stands.
    pub(crate) fn cut<T, const N: usize>(
        &self,
        mut rows: Vec<T>,
        size: i64,
        position: impl Fn(&T) -> [u8; N],
    ) -> Result<Page<T>> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| more).map(|last| self.seal(&position(last)));
        Ok(Page {
            next_page_token: next.transpose()?.unwrap_or_default(),
            items: rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sizes_are_within_limits(asked: i32) {
            match size(asked) {
                Ok(size) => prop_assert!(asked >= 0 && (1..=100).contains(&size)),
                Err(_) => prop_assert!(asked < 0),
            }
        }
    }

    #[test]
    fn the_default_size() {
        assert_eq!(size(0), Ok(20));
        assert_eq!(size(i32::MAX), Ok(100));
    }
}

//! Collects what is wrong with a request, so that a caller is told all of it at once.

use std::borrow::Cow;

use service_kit::refusal::Violation;
use uuid::Uuid;

use crate::Error;

/// What is wrong with a request so far.
#[derive(Debug, Default)]
pub(crate) struct Violations(Vec<Violation>);

impl Violations {
    /// The parsed value; else its violation is noted under `field`.
    pub(crate) fn check<T>(
        &mut self,
        field: &'static str,
        parsed: Result<T, impl Into<Cow<'static, str>>>,
    ) -> Option<T> {
        parsed.map_err(|wrong| self.note(field, wrong)).ok()
    }

    /// Notes a violation.
    pub(crate) fn note(&mut self, field: impl Into<Cow<'static, str>>, wrong: impl Into<Cow<'static, str>>) {
        self.0.push(Violation::new(field, wrong));
    }

    /// Goes on where nothing was wrong.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(self.refused()) }
    }

    /// The error that tells of all violations.
    pub(crate) fn refused(self) -> Error {
        Error::Invalid(self.0)
    }
}

/// Parses a required id.
pub(crate) fn id(text: &str) -> Result<Uuid, &'static str> {
    if text.is_empty() {
        return Err("is required");
    }
    // Other spellings (braces, urn:, no hyphens) would make two ids of one.
    Uuid::try_parse(text)
        .ok()
        .filter(|_| text.len() == 36)
        .ok_or("must be a UUID such as 0199f3a0-7c1e-7a55-9c3c-2f1d8e6b4a10")
}

/// Parses an id that may be left out.
pub(crate) fn optional_id(text: &str) -> Result<Option<Uuid>, &'static str> {
    if text.is_empty() { Ok(None) } else { id(text).map(Some) }
}

/// Refuses a request for the one field that is wrong with it.
pub(crate) fn only<T>(field: &'static str, parsed: Result<T, impl Into<Cow<'static, str>>>) -> Result<T, Error> {
    parsed.map_err(|wrong| Error::Invalid(vec![Violation::new(field, wrong)]))
}

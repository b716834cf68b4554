//! An error as a caller sees it: a code, a reason for programs, a sentence for people, and what more helps to act on it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// `google.rpc.ErrorInfo.domain` of every error of Deskhand.
pub const DOMAIN: &str = "deskhand";

/// A field that does not hold what it must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the request, such as `tags[3]`.
    pub field: Cow<'static, str>,
    /// What must hold, as a sentence.
    pub description: Cow<'static, str>,
}

impl Violation {
    /// A violation of `field`, described by a sentence.
    pub fn new(field: impl Into<Cow<'static, str>>, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: field.into(),
            description: description.into(),
        }
    }
}

/// Builds a [`Status`] that carries `google.rpc.ErrorInfo`, and `BadRequest` and `RetryInfo` where they apply.
#[derive(Clone, Debug)]
pub struct Refusal {
    code: Code,
    reason: &'static str,
    message: Cow<'static, str>,
    metadata: HashMap<String, String>,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// `reason` is UPPER_SNAKE_CASE and stands in docs/errors.md; `message` is a sentence that holds nothing secret.
    pub fn new(code: Code, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            violations: Vec::new(),
            retry_after: None,
        }
    }

    /// The reason, for programs.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// `INVALID_ARGUMENT` `INVALID_FIELDS` with the fields in question.
    pub fn invalid_fields(violations: Vec<Violation>) -> Self {
        let message = match violations.as_slice() {
            [only] => format!("{}: {}", only.field, only.description),
            several => format!("{} fields are not as they must be.", several.len()),
        };
        Self {
            violations,
            ..Self::new(Code::InvalidArgument, "INVALID_FIELDS", message)
        }
    }

    /// Adds a fact that a program may want.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Says when trying again may help.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let mut details = ErrorDetails::with_error_info(refusal.reason, DOMAIN, refusal.metadata);
        for violation in refusal.violations {
            details.add_bad_request_violation(violation.field, violation.description);
        }
        if let Some(delay) = refusal.retry_after {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(refusal.code, refusal.message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_carries_all_that_was_said() {
        let refusal = Refusal {
            code: Code::ResourceExhausted,
            ..Refusal::invalid_fields(vec![Violation::new("a", "b")])
        }
        .with("limit", "5")
        .retry_after(Duration::from_secs(3));
        let status = Status::from(refusal);
        let details = status.get_error_details();

        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(details.error_info().unwrap().reason, "INVALID_FIELDS");
        assert_eq!(details.error_info().unwrap().domain, "deskhand");
        assert_eq!(details.error_info().unwrap().metadata["limit"], "5");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "a");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(3)));
    }
}

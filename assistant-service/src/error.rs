//! Everything that a call can fail with, and how a caller sees it.

use service_kit::refusal::{Refusal, Violation};
use tonic::{Code, Status};

use crate::groq::failure::{Failure, Kind, Phase};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is not as the contract says.
    #[error("the request holds {} wrong fields", .0.len())]
    Invalid(Vec<Violation>),
    /// The call to the provider failed.
    #[error("the call to the provider failed")]
    Upstream(#[from] Failure),
}

impl Error {
    /// Whether another call would help, which is for another request to make.
    pub fn goes_on(&self) -> bool {
        matches!(self, Self::Upstream(failure) if failure.kind == Kind::OneCall)
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let refusal = match error {
            Error::Invalid(violations) => Refusal::invalid_fields(violations),
            Error::Upstream(failure) if failure.kind == Kind::OverAllowance => {
                Refusal::invalid_fields(vec![Violation::new(
                    "tokens_at_most",
                    "It is less than one call to the model needs.",
                )])
            }
            Error::Upstream(failure) => {
                log(&failure);
                refusal(&failure)
            }
        };
        refusal.into()
    }
}

/// The failure's one line. The provider's own words may quote the prompt, so they are never logged, only the network's are.
fn log(failure: &Failure) {
    let Failure {
        kind,
        retry_after,
        detail,
    } = failure;
    tracing::warn!(
        ?kind,
        ?retry_after,
        requests_a_minute = detail.requests_a_minute,
        status = detail.status,
        code = detail.code,
        "call to the provider failed"
    );
    let is_the_network = matches!(
        kind,
        Kind::Unreachable | Kind::Broken | Kind::TimedOut(Phase::Connecting)
    );
    if let (true, Some(text)) = (is_the_network, &detail.text) {
        tracing::debug!(text, "the network's words");
    }
}

/// Fixed sentences only: nothing that came from outside may stand in them.
fn refusal(failure: &Failure) -> Refusal {
    let (code, reason, message) = match failure.kind {
        // One call at a time is how a request goes on, and told as that; as a failure it would be one that passes.
        Kind::Unreachable | Kind::Broken | Kind::Overloaded | Kind::TierFull | Kind::Abandoned | Kind::OneCall => (
            Code::Unavailable,
            "UPSTREAM_UNAVAILABLE",
            "The model's provider could not be reached, or has a fault; trying again may help.",
        ),
        Kind::TimedOut(Phase::Deadline) => (
            Code::DeadlineExceeded,
            "DEADLINE_EXCEEDED",
            "The call's time was over before its answer was whole.",
        ),
        Kind::TimedOut(_) => (
            Code::Unavailable,
            "UPSTREAM_TIMED_OUT",
            "The model's provider took too long; trying again may help.",
        ),
        Kind::InvalidOutput => (
            Code::Aborted,
            "INVALID_OUTPUT",
            "The model did not keep to the form that it was asked for; trying again may help.",
        ),
        Kind::Protocol(_) => (
            Code::Unavailable,
            "UPSTREAM_PROTOCOL",
            "The model's provider did not answer as it should; trying again may help.",
        ),
        Kind::RateLimited(_) => (
            Code::ResourceExhausted,
            "UPSTREAM_RATE_LIMITED",
            "The rate limit of the model's provider is used up for now.",
        ),
        Kind::TooLarge | Kind::OverAllowance => (
            Code::InvalidArgument,
            "CONVERSATION_TOO_LONG",
            "The conversation is longer than the model's provider takes at once.",
        ),
        Kind::ModelUnavailable => (
            Code::FailedPrecondition,
            "MODEL_UNAVAILABLE",
            "The model's provider does not offer the model that is set.",
        ),
        Kind::SpendCapReached => (
            Code::FailedPrecondition,
            "UPSTREAM_REJECTED",
            "The spend limit at the model's provider is reached; it takes no call until that is raised.",
        ),
        Kind::Rejected => (
            Code::FailedPrecondition,
            "UPSTREAM_REJECTED",
            "The model's provider refused the request.",
        ),
        Kind::Unauthenticated => (
            Code::FailedPrecondition,
            "UPSTREAM_UNAUTHENTICATED",
            "The model's provider does not accept the key that is set.",
        ),
        Kind::ContentFiltered => (
            Code::FailedPrecondition,
            "CONTENT_FILTERED",
            "A content filter stopped the answer.",
        ),
        Kind::Truncated => (
            Code::Aborted,
            "ANSWER_TRUNCATED",
            "The answer reached its length limit before its end.",
        ),
        Kind::Empty => (
            Code::Aborted,
            "EMPTY_ANSWER",
            "The model finished without writing anything.",
        ),
    };
    let refusal = Refusal::new(code, reason, message);
    match (code, failure.retry_after) {
        (Code::ResourceExhausted | Code::Unavailable, Some(wait)) => refusal.retry_after(wait),
        _ => refusal,
    }
}

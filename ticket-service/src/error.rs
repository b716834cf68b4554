//! Everything that can go wrong, and the one place where it becomes what a caller sees. docs/errors.md is its table.

use std::time::Duration;

use service_kit::deadline;
use service_kit::refusal::{Refusal, Violation};
use tonic::{Code, Status};

use crate::replies::Failure;

/// Why a call was refused or failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says it")]
pub enum Error {
    #[error("fields are not as they must be")]
    Invalid(Vec<Violation>),
    #[error("the request_id was used for another request")]
    RequestIdReused,
    #[error("there is no access token")]
    TokenMissing,
    #[error("the access token is not one of ours")]
    TokenInvalid,
    #[error("the access token has expired")]
    TokenExpired,
    #[error("the e-mail address or the password is wrong")]
    InvalidCredentials,
    #[error("the refresh token is not the newest of a live session")]
    RefreshTokenInvalid,
    #[error("the session has ended")]
    SessionEnded,
    #[error("too many failures")]
    Throttled(Duration),
    #[error("the password reset token is not good")]
    ResetTokenInvalid,
    #[error("there is no such session")]
    SessionNotFound,
    #[error("there is no such user")]
    UserNotFound,
    #[error("no enabled admin would be left")]
    LastAdmin,
    #[error("the role does not allow it: {0}")]
    RoleNotAllowed(&'static str),
    #[error("the e-mail address has an account already")]
    EmailTaken,
    #[error("there is no such ticket")]
    TicketNotFound,
    #[error("there is no such reply")]
    ReplyNotFound,
    #[error("the reply has ended")]
    ReplyEnded,
    #[error("there is no such place in the reply")]
    OffsetOutOfRange,
    #[error("the ticket is closed")]
    TicketClosed,
    #[error("the ticket's status cannot become that")]
    StatusNotAllowed {
        /// As the contract spells them, comma between.
        allowed: String,
    },
    #[error("the ticket is not as the caller last saw it")]
    EtagMismatch,
    #[error("a person handles the ticket")]
    HandledByHuman,
    #[error("there is no finished draft")]
    NotADraft,
    #[error("the draft was decided on")]
    DraftDecided,
    #[error("no answer came of the reply")]
    NotAnswered,
    #[error("the assistant failed: {0:?}")]
    NotMade(Failure),
    #[error("what was asked for was given up")]
    GivenUp,
    #[error("a budget is used up")]
    BudgetUsedUp(Duration),
    #[error("too much at once")]
    Overloaded,
    #[error("the watcher does not keep up")]
    WatcherTooSlow,
    #[error("the server is stopping")]
    ServerStopping,
    #[error("the call's time is over")]
    DeadlineExceeded,
    #[error("the database cannot be used now")]
    DatabaseUnavailable(#[source] sqlx::Error),
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    #[error("{0}")]
    Internal(&'static str, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
}

/// What went well, or an [`Error`].
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A fault of ours, with its cause.
    pub(crate) fn internal(what: &'static str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(what, Some(cause.into()))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => {
                Self::DatabaseUnavailable(error)
            }
            sqlx::Error::Database(database) if database.code().is_some_and(|code| is_passing(&code)) => {
                Self::DatabaseUnavailable(error)
            }
            _ => Self::Database(error),
        }
    }
}

/// SQLSTATEs that say nothing of the statement: connections (08, 28, 3D000), resources (53), shutdown and time limits (57),
/// locks (55P03), a database that takes no connections (55000) or no writes (25006).
fn is_passing(code: &str) -> bool {
    ["08", "28", "53", "57"].iter().any(|class| code.starts_with(class))
        || matches!(code, "3D000" | "55000" | "55P03" | "25006")
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        refusal(error).into()
    }
}

/// What a caller sees of an error. Its cause is logged here.
pub(crate) fn refusal(error: Error) -> Refusal {
    match error {
        Error::Invalid(violations) => Refusal::invalid_fields(violations),
        Error::RequestIdReused => Refusal::new(
            Code::InvalidArgument,
            "REQUEST_ID_REUSED",
            "This request_id belongs to an earlier, different request of yours.",
        ),
        Error::TokenMissing => Refusal::new(
            Code::Unauthenticated,
            "TOKEN_MISSING",
            "Log in, and send one `authorization: Bearer <access token>`.",
        ),
        Error::TokenInvalid => Refusal::new(
            Code::Unauthenticated,
            "TOKEN_INVALID",
            "The access token is not valid here. Log in again.",
        ),
        Error::TokenExpired => Refusal::new(
            Code::Unauthenticated,
            "TOKEN_EXPIRED",
            "The access token has expired. Log in again.",
        ),
        Error::InvalidCredentials => Refusal::new(
            Code::Unauthenticated,
            "INVALID_CREDENTIALS",
            "The e-mail address or the password is wrong.",
        ),
        Error::RefreshTokenInvalid => Refusal::new(
            Code::Unauthenticated,
            "REFRESH_TOKEN_INVALID",
            "The refresh token is not the newest of a live session. Log in again.",
        ),
        Error::SessionEnded => Refusal::new(
            Code::Unauthenticated,
            "SESSION_ENDED",
            "This session has ended. Log in again.",
        ),
        Error::Throttled(wait) => Refusal::new(
            Code::ResourceExhausted,
            "THROTTLED",
            "There were too many tries. Wait before the next one.",
        )
        .retry_after(wait),
        Error::ResetTokenInvalid => Refusal::new(
            Code::FailedPrecondition,
            "RESET_TOKEN_INVALID",
            "This link is not good any more. Ask for a new one.",
        ),
        Error::SessionNotFound => Refusal::new(Code::NotFound, "SESSION_NOT_FOUND", "There is no such session."),
        Error::UserNotFound => Refusal::new(Code::NotFound, "USER_NOT_FOUND", "There is no such user."),
        Error::LastAdmin => Refusal::new(
            Code::FailedPrecondition,
            "LAST_ADMIN",
            "No enabled admin would be left. Make another one first.",
        ),
        Error::RoleNotAllowed(sentence) => Refusal::new(Code::PermissionDenied, "ROLE_NOT_ALLOWED", sentence),
        Error::EmailTaken => Refusal::new(
            Code::AlreadyExists,
            "EMAIL_TAKEN",
            "There is an account with this e-mail address already.",
        ),
        Error::TicketNotFound => Refusal::new(Code::NotFound, "TICKET_NOT_FOUND", "There is no such ticket."),
        Error::ReplyNotFound => Refusal::new(Code::NotFound, "REPLY_NOT_FOUND", "There is no such reply."),
        Error::ReplyEnded => Refusal::new(
            Code::FailedPrecondition,
            "REPLY_ENDED",
            "The reply has ended; there is nothing to stop any more.",
        ),
        Error::OffsetOutOfRange => Refusal::new(
            Code::OutOfRange,
            "OFFSET_OUT_OF_RANGE",
            "The reply has no such attempt, or its text is over before that. Attach without an attempt.",
        ),
        Error::TicketClosed => Refusal::new(
            Code::FailedPrecondition,
            "TICKET_CLOSED",
            "The ticket is closed; open a new one.",
        ),
        Error::StatusNotAllowed { allowed } => Refusal::new(
            Code::FailedPrecondition,
            "STATUS_NOT_ALLOWED",
            format!("The ticket's status cannot become that now; it can become one of: {allowed}."),
        )
        .with("allowed", allowed),
        Error::EtagMismatch => Refusal::new(
            Code::Aborted,
            "ETAG_MISMATCH",
            "The ticket has changed since you last saw it. Read it again, and decide anew.",
        ),
        Error::HandledByHuman => Refusal::new(
            Code::FailedPrecondition,
            "HANDLED_BY_HUMAN",
            "A person has taken this ticket; the assistant does not answer in it.",
        ),
        Error::NotADraft => Refusal::new(
            Code::FailedPrecondition,
            "NOT_A_DRAFT",
            "There is no finished draft to decide on.",
        ),
        Error::DraftDecided => Refusal::new(
            Code::FailedPrecondition,
            "DRAFT_DECIDED",
            "The draft was decided on before, in another way.",
        ),
        Error::NotAnswered => Refusal::new(
            Code::FailedPrecondition,
            "NOT_ANSWERED",
            "No answer came of this reply, so there is nothing to rate.",
        ),
        Error::NotMade(failure) => Refusal::new(code(failure), failure.into(), failure.sentence()),
        Error::GivenUp => Refusal::new(
            Code::Aborted,
            "GIVEN_UP",
            "Something newer stands in the ticket, or a person stopped this. Ask again.",
        ),
        Error::BudgetUsedUp(wait) => Refusal::new(
            Code::ResourceExhausted,
            "BUDGET_USED_UP",
            "The assistant has been asked for all that it may be for now.",
        )
        .retry_after(wait),
        Error::Overloaded => Refusal::new(
            Code::ResourceExhausted,
            "OVERLOADED",
            "There is too much to do here at the moment.",
        )
        .retry_after(Duration::from_secs(1)),
        Error::WatcherTooSlow => Refusal::new(
            Code::Aborted,
            "WATCHER_TOO_SLOW",
            "Events were not read in time; go on from the last cursor.",
        ),
        Error::ServerStopping => Refusal::new(
            Code::Unavailable,
            "SERVER_STOPPING",
            "This server is stopping; another one answers.",
        ),
        Error::DeadlineExceeded => deadline::exceeded(),
        Error::DatabaseUnavailable(cause) => {
            tracing::warn!(error = &cause as &dyn std::error::Error, "the database cannot be used");
            Refusal::new(
                Code::Unavailable,
                "DATABASE_UNAVAILABLE",
                "This cannot be done just now; try again.",
            )
            .retry_after(Duration::from_secs(1))
        }
        Error::Database(cause) => {
            tracing::error!(error = &cause as &dyn std::error::Error, "the database failed");
            internal()
        }
        Error::Internal(what, cause) => {
            tracing::error!(error = cause.as_deref().map(|c| c as &dyn std::error::Error), "{what}");
            internal()
        }
    }
}

/// How the assistant's failure is told where no stream tells it.
fn code(failure: Failure) -> Code {
    match failure {
        Failure::UpstreamUnavailable | Failure::UpstreamProtocol | Failure::TimedOut | Failure::Abandoned => {
            Code::Unavailable
        }
        Failure::UpstreamRateLimited | Failure::BudgetUsedUp => Code::ResourceExhausted,
        Failure::UpstreamRejected | Failure::ContentFiltered => Code::FailedPrecondition,
        Failure::ConversationTooLong => Code::InvalidArgument,
        Failure::AnswerTruncated | Failure::EmptyAnswer => Code::Aborted,
        Failure::Internal => Code::Internal,
    }
}

fn internal() -> Refusal {
    Refusal::new(
        Code::Internal,
        "INTERNAL",
        "Something went wrong here; it has been logged.",
    )
}

//! What a status is, and what made it.

use std::error::Error as _;

use tonic::{Code, Status, TimeoutExpired};

/// Whether the server was not there, or went away before it answered.
pub(crate) fn is_unavailable(status: &Status) -> bool {
    status.code() == Code::Unavailable || is_broken(status)
}

/// What comes from the server has no source: this was made here, by the connection. tonic gives such a status whatever
/// code is next to the cause.
pub(crate) fn is_broken(status: &Status) -> bool {
    status.source().is_some() && !caused_by::<TimeoutExpired>(status)
}

/// As `--help` lists them.
pub(crate) fn exit_code_of(code: Code) -> u8 {
    match code {
        Code::Ok => 0,
        Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => 1,
        Code::Unauthenticated => 3,
        Code::NotFound => 4,
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::PermissionDenied
        | Code::AlreadyExists
        | Code::Aborted
        | Code::OutOfRange => 5,
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled => 6,
    }
}

/// Its name, as gRPC writes it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Whether an `E` is behind it.
pub(crate) fn caused_by<E: std::error::Error + 'static>(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<E>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// What is behind it, at the very end.
pub(crate) fn root_cause(status: &Status) -> String {
    let mut cause: &dyn std::error::Error = status;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

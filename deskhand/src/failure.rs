//! What can go wrong, what is said about it, and the exit code it ends in.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use tonic::{Code, Status, TimeoutExpired};

use crate::ending::Ending;
use crate::refusal::{LOG_IN, Refusal, Violation, whole_seconds};
use crate::server::Server;
use crate::status::{caused_by, code_name, exit_code_of};
use crate::transcript::Fault;

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something on this machine, or an answer that makes no sense.
    #[error("{0}")]
    Local(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    NotLoggedIn(String),
    /// The server does not know the session any more.
    #[error("the session of {email} at {server} has ended")]
    SessionEnded { email: String, server: String },
    /// Another command is at the same thing, and does not finish.
    #[error("{0}")]
    Busy(String),
    /// The command is not for people of this role.
    #[error("{0}")]
    RoleNotAllowed(String),
    /// The server's answer, or why there is none.
    #[error("{}", .0.sentence)]
    Status(Box<Refusal>),
    #[error("the server did not answer in time")]
    TimedOut,
    /// The server broke its own rules for streams: what it sent cannot be relied on.
    #[error("the stream of the answer is faulty: {0}")]
    Stream(#[from] Fault),
    /// The stream told how the reply ended, and it was not with an answer; or that it could not go on.
    #[error("{}", .0.sentence())]
    NoAnswer(Box<Ending>),
    #[error("interrupted")]
    Interrupted,
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// Everything there is to say about a failure, for people and for `--json`.
#[derive(Serialize)]
pub(crate) struct Report {
    /// What went wrong.
    pub(crate) sentence: String,
    /// The status code's name, where a status came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'static str>,
    /// The same for programs, from `google.rpc.ErrorInfo`, or the reason that a stream told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What `google.rpc.ErrorInfo` has besides, such as the statuses that are `allowed`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) field_violations: Vec<Violation>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// How long to wait before asking again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_seconds: Option<u64>,
    pub(crate) exit_code: u8,
}

impl Failure {
    /// A status that a call to `server` ended in.
    pub(crate) fn status(status: Status, server: &Server) -> Self {
        if caused_by::<TimeoutExpired>(&status) || status.code() == Code::DeadlineExceeded {
            return Self::TimedOut;
        }
        Self::Status(Box::new(Refusal::of(&status, server)))
    }

    /// Why the server refused, for programs.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Status(refusal) => refusal.reason.as_deref(),
            _ => None,
        }
    }

    /// Whether the same may well be done in a while.
    pub(crate) fn is_passing(&self) -> bool {
        let is_overload = matches!(self, Self::Status(refusal) if refusal.code == Code::ResourceExhausted);
        let is_slowness = self.reason() == Some("WATCHER_TOO_SLOW");
        self.is_away() || is_overload || is_slowness || matches!(self, Self::Busy(_))
    }

    /// Whether the server is not there, or not in time: the same, asked again, is answered as if it were the first time.
    pub(crate) fn is_away(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Status(refusal) => refusal.code == Code::Unavailable,
            _ => false,
        }
    }

    /// Whether nobody is there at all, at the address of the server.
    pub(crate) fn is_nobody(&self) -> bool {
        matches!(self, Self::Status(refusal) if refusal.nobody)
    }

    /// How long to wait first, where the server says so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// The reader of standard output went away: nothing is left to say.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// As `--help` lists them.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Local(_) | Self::Stream(_) => 1,
            Self::Usage(_) => 2,
            Self::NotLoggedIn(_) | Self::SessionEnded { .. } => 3,
            Self::RoleNotAllowed(_) => exit_code_of(Code::PermissionDenied),
            Self::Status(refusal) => exit_code_of(refusal.code),
            Self::TimedOut | Self::Busy(_) => 6,
            Self::NoAnswer(ending) => match **ending {
                Ending::Interrupted { .. } => 6,
                _ => 7,
            },
            Self::Interrupted => 130,
            Self::Output(_) if self.is_broken_pipe() => 141,
            Self::Output(_) => 1,
        }
    }

    pub(crate) fn report(&self) -> Report {
        let mut report = Report {
            sentence: self.to_string(),
            code: None,
            reason: None,
            metadata: BTreeMap::new(),
            field_violations: Vec::new(),
            hint: None,
            retry_after_seconds: None,
            exit_code: self.exit_code(),
        };
        match self {
            Self::Status(refusal) => {
                report.code = Some(code_name(refusal.code));
                report.reason.clone_from(&refusal.reason);
                report.metadata.clone_from(&refusal.metadata);
                report.field_violations.clone_from(&refusal.violations);
                report.hint = refusal.hint();
                report.retry_after_seconds = refusal.retry_after.map(whole_seconds);
            }
            Self::TimedOut => {
                report.code = Some(code_name(Code::DeadlineExceeded));
                report.hint = Some("--timeout gives it more time".to_owned());
            }
            Self::NotLoggedIn(_) => report.hint = Some(LOG_IN.to_owned()),
            Self::SessionEnded { email, .. } => {
                report.reason = Some("SESSION_ENDED".to_owned());
                report.hint = Some(LOG_IN.replace("ADDRESS", email));
            }
            Self::RoleNotAllowed(_) => report.reason = Some("ROLE_NOT_ALLOWED".to_owned()),
            Self::NoAnswer(ending) => report.reason = ending.reason(),
            Self::Local(_) | Self::Usage(_) | Self::Busy(_) | Self::Stream(_) | Self::Interrupted | Self::Output(_) => {
            }
        }
        report
    }
}

impl From<&Failure> for ExitCode {
    fn from(failure: &Failure) -> Self {
        Self::from(failure.exit_code())
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;
    use crate::status::is_unavailable;

    fn server() -> Server {
        Server::find(Some("127.0.0.1:50051"), None, std::path::Path::new("/")).unwrap()
    }

    #[test]
    fn every_code_has_its_exit_code() {
        let expected = [0, 6, 1, 5, 6, 4, 5, 5, 6, 5, 5, 5, 1, 1, 6, 1, 3];
        for (number, exit_code) in (0..).zip(expected) {
            let code = Code::from_i32(number);
            assert_eq!(
                Failure::status(Status::new(code, "x"), &server()).exit_code(),
                exit_code,
                "{code:?}"
            );
        }
    }

    #[test]
    fn what_is_no_status_has_its_exit_code_too() {
        for (failure, exit_code) in [
            (Failure::Local(String::new()), 1),
            (Failure::Usage(String::new()), 2),
            (Failure::NotLoggedIn(String::new()), 3),
            (
                Failure::SessionEnded {
                    email: String::new(),
                    server: String::new(),
                },
                3,
            ),
            (Failure::Busy(String::new()), 6),
            (Failure::RoleNotAllowed(String::new()), 5),
            (Failure::TimedOut, 6),
            (Failure::NoAnswer(Box::new(Ending::Superseded)), 7),
            (
                Failure::NoAnswer(Box::new(Ending::Interrupted {
                    reason: "DRAINING".to_owned(),
                })),
                6,
            ),
            (Failure::Output(io::ErrorKind::BrokenPipe.into()), 141),
            (Failure::Output(io::ErrorKind::StorageFull.into()), 1),
        ] {
            assert_eq!(failure.exit_code(), exit_code, "{failure}");
        }
    }

    #[test]
    fn details_are_decoded() {
        let mut details = ErrorDetails::new();
        details
            .set_error_info("INVALID_FIELDS", "deskhand", [])
            .add_bad_request_violation("email", "is not an address")
            .add_bad_request_violation("password", "is too short");
        let status = Status::with_error_details(Code::InvalidArgument, "Some fields are invalid.", details);
        let report = Failure::status(status, &server()).report();
        assert_eq!(report.sentence, "Some fields are invalid.");
        assert_eq!(
            (report.code, report.reason.as_deref()),
            (Some("INVALID_ARGUMENT"), Some("INVALID_FIELDS"))
        );
        let lines: Vec<String> = report.field_violations.iter().map(Violation::line).collect();
        assert_eq!(lines, ["email: is not an address", "password: is too short"]);
        assert_eq!(report.exit_code, 5);
    }

    fn refusal(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Failure {
        let metadata = metadata
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let metadata: std::collections::HashMap<String, String> = metadata.collect();
        let details = ErrorDetails::with_error_info(reason, "deskhand", metadata);
        Failure::status(Status::with_error_details(code, "No.", details), &server())
    }

    #[test]
    fn statuses_that_are_allowed_are_told_as_they_are_typed() {
        for (allowed, hint) in [
            (
                "TICKET_STATUS_IN_PROGRESS,TICKET_STATUS_RESOLVED",
                "allowed next: in-progress, resolved",
            ),
            (" TICKET_STATUS_OPEN ,", "allowed next: open"),
            ("", "no other status can follow"),
        ] {
            let report = refusal(Code::FailedPrecondition, "STATUS_NOT_ALLOWED", &[("allowed", allowed)]).report();
            assert_eq!((report.hint.as_deref(), report.exit_code), (Some(hint), 5));
            let json = serde_json::to_value(&report).unwrap();
            assert_eq!(json["metadata"], serde_json::json!({ "allowed": allowed }));
        }
        let report = refusal(Code::FailedPrecondition, "STATUS_NOT_ALLOWED", &[]).report();
        assert_eq!(report.hint.as_deref(), Some("no other status can follow"));
        assert!(serde_json::to_value(&report).unwrap().get("metadata").is_none());
    }

    #[test]
    fn a_ticket_that_changed_meanwhile_must_be_looked_at() {
        let report = refusal(Code::Aborted, "ETAG_MISMATCH", &[]).report();
        assert_eq!(report.exit_code, 5);
        assert!(report.hint.unwrap().contains("look at it again"));
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for (failure, passing) in [
            (refusal(Code::Unavailable, "DATABASE_UNAVAILABLE", &[]), true),
            (refusal(Code::Aborted, "WATCHER_TOO_SLOW", &[]), true),
            (refusal(Code::Aborted, "ETAG_MISMATCH", &[]), false),
            (refusal(Code::ResourceExhausted, "OVERLOADED", &[]), true),
            (refusal(Code::Unauthenticated, "TOKEN_EXPIRED", &[]), false),
            (refusal(Code::InvalidArgument, "INVALID_FIELDS", &[]), false),
            (refusal(Code::Internal, "INTERNAL", &[]), false),
            (Failure::TimedOut, true),
            (Failure::Busy(String::new()), true),
            (Failure::Local(String::new()), false),
        ] {
            assert_eq!(failure.is_passing(), passing, "{failure:?}");
        }
    }

    #[test]
    fn a_wait_is_rounded_up() {
        for (milliseconds, seconds, hint) in [
            (1_200, 2, "try again in 2 s"),
            (120_000, 120, "try again in 120 s"),
            (899_500, 900, "try again in 15 min"),
        ] {
            let mut details = ErrorDetails::with_error_info("THROTTLED", "deskhand", []);
            details.set_retry_info(Some(Duration::from_millis(milliseconds)));
            let status = Status::with_error_details(Code::ResourceExhausted, "Too many.", details);
            let report = Failure::status(status, &server()).report();
            assert_eq!(
                (report.hint.as_deref(), report.retry_after_seconds),
                (Some(hint), Some(seconds))
            );
        }
    }

    #[test]
    fn an_ended_session_is_told_how_to_begin_another() {
        let failure = Failure::SessionEnded {
            email: "ada@example.com".to_owned(),
            server: "127.0.0.1:50051".to_owned(),
        };
        let report = failure.report();
        assert_eq!(
            report.sentence,
            "the session of ada@example.com at 127.0.0.1:50051 has ended"
        );
        assert_eq!(report.reason.as_deref(), Some("SESSION_ENDED"));
        assert_eq!(
            report.hint.as_deref(),
            Some("log in with: deskhand login --email ada@example.com")
        );
    }

    #[test]
    fn only_a_missing_or_bad_token_is_told_to_log_in() {
        let hint = |reason: &str| {
            let details = ErrorDetails::with_error_info(reason, "deskhand", []);
            Failure::status(
                Status::with_error_details(Code::Unauthenticated, "No.", details),
                &server(),
            )
            .report()
            .hint
        };
        assert_eq!(hint("TOKEN_EXPIRED").as_deref(), Some(LOG_IN));
        assert_eq!(hint("INVALID_CREDENTIALS"), None);
    }

    #[test]
    fn a_status_made_here_means_that_the_connection_broke() {
        let mut status = Status::unknown("h2 protocol error");
        assert!(!is_unavailable(&status));
        status.set_source(std::sync::Arc::new(io::Error::other("reset by peer")));
        assert!(is_unavailable(&status));
        let failure = Failure::status(status, &server());
        assert_eq!((failure.exit_code(), failure.report().code), (6, Some("UNAVAILABLE")));
        assert!(
            failure.to_string().ends_with("127.0.0.1:50051 broke: reset by peer"),
            "{failure}"
        );

        let mut status = Status::cancelled("Timeout expired");
        status.set_source(std::sync::Arc::new(TimeoutExpired(())));
        assert!(!is_unavailable(&status), "there is no time for a repeat");
        assert!(matches!(Failure::status(status, &server()), Failure::TimedOut));
    }

    #[test]
    fn garbled_details_still_leave_the_sentence() {
        let status = Status::with_details(Code::NotFound, "No such ticket.", vec![0xff, 0xff, 0xff].into());
        let report = Failure::status(status, &server()).report();
        assert_eq!((report.sentence.as_str(), report.exit_code), ("No such ticket.", 4));
    }
}

//! A status that is no success, decoded.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tonic::{Code, ConnectError, Status};
use tonic_types::StatusExt;

use crate::server::Server;
use crate::status::{caused_by, code_name, is_broken, root_cause};
use crate::text::words;

pub(crate) const LOG_IN: &str = "log in with: deskhand login --email ADDRESS";

/// Why the server refused, or why it could not be asked.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) sentence: String,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) retry_after: Option<Duration>,
    /// There was no connection, and none could be made.
    pub(crate) nobody: bool,
}

/// A field that the server does not accept.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Violation {
    field: String,
    description: String,
}

impl Violation {
    /// As one line.
    pub(crate) fn line(&self) -> String {
        format!("{}: {}", self.field, self.description)
    }
}

impl Refusal {
    /// What a call to `server` ended in.
    pub(crate) fn of(status: &Status, server: &Server) -> Self {
        let broken = is_broken(status);
        let nobody = caused_by::<ConnectError>(status);
        let sentence = if nobody {
            let address = &server.address;
            let named_by = server.named_by.as_ref();
            let told = named_by
                .map(|path| format!(", which {} names", path.display()))
                .unwrap_or_default();
            format!("cannot reach ticket-service at {address}{told}: {}", root_cause(status))
        } else if broken {
            format!(
                "the connection to ticket-service at {} broke: {}",
                server.address,
                root_cause(status)
            )
        } else if status.message().is_empty() {
            format!("the server answered {} without a word", code_name(status.code()))
        } else {
            status.message().to_owned()
        };
        let details = status.get_error_details();
        let violations = details
            .bad_request()
            .map(|bad| bad.field_violations.as_slice())
            .unwrap_or_default();
        Self {
            code: if broken { Code::Unavailable } else { status.code() },
            sentence,
            reason: details.error_info().map(|info| info.reason.clone()),
            metadata: details
                .error_info()
                .map(|info| info.metadata.clone().into_iter().collect())
                .unwrap_or_default(),
            violations: violations
                .iter()
                .map(|violation| Violation {
                    field: violation.field.clone(),
                    description: violation.description.clone(),
                })
                .collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            nobody,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        if self.code == Code::Unauthenticated && self.reason.as_deref() != Some("INVALID_CREDENTIALS") {
            return Some(LOG_IN.to_owned());
        }
        match self.reason.as_deref() {
            Some("STATUS_NOT_ALLOWED") => return Some(self.allowed_next()),
            Some("ETAG_MISMATCH") => {
                return Some("it has changed meanwhile: look at it again, then take its new etag".to_owned());
            }
            Some("WATCHER_TOO_SLOW") => return Some("go on from the last cursor".to_owned()),
            Some("REPLY_ENDED") => return Some("how it ended is told by: deskhand reply show ID".to_owned()),
            Some("HANDLED_BY_HUMAN") => return Some("messages still reach them: deskhand say TICKET TEXT".to_owned()),
            _ => {}
        }
        let seconds = whole_seconds(self.retry_after?);
        Some(if seconds > 120 {
            format!("try again in {} min", seconds.div_ceil(60))
        } else {
            format!("try again in {seconds} s")
        })
    }

    /// The statuses that may follow, as they are typed.
    fn allowed_next(&self) -> String {
        let allowed = self.metadata.get("allowed").map_or("", String::as_str);
        let typed: Vec<String> = allowed
            .split(',')
            .map(str::trim)
            .filter(|status| !status.is_empty())
            .map(|status| words(status, "TICKET_STATUS").replace(' ', "-"))
            .collect();
        if typed.is_empty() {
            return "no other status can follow".to_owned();
        }
        format!("allowed next: {}", typed.join(", "))
    }
}

/// Rounded up: earlier would be too early.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

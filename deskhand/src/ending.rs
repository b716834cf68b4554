//! How a reply, or a stream of it, ends.

use deskhand_proto::replies::v1::{FailureReason, Usage};
use deskhand_proto::tickets::v1::Message;

/// How a stream ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Ending {
    Completed { message: Message, usage: Option<Usage> },
    Drafted { usage: Option<Usage> },
    Failed { reason: i32, message: String },
    Superseded,
    Cancelled,
    HandedOff { why: String },
    Interrupted { reason: String },
}

impl Ending {
    /// For people. Of endings without an answer; the others are told by the command.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Completed { .. } => "the answer is whole and posted".to_owned(),
            Self::Drafted { .. } => "the answer is whole and kept as a draft".to_owned(),
            Self::Failed { message, .. } if message.is_empty() => "the reply failed".to_owned(),
            Self::Failed { message, .. } => format!("the reply failed: {message}"),
            Self::Superseded => "something newer stands in the ticket: no answer was posted".to_owned(),
            Self::Cancelled => "the reply was cancelled: no answer was posted".to_owned(),
            Self::HandedOff { why } => format!("the assistant left the ticket to a person: {why}"),
            Self::Interrupted { .. } => {
                "the stream was interrupted; the reply may go on: `deskhand reply show` tells how it stands".to_owned()
            }
        }
    }

    /// For programs.
    pub(crate) fn reason(&self) -> Option<String> {
        match self {
            Self::Failed { reason, .. } => Some(reason_of_failure(*reason)),
            Self::Interrupted { reason } => Some(reason.clone()),
            Self::Superseded => Some("SUPERSEDED".to_owned()),
            Self::Cancelled => Some("CANCELLED".to_owned()),
            Self::HandedOff { .. } => Some("HANDED_OFF".to_owned()),
            Self::Completed { .. } | Self::Drafted { .. } => None,
        }
    }
}

/// For programs; a number, where this client does not know it.
pub(crate) fn reason_of_failure(reason: i32) -> String {
    match FailureReason::try_from(reason) {
        Ok(known) => known.as_str_name().trim_start_matches("FAILURE_REASON_").to_owned(),
        Err(_) => reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_without_their_prefix() {
        assert_eq!(
            reason_of_failure(FailureReason::UpstreamRateLimited as i32),
            "UPSTREAM_RATE_LIMITED"
        );
        assert_eq!(reason_of_failure(4711), "4711");
    }
}

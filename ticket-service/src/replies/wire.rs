//! Replies and their events as protobuf has them.

use deskhand_proto::replies::v1 as proto;
use deskhand_proto::replies::v1::reply_event::{
    Cancelled, Completed, Delta, Drafted, Event as Told, Failed, HandedOff, Interrupted, Restarted, Started, Superseded,
};

use super::reply::{End, Event, Failure, Mode, Reply, State, Usage};
use crate::timestamp::timestamp;

/// What a request asks for, `Some(None)` where it leaves it open; `None` for a number that is no mode.
pub(super) fn mode(wire: i32) -> Option<Option<Mode>> {
    Some(match proto::ReplyMode::try_from(wire).ok()? {
        proto::ReplyMode::Unspecified => None,
        proto::ReplyMode::Post => Some(Mode::Post),
        proto::ReplyMode::Draft => Some(Mode::Draft),
        // Asked for by RPCs of their own.
        proto::ReplyMode::Summary | proto::ReplyMode::Triage | proto::ReplyMode::Rewrite => return None,
    })
}

fn failed(failure: Failure, partial_text: String) -> Failed {
    let reason = match failure {
        Failure::UpstreamUnavailable => proto::FailureReason::UpstreamUnavailable,
        Failure::UpstreamRateLimited => proto::FailureReason::UpstreamRateLimited,
        Failure::UpstreamRejected => proto::FailureReason::UpstreamRejected,
        Failure::UpstreamProtocol => proto::FailureReason::UpstreamProtocol,
        Failure::ConversationTooLong => proto::FailureReason::ConversationTooLong,
        Failure::AnswerTruncated => proto::FailureReason::AnswerTruncated,
        Failure::EmptyAnswer => proto::FailureReason::EmptyAnswer,
        Failure::ContentFiltered => proto::FailureReason::ContentFiltered,
        Failure::TimedOut => proto::FailureReason::TimedOut,
        Failure::Abandoned => proto::FailureReason::Abandoned,
        Failure::Internal => proto::FailureReason::Internal,
    };
    Failed {
        reason: reason.into(),
        message: failure.sentence().to_owned(),
        partial_text,
    }
}

impl From<Usage> for proto::Usage {
    fn from(usage: Usage) -> Self {
        Self {
            model: usage.model,
            input_tokens: usage.input_tokens,
            cached_input_tokens: usage.cached_input_tokens,
            output_tokens: usage.output_tokens,
            reasoning_tokens: usage.reasoning_tokens,
        }
    }
}

impl From<Event> for proto::ReplyEvent {
    fn from(event: Event) -> Self {
        let told = match event {
            Event::Started { reply_id, attempt } => Told::Started(Started {
                reply_id: reply_id.to_string(),
                attempt,
            }),
            Event::Delta { attempt, offset, text } => Told::Delta(Delta {
                attempt,
                offset: i64::try_from(offset).unwrap_or(i64::MAX),
                text,
            }),
            Event::Restarted { attempt } => Told::Restarted(Restarted { attempt }),
            Event::Ended(end) => match end {
                End::Completed { message, usage } => Told::Completed(Completed {
                    message: Some((*message).into()),
                    usage: usage.map(Into::into),
                }),
                End::Drafted { usage } => Told::Drafted(Drafted {
                    usage: usage.map(Into::into),
                }),
                End::Failed { reason, partial_text } => Told::Failed(failed(reason, partial_text)),
                End::Superseded => Told::Superseded(Superseded {}),
                End::Cancelled => Told::Cancelled(Cancelled {}),
                End::HandedOff { why } => Told::HandedOff(HandedOff { why }),
                End::Interrupted { reason } => Told::Interrupted(Interrupted {
                    reason: reason.to_owned(),
                }),
            },
        };
        Self { event: Some(told) }
    }
}

impl From<Reply> for proto::Reply {
    fn from(reply: Reply) -> Self {
        let state = match reply.state {
            State::Running => proto::ReplyState::Running,
            State::Completed => proto::ReplyState::Completed,
            State::Drafted => proto::ReplyState::Drafted,
            State::Failed => proto::ReplyState::Failed,
            State::Superseded => proto::ReplyState::Superseded,
            State::Cancelled => proto::ReplyState::Cancelled,
            State::HandedOff => proto::ReplyState::HandedOff,
        };
        let mode = match reply.mode {
            Mode::Post => proto::ReplyMode::Post,
            Mode::Draft => proto::ReplyMode::Draft,
        };
        let text = reply.text.unwrap_or_default();
        let (draft_text, partial_text) = if reply.state == State::Drafted {
            (text, String::new())
        } else {
            (String::new(), text)
        };
        Self {
            id: reply.id.to_string(),
            ticket_id: reply.ticket_id.to_string(),
            mode: mode.into(),
            state: state.into(),
            attempt: reply.attempt,
            answers_message_id: reply.answers_message_id.map(|id| id.to_string()).unwrap_or_default(),
            requested_by_id: reply.requested_by.to_string(),
            create_time: Some(timestamp(reply.create_time)),
            end_time: reply.end_time.map(timestamp),
            message: reply.message.map(Into::into),
            draft_text,
            failure: reply.failure.map(|failure| failed(failure, partial_text)),
            usage: reply.usage.map(Into::into),
            hand_off_why: reply.hand_off_why.unwrap_or_default(),
            decision: None,
            ratings: Vec::new(),
        }
    }
}

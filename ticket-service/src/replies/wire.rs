//! Replies and their events as protobuf has them.

use deskhand_proto::replies::v1 as proto;
use deskhand_proto::replies::v1::reply_event::{
    Cancelled, Completed, Delta, Drafted, Event as Told, Failed, HandedOff, Interrupted, Restarted, Started, Superseded,
};

use deskhand_proto::tickets::v1::{TicketCategory, TicketPriority};

use super::judgement::{Sentiment, Tone, Triage};
use super::opinion::{Decided, Decision, Rating, Verdict};
use super::reply::{End, Event, Failure, Mode, Reply, State, Usage};
use super::store::Row;
use super::usage::DAY;
use crate::db::word;
use crate::error::{Error, Result};
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

/// `None` for what is no verdict.
pub(super) fn verdict(wire: i32) -> Option<Verdict> {
    match proto::Verdict::try_from(wire).ok()? {
        proto::Verdict::Unspecified => None,
        proto::Verdict::Helpful => Some(Verdict::Helpful),
        proto::Verdict::NotHelpful => Some(Verdict::NotHelpful),
    }
}

/// `None` for what is no tone.
pub(super) fn tone(wire: i32) -> Option<Tone> {
    match proto::Tone::try_from(wire).ok()? {
        proto::Tone::Unspecified => None,
        proto::Tone::Neutral => Some(Tone::Neutral),
        proto::Tone::Friendly => Some(Tone::Friendly),
        proto::Tone::Formal => Some(Tone::Formal),
        proto::Tone::Shorter => Some(Tone::Shorter),
    }
}

impl From<Mode> for proto::ReplyMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Post => Self::Post,
            Mode::Draft => Self::Draft,
            Mode::Summary => Self::Summary,
            Mode::Triage => Self::Triage,
            Mode::Rewrite => Self::Rewrite,
        }
    }
}

impl From<Triage> for proto::Triage {
    fn from(triage: Triage) -> Self {
        let sentiment = match triage.sentiment {
            Sentiment::Positive => proto::Sentiment::Positive,
            Sentiment::Neutral => proto::Sentiment::Neutral,
            Sentiment::Negative => proto::Sentiment::Negative,
            Sentiment::Angry => proto::Sentiment::Angry,
        };
        Self {
            category: TicketCategory::from(triage.category).into(),
            priority: TicketPriority::from(triage.priority).into(),
            sentiment: sentiment.into(),
            language: triage.language,
            confidence: triage.confidence,
            needs_human: triage.needs_human,
            why: triage.why,
        }
    }
}

impl From<Decided> for proto::Decision {
    fn from(decided: Decided) -> Self {
        let decision = match decided.decision {
            Decision::Accepted => proto::DraftDecision::Accepted,
            Decision::Discarded => proto::DraftDecision::Discarded,
        };
        Self {
            decision: decision.into(),
            user_id: decided.user_id.to_string(),
            time: Some(timestamp(decided.time)),
            edit_distance: decided.edit_distance,
        }
    }
}

impl From<Rating> for proto::Rating {
    fn from(rating: Rating) -> Self {
        let verdict = match rating.verdict {
            Verdict::Helpful => proto::Verdict::Helpful,
            Verdict::NotHelpful => proto::Verdict::NotHelpful,
        };
        Self {
            user_id: rating.user_id.to_string(),
            verdict: verdict.into(),
            comment: rating.comment,
            update_time: Some(timestamp(rating.update_time)),
        }
    }
}

/// A row of a report.
pub(super) fn usage_row(row: Row) -> Result<proto::UsageRow> {
    let outcome = match row.outcome.as_deref() {
        None => proto::CallOutcome::Unspecified,
        Some("OPEN") => proto::CallOutcome::Open,
        Some("COMPLETED") => proto::CallOutcome::Completed,
        Some("FAILED") => proto::CallOutcome::Failed,
        Some("CUT_SHORT") => proto::CallOutcome::CutShort,
        Some("LOST") => proto::CallOutcome::Lost,
        Some(_) => return Err(Error::Internal("an outcome that is not known", None)),
    };
    let mode = row.mode.as_deref().map(word::<Mode>).transpose()?;
    Ok(proto::UsageRow {
        day: row.day.and_then(|day| day.format(DAY).ok()).unwrap_or_default(),
        model: row.model.unwrap_or_default(),
        user_id: row.user_id.map(|id| id.to_string()).unwrap_or_default(),
        outcome: outcome.into(),
        mode: mode.map_or(proto::ReplyMode::Unspecified, Into::into).into(),
        calls: row.calls,
        estimated_calls: row.estimated,
        input_tokens: row.input,
        cached_input_tokens: row.cached,
        output_tokens: row.output,
        reasoning_tokens: row.reasoning,
        cost_micro_usd: row.cost_micro_usd,
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
        Failure::BudgetUsedUp => proto::FailureReason::BudgetUsedUp,
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
        let text = reply.text.unwrap_or_default();
        let (draft_text, partial_text) = if reply.state == State::Drafted {
            (text, String::new())
        } else {
            (String::new(), text)
        };
        Self {
            id: reply.id.to_string(),
            ticket_id: reply.ticket_id.map(|id| id.to_string()).unwrap_or_default(),
            mode: proto::ReplyMode::from(reply.mode).into(),
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
            decision: reply.decision.map(Into::into),
            ratings: reply.ratings.into_iter().map(Into::into).collect(),
        }
    }
}

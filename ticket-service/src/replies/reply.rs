//! What a reply is, what happens to it, and how it ends.

use strum::{EnumString, IntoStaticStr};
use time::OffsetDateTime;
use uuid::Uuid;

use super::opinion::{Decided, Rating};
use crate::tickets::ticket::Message;

/// What the assistant is asked for, and what becomes of it. Whatever is not posted is kept for staff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Mode {
    /// An answer, posted to the ticket.
    Post,
    /// An answer for someone of the desk to decide on.
    Draft,
    /// A summary of a ticket.
    Summary,
    /// A judgement of a ticket.
    Triage,
    /// A text written anew.
    Rewrite,
}

impl Mode {
    /// Whether it is an answer, written in pieces.
    pub(crate) fn is_answer(self) -> bool {
        matches!(self, Self::Post | Self::Draft)
    }

    /// Whether internal notes may go into it.
    pub(crate) fn may_tell_notes(self) -> bool {
        matches!(self, Self::Draft | Self::Summary)
    }
}

/// Where a reply stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum State {
    Running,
    Completed,
    Drafted,
    Failed,
    Superseded,
    Cancelled,
    HandedOff,
}

/// Why a reply failed. docs/errors.md says of each what the caller should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Failure {
    UpstreamUnavailable,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamProtocol,
    ConversationTooLong,
    AnswerTruncated,
    EmptyAnswer,
    ContentFiltered,
    TimedOut,
    Abandoned,
    BudgetUsedUp,
    Internal,
}

impl Failure {
    /// A sentence for people.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::UpstreamUnavailable => "The assistant cannot be reached at the moment. Ask again in a while.",
            Self::UpstreamRateLimited => "The assistant is asked too much at the moment. Ask again in a minute.",
            Self::UpstreamRejected => "The assistant cannot answer at the moment; the desk has to look into it.",
            Self::UpstreamProtocol => "The assistant's answer broke off. Ask again.",
            Self::ConversationTooLong => "The conversation is longer than the assistant can read.",
            Self::AnswerTruncated => "The assistant's answer grew too long and was cut off. Ask again.",
            Self::EmptyAnswer => "The assistant had nothing to say. Ask again.",
            Self::ContentFiltered => "The assistant may not answer this.",
            Self::TimedOut => "The assistant took too long. Ask again.",
            Self::Abandoned => "The server stopped while the assistant was writing. Ask again.",
            Self::BudgetUsedUp => {
                "The server stopped while the assistant was writing, and the budget is used up. Ask again later."
            }
            Self::Internal => "Something went wrong here; it has been logged.",
        }
    }
}

/// What a reply cost, as the provider reported it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) model: String,
    pub(crate) input_tokens: i64,
    pub(crate) cached_input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) reasoning_tokens: i64,
}

/// How a stream of a reply ends.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The answer is whole and posted.
    Completed {
        message: Box<Message>,
        usage: Option<Usage>,
    },
    /// The answer is whole and kept for staff.
    Drafted { usage: Option<Usage> },
    /// No answer will come.
    Failed { reason: Failure, partial_text: String },
    /// Something newer stands in the ticket.
    Superseded,
    /// A person stopped it.
    Cancelled,
    /// The assistant left the ticket to a person.
    HandedOff { why: String },
    /// The stream ends, the reply does not.
    Interrupted { reason: &'static str },
}

/// One thing that a stream tells.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// First in every stream.
    Started { reply_id: Uuid, attempt: i32 },
    /// A piece of the answer; `offset` in bytes.
    Delta { attempt: i32, offset: usize, text: String },
    /// The attempt so far is void.
    Restarted { attempt: i32 },
    /// Last in every stream.
    Ended(End),
}

/// A reply's record.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) id: Uuid,
    /// None for a text written anew.
    pub(crate) ticket_id: Option<Uuid>,
    pub(crate) requested_by: Uuid,
    pub(crate) mode: Mode,
    pub(crate) state: State,
    pub(crate) attempt: i32,
    /// The customer's message that it answers; `None` for the ticket's description.
    pub(crate) answers_message_id: Option<Uuid>,
    /// A draft, or what came before a failure.
    pub(crate) text: Option<String>,
    pub(crate) failure: Option<Failure>,
    /// Why the assistant left the ticket to a person.
    pub(crate) hand_off_why: Option<String>,
    pub(crate) message: Option<Message>,
    pub(crate) usage: Option<Usage>,
    /// What someone decided on a draft.
    pub(crate) decision: Option<Decided>,
    /// What people thought of it, as far as the caller may know.
    pub(crate) ratings: Vec<Rating>,
    /// Whether the ticket was set as a judgement says.
    pub(crate) applied: bool,
    pub(crate) create_time: OffsetDateTime,
    pub(crate) end_time: Option<OffsetDateTime>,
}

impl Reply {
    /// How it ended, and its text; `None` while it runs.
    pub(crate) fn end(self) -> Option<(String, End)> {
        let text = self.text.unwrap_or_default();
        Some(match self.state {
            State::Running => return None,
            State::Completed => match self.message {
                Some(message) => (
                    message.body.clone(),
                    End::Completed {
                        message: Box::new(message),
                        usage: self.usage,
                    },
                ),
                None => (text, End::Interrupted { reason: "MESSAGE_GONE" }),
            },
            State::Drafted => (text, End::Drafted { usage: self.usage }),
            State::Failed => {
                let reason = self.failure.unwrap_or(Failure::Internal);
                (
                    text.clone(),
                    End::Failed {
                        reason,
                        partial_text: text,
                    },
                )
            }
            State::Superseded => (text, End::Superseded),
            State::Cancelled => (text, End::Cancelled),
            State::HandedOff => {
                let why = self.hand_off_why.unwrap_or_default();
                (text, End::HandedOff { why })
            }
        })
    }
}

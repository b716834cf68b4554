//! What an event of a ticket is.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use time::OffsetDateTime;
use uuid::Uuid;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Kind {
    Created,
    Updated,
    Assigned,
    MessagePosted,
    HandedOff,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    /// The ticket's requester.
    Customer(Uuid),
    /// Someone of the desk.
    Agent(Uuid),
    /// The model.
    Assistant,
    /// Deskhand itself.
    System,
}

impl Actor {
    /// Which kind, as it is stored.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Customer(_) => "CUSTOMER",
            Self::Agent(_) => "AGENT",
            Self::Assistant => "ASSISTANT",
            Self::System => "SYSTEM",
        }
    }

    /// The user, where it is one.
    pub(super) fn id(self) -> Option<Uuid> {
        match self {
            Self::Customer(id) | Self::Agent(id) => Some(id),
            Self::Assistant | Self::System => None,
        }
    }

    /// As it was stored.
    pub(super) fn stored(kind: &str, id: Option<Uuid>) -> Option<Self> {
        Some(match (kind, id) {
            ("CUSTOMER", Some(id)) => Self::Customer(id),
            ("AGENT", Some(id)) => Self::Agent(id),
            ("ASSISTANT", None) => Self::Assistant,
            ("SYSTEM", None) => Self::System,
            _ => return None,
        })
    }
}

/// A field of a ticket that changed, its values as the contract spells them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) field: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// Collects what changed.
#[derive(Debug, Default)]
pub(crate) struct Changes(pub(crate) Vec<Change>);

impl Changes {
    /// Notes a field, where its value is another now.
    pub(crate) fn note(&mut self, field: &str, from: String, to: String) {
        if from != to {
            self.0.push(Change {
                field: field.to_owned(),
                from,
                to,
            });
        }
    }
}

/// Something that is about to have happened.
#[derive(Debug)]
pub(crate) struct NewEvent {
    pub(crate) ticket_id: Uuid,
    /// The ticket's.
    pub(crate) requester_id: Uuid,
    pub(crate) kind: Kind,
    pub(crate) actor: Actor,
    pub(crate) changes: Vec<Change>,
    pub(crate) message_id: Option<Uuid>,
    pub(crate) reply_id: Option<Uuid>,
    /// For staff only.
    pub(crate) internal: bool,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Rises within a ticket.
    pub(crate) id: i64,
    pub(crate) ticket_id: Uuid,
    /// The ticket's.
    pub(crate) requester_id: Uuid,
    pub(crate) kind: Kind,
    pub(crate) actor: Actor,
    pub(crate) changes: Vec<Change>,
    pub(crate) message_id: Option<Uuid>,
    pub(crate) reply_id: Option<Uuid>,
    /// For staff only.
    pub(crate) internal: bool,
    pub(crate) create_time: OffsetDateTime,
}

/// Something that happened, at its place in the feed.
#[derive(Clone, Debug)]
pub(crate) struct Positioned {
    /// Given after the commit; rises in the feed's one order.
    pub(crate) position: i64,
    pub(crate) event: Event,
}

/// Which events someone watches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// [`crate::caller::Caller::sees_only`]: the requester whose public events are seen; `None` for all events.
    pub(crate) sees_only: Option<Uuid>,
    /// Sorted; empty for all.
    pub(crate) tickets: Vec<Uuid>,
}

impl Scope {
    /// Whether an event is in it. `store::between` says the same in SQL.
    pub(super) fn holds(&self, event: &Event) -> bool {
        let seen = match self.sees_only {
            Some(requester) => event.requester_id == requester && !event.internal,
            None => true,
        };
        seen && (self.tickets.is_empty() || self.tickets.binary_search(&event.ticket_id).is_ok())
    }
}

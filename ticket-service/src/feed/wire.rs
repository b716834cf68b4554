//! Events as protobuf has them.

use deskhand_proto::feed::v1 as proto;
use deskhand_proto::feed::v1::ticket_event::FieldChange;

use super::event::{Actor, Event, Kind};
use crate::timestamp::timestamp;

impl From<Event> for proto::TicketEvent {
    /// Without a cursor.
    fn from(event: Event) -> Self {
        let kind = match event.kind {
            Kind::Created => proto::TicketEventKind::Created,
            Kind::Updated => proto::TicketEventKind::Updated,
            Kind::Assigned => proto::TicketEventKind::Assigned,
            Kind::MessagePosted => proto::TicketEventKind::MessagePosted,
            Kind::HandedOff => proto::TicketEventKind::HandedOff,
        };
        let actor_kind = match event.actor {
            Actor::Customer(_) => proto::ActorKind::Customer,
            Actor::Agent(_) => proto::ActorKind::Agent,
            Actor::Assistant => proto::ActorKind::Assistant,
            Actor::System => proto::ActorKind::System,
        };
        let changes = event.changes.into_iter().map(|change| FieldChange {
            field: change.field,
            from: change.from,
            to: change.to,
        });
        Self {
            cursor: String::new(),
            ticket_id: event.ticket_id.to_string(),
            id: event.id,
            kind: kind.into(),
            actor_kind: actor_kind.into(),
            actor_id: event.actor.id().map(|id| id.to_string()).unwrap_or_default(),
            changes: changes.collect(),
            message_id: event.message_id.map(|id| id.to_string()).unwrap_or_default(),
            reply_id: event.reply_id.map(|id| id.to_string()).unwrap_or_default(),
            internal: event.internal,
            create_time: Some(timestamp(event.create_time)),
            interrupted: None,
        }
    }
}

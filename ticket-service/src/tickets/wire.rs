//! Tickets and messages as protobuf has them.

use deskhand_proto::tickets::v1 as proto;

use super::ticket::{AuthorKind, Category, Handler, Message, Priority, Status, Ticket, Visibility};
use crate::timestamp::timestamp;

/// What a request asks for; `None` for a number that is no priority.
pub(super) fn priority(wire: i32) -> Option<Priority> {
    Some(match proto::TicketPriority::try_from(wire).ok()? {
        proto::TicketPriority::Unspecified | proto::TicketPriority::Normal => Priority::Normal,
        proto::TicketPriority::Low => Priority::Low,
        proto::TicketPriority::High => Priority::High,
        proto::TicketPriority::Urgent => Priority::Urgent,
    })
}

/// What a request asks for; `None` for a number that is no category.
pub(super) fn category(wire: i32) -> Option<Category> {
    Some(match proto::TicketCategory::try_from(wire).ok()? {
        proto::TicketCategory::Unspecified | proto::TicketCategory::General => Category::General,
        proto::TicketCategory::Billing => Category::Billing,
        proto::TicketCategory::Technical => Category::Technical,
        proto::TicketCategory::Account => Category::Account,
    })
}

/// A new value in a request; `None` for a number that is none.
pub(super) fn new_status(wire: i32) -> Option<Status> {
    Some(match proto::TicketStatus::try_from(wire).ok()? {
        proto::TicketStatus::Unspecified => return None,
        proto::TicketStatus::Open => Status::Open,
        proto::TicketStatus::InProgress => Status::InProgress,
        proto::TicketStatus::WaitingOnCustomer => Status::WaitingOnCustomer,
        proto::TicketStatus::Resolved => Status::Resolved,
        proto::TicketStatus::Closed => Status::Closed,
    })
}

/// A new value in a request; `None` for a number that is none.
pub(super) fn new_priority(wire: i32) -> Option<Priority> {
    (wire != proto::TicketPriority::Unspecified as i32).then(|| priority(wire))?
}

/// A new value in a request; `None` for a number that is none.
pub(super) fn new_category(wire: i32) -> Option<Category> {
    (wire != proto::TicketCategory::Unspecified as i32).then(|| category(wire))?
}

/// A new value in a request; `None` for a number that is none.
pub(super) fn new_handler(wire: i32) -> Option<Handler> {
    Some(match proto::TicketHandler::try_from(wire).ok()? {
        proto::TicketHandler::Unspecified => return None,
        proto::TicketHandler::Assistant => Handler::Assistant,
        proto::TicketHandler::Human => Handler::Human,
    })
}

/// What a request asks for; `None` for a number that is no visibility.
pub(super) fn visibility(wire: i32) -> Option<Visibility> {
    Some(match proto::MessageVisibility::try_from(wire).ok()? {
        proto::MessageVisibility::Unspecified | proto::MessageVisibility::Public => Visibility::Public,
        proto::MessageVisibility::Internal => Visibility::Internal,
    })
}

impl From<Status> for proto::TicketStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Open => Self::Open,
            Status::InProgress => Self::InProgress,
            Status::WaitingOnCustomer => Self::WaitingOnCustomer,
            Status::Resolved => Self::Resolved,
            Status::Closed => Self::Closed,
        }
    }
}

impl From<Priority> for proto::TicketPriority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Normal,
            Priority::High => Self::High,
            Priority::Urgent => Self::Urgent,
        }
    }
}

impl From<Category> for proto::TicketCategory {
    fn from(category: Category) -> Self {
        match category {
            Category::General => Self::General,
            Category::Billing => Self::Billing,
            Category::Technical => Self::Technical,
            Category::Account => Self::Account,
        }
    }
}

impl From<AuthorKind> for proto::AuthorKind {
    fn from(kind: AuthorKind) -> Self {
        match kind {
            AuthorKind::Customer => Self::Customer,
            AuthorKind::Agent => Self::Agent,
            AuthorKind::Assistant => Self::Assistant,
            AuthorKind::System => Self::System,
        }
    }
}

impl From<Ticket> for proto::Ticket {
    fn from(ticket: Ticket) -> Self {
        let handler = match ticket.handler {
            Handler::Assistant => proto::TicketHandler::Assistant,
            Handler::Human => proto::TicketHandler::Human,
        };
        let etag = ticket.etag();
        Self {
            id: ticket.id.to_string(),
            number: ticket.number,
            title: ticket.title,
            description: ticket.description,
            status: proto::TicketStatus::from(ticket.status).into(),
            priority: proto::TicketPriority::from(ticket.priority).into(),
            category: proto::TicketCategory::from(ticket.category).into(),
            tags: ticket.tags,
            requester_id: ticket.requester_id.to_string(),
            assignee_id: ticket.assignee_id.map(|id| id.to_string()).unwrap_or_default(),
            handler: handler.into(),
            create_time: Some(timestamp(ticket.create_time)),
            update_time: Some(timestamp(ticket.update_time)),
            first_response_time: ticket.first_response_time.map(timestamp),
            resolve_time: ticket.resolve_time.map(timestamp),
            etag,
            language: ticket.language,
        }
    }
}

impl From<Message> for proto::Message {
    fn from(message: Message) -> Self {
        let visibility = match message.visibility {
            Visibility::Public => proto::MessageVisibility::Public,
            Visibility::Internal => proto::MessageVisibility::Internal,
        };
        Self {
            id: message.id.to_string(),
            ticket_id: message.ticket_id.to_string(),
            author_id: message.author_id.map(|id| id.to_string()).unwrap_or_default(),
            author_kind: proto::AuthorKind::from(message.author_kind).into(),
            body: message.body,
            visibility: visibility.into(),
            create_time: Some(timestamp(message.create_time)),
            reply_id: message.reply_id.map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

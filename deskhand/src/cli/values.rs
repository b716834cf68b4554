//! Values of arguments about tickets.

use clap::ValueEnum;
use deskhand_proto::tickets::v1::{TicketCategory, TicketHandler, TicketOrder, TicketPriority, TicketStatus};
use prost_types::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::parse_id;

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Category {
    General,
    Billing,
    Technical,
    Account,
}

impl From<Category> for TicketCategory {
    fn from(category: Category) -> Self {
        match category {
            Category::General => Self::General,
            Category::Billing => Self::Billing,
            Category::Technical => Self::Technical,
            Category::Account => Self::Account,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Priority {
    Low,
    Normal,
    High,
    Urgent,
}

impl From<Priority> for TicketPriority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Normal,
            Priority::High => Self::High,
            Priority::Urgent => Self::Urgent,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Status {
    Open,
    #[value(alias = "in_progress")]
    InProgress,
    #[value(alias = "waiting_on_customer")]
    WaitingOnCustomer,
    Resolved,
    Closed,
}

impl From<Status> for TicketStatus {
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

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Handler {
    Assistant,
    Human,
}

impl From<Handler> for TicketHandler {
    fn from(handler: Handler) -> Self {
        match handler {
            Handler::Assistant => Self::Assistant,
            Handler::Human => Self::Human,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Order {
    /// The latest opened first.
    Newest,
    /// The longest without any change first.
    OldestUpdate,
    /// The most urgent first.
    Priority,
    /// The best match first; needs --query.
    Relevance,
}

impl From<Order> for TicketOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::Newest => Self::Newest,
            Order::OldestUpdate => Self::OldestUpdate,
            Order::Priority => Self::Priority,
            Order::Relevance => Self::Relevance,
        }
    }
}

/// Someone of the desk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Person {
    Me,
    Other(Uuid),
}

/// Who has a ticket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Assignee {
    Nobody,
    Someone(Person),
}

pub(super) fn parse_person(text: &str) -> Result<Person, String> {
    match text {
        "me" => Ok(Person::Me),
        _ => parse_id(text)
            .map(Person::Other)
            .map_err(|why| format!("me, or an id; {why}")),
    }
}

pub(super) fn parse_assignee(text: &str) -> Result<Assignee, String> {
    match text {
        "none" => Ok(Assignee::Nobody),
        _ => parse_person(text)
            .map(Assignee::Someone)
            .map_err(|why| format!("none, {why}")),
    }
}

/// RFC 3339, or a day, which begins at midnight in UTC.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339))
        .map_err(|_| {
            "a time is 2026-01-31T13:05:00Z (RFC 3339), or 2026-01-31 for its first moment in UTC".to_owned()
        })?;
    Ok(Timestamp {
        seconds: time.unix_timestamp(),
        // Below 10⁹.
        nanos: i32::try_from(time.nanosecond()).unwrap_or_default(),
    })
}

/// A day, as the contract takes it.
pub(super) fn parse_day(text: &str) -> Result<String, String> {
    match OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("a day is 2026-01-31".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_or_days() {
        for (text, seconds, nanos) in [
            ("1970-01-01", 0, 0),
            ("2023-11-14T22:13:20Z", 1_700_000_000, 0),
            ("2023-11-14T23:13:20.5+01:00", 1_700_000_000, 500_000_000),
            ("1969-12-31T23:59:59.25Z", -1, 250_000_000),
        ] {
            assert_eq!(parse_time(text), Ok(Timestamp { seconds, nanos }), "{text}");
        }
        for text in [
            "",
            "today",
            "2026-02-30",
            "2026-1-1",
            "20260101",
            "2026-01-01T10:00",
            "1700000000",
        ] {
            assert!(parse_time(text).unwrap_err().contains("RFC 3339"), "{text}");
        }
    }

    #[test]
    fn people_are_named_by_id_or_word() {
        let id = "019a2f3e-7c1b-7d40-8a55-0123456789ab";
        let someone = Person::Other(id.parse().unwrap());
        assert_eq!((parse_person("me"), parse_person(id)), (Ok(Person::Me), Ok(someone)));
        assert!(parse_person("none").is_err());
        assert_eq!(parse_assignee("none"), Ok(Assignee::Nobody));
        assert_eq!(parse_assignee("me"), Ok(Assignee::Someone(Person::Me)));
        assert_eq!(parse_assignee(id), Ok(Assignee::Someone(someone)));
        for text in ["", "Me", "nobody", "12"] {
            assert!(parse_assignee(text).unwrap_err().contains("UUID"), "{text}");
        }
    }
}

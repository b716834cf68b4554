//! Which tickets a list is of, and in which order: `ListTicketsRequest` as the service takes it.

use deskhand_proto::tickets::v1 as proto;
use deskhand_proto::tickets::v1::ListTicketsRequest;
use prost::Message as _;
use prost_types::Timestamp;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::request::TAG;
use super::ticket::{Category, Priority, Status};
use crate::error::Result;
use crate::page;
use crate::text::Rule;
use crate::violations::{self, Violations};

const QUERY: Rule = Rule {
    characters: 200,
    bytes: 800,
    lines: false,
};
const MAX_WORDS: usize = 20;

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The latest opened first.
    Newest,
    /// The longest without any change first.
    OldestUpdate,
    /// The most urgent first, and among equals the latest opened.
    Priority,
    /// Of the newest that fit, the best match first.
    Relevance,
}

/// Who works on a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assignee {
    Nobody,
    Agent(Uuid),
}

/// Which tickets, in which order. An empty list asks for nothing in particular; none has repeats.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) statuses: Vec<Status>,
    pub(super) priorities: Vec<Priority>,
    pub(super) categories: Vec<Category>,
    pub(super) tag: Option<String>,
    pub(super) assignee: Option<Assignee>,
    pub(super) requester: Option<Uuid>,
    /// These two in whole microseconds, as PostgreSQL keeps times.
    pub(super) created_from: Option<OffsetDateTime>,
    pub(super) created_before: Option<OffsetDateTime>,
    /// There whenever the order is by relevance. Whether it has a searchable word, only PostgreSQL can say.
    pub(super) query: Option<String>,
    pub(super) order: Order,
    pub(super) page_size: i64,
    /// All that was asked for but the page; what page tokens are bound to.
    pub(super) fingerprint: Vec<u8>,
}

impl Filter {
    pub(super) fn parse(asked: &ListTicketsRequest) -> Result<Self> {
        let mut violations = Violations::default();
        let page_size = violations.check("page_size", page::size(asked.page_size));
        let statuses = several(&mut violations, "statuses", &asked.statuses, 5, status);
        let priorities = several(&mut violations, "priorities", &asked.priorities, 4, priority);
        let categories = several(&mut violations, "categories", &asked.categories, 4, category);
        // Lower case first, as where tags are set.
        let tag = violations.check("tag", optional(&asked.tag, |tag| TAG.parse(&tag.to_lowercase())));
        let assignee = violations.check("assignee_id", optional(&asked.assignee_id, assignee));
        let requester = violations.check("requester_id", violations::optional_id(&asked.requester_id));
        let created_from = violations.check("created_from", asked.created_from.map(time).transpose());
        let created_before = violations.check("created_before", asked.created_before.map(time).transpose());
        if let (Some(Some(from)), Some(Some(before))) = (created_from, created_before)
            && before <= from
        {
            violations.note("created_before", "must be later than created_from");
        }
        let query = violations.check("query", optional(&asked.query, query));
        let order = violations.check("order", order(asked.order));
        if order == Some(Order::Relevance) && asked.query.is_empty() {
            violations.note("order", "by relevance needs a query");
        }
        violations.finish()?;
        Ok(Self {
            statuses,
            priorities,
            categories,
            tag: tag.flatten(),
            assignee: assignee.flatten(),
            requester: requester.flatten(),
            created_from: created_from.flatten().map(whole_microseconds),
            created_before: created_before.flatten().map(whole_microseconds),
            query: query.flatten(),
            order: order.unwrap_or(Order::Newest),
            page_size: page_size.unwrap_or_default(),
            fingerprint: fingerprint(asked),
        })
    }
}

/// A filter's values, each once; those that are none are noted, each at its place.
fn several<T: PartialEq>(
    violations: &mut Violations,
    field: &'static str,
    wire: &[i32],
    most: usize,
    known: impl Fn(i32) -> Option<T>,
) -> Vec<T> {
    let mut values = Vec::new();
    if wire.len() > most {
        violations.note(field, format!("must be at most {most}"));
        return values;
    }
    for (at, &number) in wire.iter().enumerate() {
        match known(number) {
            Some(value) if values.contains(&value) => {}
            Some(value) => values.push(value),
            None => violations.note(format!("{field}[{at}]"), "is not a known value"),
        }
    }
    values
}

/// Parses a text that may be left out.
fn optional<T, E>(text: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<Option<T>, E> {
    if text.is_empty() {
        Ok(None)
    } else {
        parse(text).map(Some)
    }
}

fn status(wire: i32) -> Option<Status> {
    match proto::TicketStatus::try_from(wire).ok()? {
        proto::TicketStatus::Unspecified => None,
        proto::TicketStatus::Open => Some(Status::Open),
        proto::TicketStatus::InProgress => Some(Status::InProgress),
        proto::TicketStatus::WaitingOnCustomer => Some(Status::WaitingOnCustomer),
        proto::TicketStatus::Resolved => Some(Status::Resolved),
        proto::TicketStatus::Closed => Some(Status::Closed),
    }
}

fn priority(wire: i32) -> Option<Priority> {
    match proto::TicketPriority::try_from(wire).ok()? {
        proto::TicketPriority::Unspecified => None,
        proto::TicketPriority::Low => Some(Priority::Low),
        proto::TicketPriority::Normal => Some(Priority::Normal),
        proto::TicketPriority::High => Some(Priority::High),
        proto::TicketPriority::Urgent => Some(Priority::Urgent),
    }
}

fn category(wire: i32) -> Option<Category> {
    match proto::TicketCategory::try_from(wire).ok()? {
        proto::TicketCategory::Unspecified => None,
        proto::TicketCategory::General => Some(Category::General),
        proto::TicketCategory::Billing => Some(Category::Billing),
        proto::TicketCategory::Technical => Some(Category::Technical),
        proto::TicketCategory::Account => Some(Category::Account),
    }
}

fn order(wire: i32) -> Result<Order, &'static str> {
    match proto::TicketOrder::try_from(wire) {
        Ok(proto::TicketOrder::Unspecified | proto::TicketOrder::Newest) => Ok(Order::Newest),
        Ok(proto::TicketOrder::OldestUpdate) => Ok(Order::OldestUpdate),
        Ok(proto::TicketOrder::Priority) => Ok(Order::Priority),
        Ok(proto::TicketOrder::Relevance) => Ok(Order::Relevance),
        Err(_) => Err("is not a known order"),
    }
}

fn assignee(text: &str) -> Result<Assignee, &'static str> {
    if text == "none" {
        return Ok(Assignee::Nobody);
    }
    violations::id(text)
        .map(Assignee::Agent)
        .map_err(|_| "must be `none`, or a UUID such as 0199f3a0-7c1e-7a55-9c3c-2f1d8e6b4a10")
}

fn query(text: &str) -> Result<String, String> {
    let query = QUERY.parse(text)?;
    if query.split_whitespace().count() > MAX_WORDS {
        return Err(format!("must have at most {MAX_WORDS} words"));
    }
    Ok(query)
}

/// Of the years 1 to 9999, as protobuf has them.
fn time(wire: Timestamp) -> Result<OffsetDateTime, &'static str> {
    const UNFIT: &str = "must be a time of the years 1 to 9999";
    let at = OffsetDateTime::from_unix_timestamp(wire.seconds).map_err(|_| UNFIT)?;
    let nanos = u32::try_from(wire.nanos).map_err(|_| UNFIT)?;
    let at = at.replace_nanosecond(nanos).map_err(|_| UNFIT)?;
    if at.year() < 1 { Err(UNFIT) } else { Ok(at) }
}

/// The next whole microsecond: of times in microseconds, the same ones are before it.
fn whole_microseconds(at: OffsetDateTime) -> OffsetDateTime {
    let beyond = at.nanosecond() % 1000;
    if beyond == 0 {
        return at;
    }
    // At the very end of time there is none.
    at.checked_add(Duration::nanoseconds(i64::from(1000 - beyond)))
        .unwrap_or(at)
}

fn fingerprint(asked: &ListTicketsRequest) -> Vec<u8> {
    let mut filter = asked.clone();
    filter.page_size = 0;
    filter.page_token.clear();
    filter.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_protobuf() {
        let parsed = |seconds, nanos| time(Timestamp { seconds, nanos });
        assert!(parsed(-62_135_596_800, 0).is_ok());
        assert!(parsed(-62_135_596_801, 0).is_err());
        assert!(parsed(253_402_300_799, 999_999_999).is_ok());
        assert!(parsed(253_402_300_800, 0).is_err());
        assert!(parsed(i64::MIN, 0).is_err() && parsed(i64::MAX, 0).is_err());
        assert!(parsed(0, -1).is_err() && parsed(0, 1_000_000_000).is_err());
    }

    #[test]
    fn times_are_rounded_to_where_the_same_microseconds_are_before() {
        let at = |nanos| OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap();
        assert_eq!(whole_microseconds(at(5_000)), at(5_000));
        assert_eq!(whole_microseconds(at(5_001)), at(6_000));
        assert_eq!(whole_microseconds(at(-5_001)), at(-5_000));
        let end = time(Timestamp {
            seconds: 253_402_300_799,
            nanos: 999_999_999,
        })
        .unwrap();
        assert_eq!(whole_microseconds(end), end);
    }
}

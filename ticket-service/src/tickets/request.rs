//! Requests as the service takes them, parsed from what came over the wire.

use std::collections::HashSet;

use deskhand_proto::tickets::v1::{self as proto, AssignTicketRequest, UpdateTicketRequest};
use prost_types::FieldMask;
use uuid::Uuid;

use super::patch::Patch;
use super::policy::Field;
use super::ticket::{Category, Priority, Visibility};
use super::wire;
use crate::error::Result;
use crate::text::Rule;
use crate::violations::{self, Violations};

const TITLE: Rule = Rule {
    characters: 200,
    bytes: 800,
    lines: false,
};
/// A description or a message of a person.
pub(crate) const BODY: Rule = Rule {
    characters: 10_000,
    bytes: 16 * 1024,
    lines: true,
};
pub(super) const TAG: Rule = Rule {
    characters: 40,
    bytes: 160,
    lines: false,
};
const MAX_TAGS: usize = 20;

/// A new ticket.
#[derive(Debug)]
pub(super) struct NewTicket {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) priority: Priority,
    pub(super) category: Category,
    pub(super) tags: Vec<String>,
    pub(super) request_id: Option<Uuid>,
}

impl NewTicket {
    pub(super) fn parse(
        title: &str,
        description: &str,
        priority: Option<Priority>,
        category: Option<Category>,
        tags: &[String],
        request_id: &str,
    ) -> Result<Self> {
        let mut violations = Violations::default();
        let title = violations.check("title", TITLE.parse(title));
        let description = violations.check("description", BODY.parse(description));
        let priority = violations.check("priority", priority.ok_or("is not a known priority"));
        let category = violations.check("category", category.ok_or("is not a known category"));
        let tags = parse_tags(&mut violations, "tags", tags);
        let request_id = violations.check("request_id", violations::optional_id(request_id));
        let (Some(title), Some(description), Some(priority), Some(category), Some(tags), Some(request_id)) =
            (title, description, priority, category, tags, request_id)
        else {
            return Err(violations.refused());
        };
        Ok(Self {
            title,
            description,
            priority,
            category,
            tags,
            request_id,
        })
    }
}

fn parse_tags(violations: &mut Violations, name: &'static str, tags: &[String]) -> Option<Vec<String>> {
    if tags.len() > MAX_TAGS {
        violations.note(name, "must be at most 20");
        return None;
    }
    let mut kept = Vec::new();
    let mut seen = HashSet::new();
    let mut all_fit = true;
    for (at, tag) in tags.iter().enumerate() {
        // Lower case first: it can lengthen a text.
        match TAG.parse(&tag.to_lowercase()) {
            Ok(tag) if seen.insert(tag.clone()) => kept.push(tag),
            Ok(_) => {}
            Err(wrong) => {
                violations.note(format!("{name}[{at}]"), wrong);
                all_fit = false;
            }
        }
    }
    all_fit.then_some(kept)
}

/// A change of a ticket.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) ticket_id: Uuid,
    pub(super) patch: Patch,
    pub(super) etag: String,
    pub(super) request_id: Option<Uuid>,
}

/// The mask's paths at most; there are fewer fields.
const MAX_PATHS: usize = 20;

/// Fields of a ticket that UpdateTicket does not change.
const FIXED: [&str; 10] = [
    "id",
    "number",
    "requester_id",
    "assignee_id",
    "create_time",
    "update_time",
    "first_response_time",
    "resolve_time",
    "etag",
    "language",
];

impl Update {
    pub(super) fn parse(asked: &UpdateTicketRequest) -> Result<Self> {
        let mut violations = Violations::default();
        let empty = proto::Ticket::default();
        let ticket = asked.ticket.as_ref().unwrap_or(&empty);
        let ticket_id = violations.check("ticket.id", violations::id(&ticket.id));
        let mut patch = Patch::default();
        for field in parse_mask(&mut violations, asked.update_mask.as_ref()) {
            match field {
                Field::Title => patch.title = violations.check("ticket.title", TITLE.parse(&ticket.title)),
                Field::Description => {
                    patch.description = violations.check("ticket.description", BODY.parse(&ticket.description));
                }
                Field::Status => {
                    let status = wire::new_status(ticket.status).ok_or("is not a status that a ticket can have");
                    patch.status = violations.check("ticket.status", status);
                }
                Field::Priority => {
                    let priority = wire::new_priority(ticket.priority).ok_or("is not a known priority");
                    patch.priority = violations.check("ticket.priority", priority);
                }
                Field::Category => {
                    let category = wire::new_category(ticket.category).ok_or("is not a known category");
                    patch.category = violations.check("ticket.category", category);
                }
                Field::Tags => patch.tags = parse_tags(&mut violations, "ticket.tags", &ticket.tags),
                Field::Handler => {
                    let handler = wire::new_handler(ticket.handler).ok_or("is not a known handler");
                    patch.handler = violations.check("ticket.handler", handler);
                }
            }
        }
        let request_id = violations.check("request_id", violations::optional_id(&asked.request_id));
        let (Some(ticket_id), Some(request_id)) = (ticket_id, request_id) else {
            return Err(violations.refused());
        };
        violations.finish()?;
        Ok(Self {
            ticket_id,
            patch,
            etag: ticket.etag.clone(),
            request_id,
        })
    }
}

fn parse_mask(violations: &mut Violations, mask: Option<&FieldMask>) -> Vec<Field> {
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if paths.is_empty() {
        violations.note("update_mask", "is required: it names the fields to change");
    } else if paths.len() > MAX_PATHS {
        violations.note("update_mask", "must have at most 20 paths");
        return Vec::new();
    }
    let mut fields = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        match path.parse() {
            Ok(field) => fields.push(field),
            Err(_) if path == "assignee_id" => {
                violations.note(format!("update_mask.paths[{at}]"), "is changed by AssignTicket");
            }
            Err(_) if FIXED.contains(&path.as_str()) => {
                violations.note(format!("update_mask.paths[{at}]"), "is a field that cannot be changed");
            }
            Err(_) => violations.note(format!("update_mask.paths[{at}]"), "is not a field of a ticket"),
        }
    }
    fields
}

/// Who is to work on a ticket.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) ticket_id: Uuid,
    pub(super) assignee_id: Option<Uuid>,
    pub(super) etag: String,
    pub(super) request_id: Option<Uuid>,
}

impl Assignment {
    pub(super) fn parse(asked: &AssignTicketRequest) -> Result<Self> {
        let mut violations = Violations::default();
        let ticket_id = violations.check("ticket_id", violations::id(&asked.ticket_id));
        let assignee_id = violations.check("assignee_id", violations::optional_id(&asked.assignee_id));
        let request_id = violations.check("request_id", violations::optional_id(&asked.request_id));
        let (Some(ticket_id), Some(assignee_id), Some(request_id)) = (ticket_id, assignee_id, request_id) else {
            return Err(violations.refused());
        };
        Ok(Self {
            ticket_id,
            assignee_id,
            etag: asked.etag.clone(),
            request_id,
        })
    }
}

/// A new message.
#[derive(Debug)]
pub(super) struct NewMessage {
    pub(super) ticket_id: Uuid,
    pub(super) body: String,
    pub(super) visibility: Visibility,
    pub(super) request_id: Option<Uuid>,
}

impl NewMessage {
    pub(super) fn parse(ticket_id: &str, body: &str, visibility: Option<Visibility>, request_id: &str) -> Result<Self> {
        let mut violations = Violations::default();
        let ticket_id = violations.check("ticket_id", violations::id(ticket_id));
        let body = violations.check("body", BODY.parse(body));
        let visibility = violations.check("visibility", visibility.ok_or("is not a known visibility"));
        let request_id = violations.check("request_id", violations::optional_id(request_id));
        let (Some(ticket_id), Some(body), Some(visibility), Some(request_id)) =
            (ticket_id, body, visibility, request_id)
        else {
            return Err(violations.refused());
        };
        Ok(Self {
            ticket_id,
            body,
            visibility,
            request_id,
        })
    }
}

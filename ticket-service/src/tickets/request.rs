//! Requests as the service takes them, parsed from what came over the wire.

use std::collections::HashSet;

use uuid::Uuid;

use super::ticket::{Category, Priority, Visibility};
use crate::error::Result;
use crate::text::Rule;
use crate::violations::{self, Violations};

const TITLE: Rule = Rule {
    characters: 200,
    bytes: 800,
    lines: false,
};
/// A description or a message of a person.
const BODY: Rule = Rule {
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
        let tags = parse_tags(&mut violations, tags);
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

fn parse_tags(violations: &mut Violations, tags: &[String]) -> Option<Vec<String>> {
    if tags.len() > MAX_TAGS {
        violations.note("tags", "must be at most 20");
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
                violations.note(format!("tags[{at}]"), wrong);
                all_fit = false;
            }
        }
    }
    all_fit.then_some(kept)
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

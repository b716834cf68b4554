//! New values for some fields of a ticket, and what they make of it.

use super::policy::Field;
use super::ticket::{Category, Handler, Priority, Status, Ticket};
use crate::feed::event::{Change, Changes};

/// The fields that are to change.
#[derive(Debug, Default)]
pub(super) struct Patch {
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    pub(super) status: Option<Status>,
    pub(super) priority: Option<Priority>,
    pub(super) category: Option<Category>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) handler: Option<Handler>,
}

impl Patch {
    /// Which fields it has a value for.
    pub(super) fn fields(&self) -> impl Iterator<Item = Field> + use<> {
        [
            self.title.as_ref().map(|_| Field::Title),
            self.description.as_ref().map(|_| Field::Description),
            self.status.map(|_| Field::Status),
            self.priority.map(|_| Field::Priority),
            self.category.map(|_| Field::Category),
            self.tags.as_ref().map(|_| Field::Tags),
            self.handler.map(|_| Field::Handler),
        ]
        .into_iter()
        .flatten()
    }

    /// The ticket with the new values.
    pub(super) fn applied_to(&self, ticket: &Ticket) -> Ticket {
        let before = ticket.clone();
        Ticket {
            title: self.title.clone().unwrap_or(before.title),
            description: self.description.clone().unwrap_or(before.description),
            status: self.status.unwrap_or(before.status),
            priority: self.priority.unwrap_or(before.priority),
            category: self.category.unwrap_or(before.category),
            tags: self.tags.clone().unwrap_or(before.tags),
            handler: self.handler.unwrap_or(before.handler),
            ..before
        }
    }
}

/// What is another in `after` than in `before`, of all that can be changed by hand or by triage.
pub(super) fn differences(before: &Ticket, after: &Ticket) -> Vec<Change> {
    let assignee = |ticket: &Ticket| ticket.assignee_id.map(|id| id.to_string()).unwrap_or_default();
    let mut changes = Changes::default();
    changes.note("title", before.title.clone(), after.title.clone());
    changes.note("description", before.description.clone(), after.description.clone());
    changes.note("status", before.status.spelled(), after.status.spelled());
    changes.note("priority", before.priority.spelled(), after.priority.spelled());
    changes.note("category", before.category.spelled(), after.category.spelled());
    changes.note("tags", before.tags.join(", "), after.tags.join(", "));
    changes.note("assignee_id", assignee(before), assignee(after));
    changes.note("handler", before.handler.spelled(), after.handler.spelled());
    changes.note("language", before.language.clone(), after.language.clone());
    changes.0
}

//! `ticket events`: what happened to a ticket, and how an event is told.

use deskhand_proto::feed::v1::ticket_event::FieldChange;
use deskhand_proto::feed::v1::{TicketEvent, TicketEventKind};
use deskhand_proto::tickets::v1::{ListTicketEventsRequest, ListTicketEventsResponse};

use super::pages::{self, Page};
use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::Output;
use crate::text::{moment, shortened, visible_line, words};

/// So many characters of a title say which it is.
const LONGEST_VALUE: usize = 60;

pub(super) async fn run(args: cli::Events, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    pages::show(args.page, output, async |page_size, page_token| {
        let request = ListTicketEventsRequest {
            ticket_id: args.ticket.to_string(),
            page_size,
            page_token,
        };
        connection
            .call(request, async |request| {
                connection.tickets().list_ticket_events(request).await
            })
            .await
    })
    .await
}

impl Page for ListTicketEventsResponse {
    const NAME: &'static str = "deskhand.tickets.v1.ListTicketEventsResponse";

    fn next_page_token(&self) -> &str {
        &self.next_page_token
    }

    fn rows(&self) -> Vec<String> {
        self.events
            .iter()
            .map(|event| format!("{}  {}", moment(event.create_time.as_ref()), told(event)))
            .collect()
    }
}

/// An event among those of all tickets.
pub(super) fn row(event: &TicketEvent) -> String {
    let time = moment(event.create_time.as_ref());
    format!("{time}  {}  {}", visible_line(&event.ticket_id), told(event))
}

/// Who did what.
fn told(event: &TicketEvent) -> String {
    let mut parts = vec![action(event)];
    parts.extend(event.changes.iter().map(change));
    // What an update and an assignment did is all in their changes.
    if matches!(event.kind(), TicketEventKind::Updated | TicketEventKind::Assigned) && parts.len() > 1 {
        parts.remove(0);
    }
    format!("{}  {}", actor(event), parts.join(", "))
}

fn actor(event: &TicketEvent) -> String {
    let kind = words(event.actor_kind().as_str_name(), "ACTOR_KIND");
    if event.actor_id.is_empty() {
        kind
    } else {
        format!("{kind} {}", visible_line(&event.actor_id))
    }
}

fn action(event: &TicketEvent) -> String {
    match event.kind() {
        TicketEventKind::Created => "opened it".to_owned(),
        TicketEventKind::Updated => "changed it".to_owned(),
        TicketEventKind::Assigned => "assigned it".to_owned(),
        TicketEventKind::MessagePosted => {
            let what = if event.internal { "note" } else { "message" };
            format!("{what} {}", visible_line(&event.message_id))
        }
        TicketEventKind::HandedOff => "left it to a person".to_owned(),
        TicketEventKind::Unspecified => format!("did what this client does not know (kind {})", event.kind),
    }
}

/// `status OPEN → RESOLVED`. Of a description only that it changed: it has many lines.
fn change(change: &FieldChange) -> String {
    let field = change.field.as_str();
    if field == "description" {
        return "description changed".to_owned();
    }
    let name = visible_line(field.strip_suffix("_id").unwrap_or(field));
    format!("{name} {} → {}", value(field, &change.from), value(field, &change.to))
}

fn value(field: &str, value: &str) -> String {
    match (field, value) {
        ("assignee_id", "") => "nobody".to_owned(),
        ("tags", "") => "none".to_owned(),
        ("title", title) => format!("“{}”", shortened(&visible_line(title), LONGEST_VALUE)),
        (_, value) => {
            let prefix = format!("TICKET_{}_", field.to_ascii_uppercase());
            shortened(
                &visible_line(value.strip_prefix(&prefix).unwrap_or(value)),
                LONGEST_VALUE,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use deskhand_proto::feed::v1::ActorKind;
    use prost_types::Timestamp;

    use super::*;

    fn event(kind: TicketEventKind, changes: &[(&str, &str, &str)]) -> TicketEvent {
        let changes = changes.iter().map(|(field, from, to)| FieldChange {
            field: (*field).to_owned(),
            from: (*from).to_owned(),
            to: (*to).to_owned(),
        });
        TicketEvent {
            ticket_id: "t".to_owned(),
            kind: kind.into(),
            actor_kind: ActorKind::Agent.into(),
            actor_id: "a".to_owned(),
            changes: changes.collect(),
            message_id: "m".to_owned(),
            create_time: Some(Timestamp {
                seconds: 1_700_000_000,
                nanos: 0,
            }),
            ..TicketEvent::default()
        }
    }

    #[test]
    fn an_event_is_time_actor_and_what() {
        let changes = [("status", "TICKET_STATUS_OPEN", "TICKET_STATUS_RESOLVED")];
        let event = event(TicketEventKind::Updated, &changes);
        assert_eq!(row(&event), "2023-11-14T22:13:20Z  t  agent a  status OPEN → RESOLVED");
        let page = ListTicketEventsResponse {
            events: vec![event],
            ..Default::default()
        };
        assert_eq!(page.rows(), ["2023-11-14T22:13:20Z  agent a  status OPEN → RESOLVED"]);
    }

    #[test]
    fn every_kind_is_told() {
        use TicketEventKind::{Assigned, Created, MessagePosted, Unspecified, Updated};
        for (kind, changes, expected) in [
            (Created, &[] as &[_], "agent a  opened it"),
            (Updated, &[], "agent a  changed it"),
            (
                Updated,
                &[
                    ("tags", "a, b", ""),
                    ("title", "Old", "New\nline"),
                    ("description", "x", "y"),
                ],
                "agent a  tags a, b → none, title “Old” → “New line”, description changed",
            ),
            (Assigned, &[("assignee_id", "", "b")], "agent a  assignee nobody → b"),
            (
                MessagePosted,
                &[("handler", "TICKET_HANDLER_ASSISTANT", "TICKET_HANDLER_HUMAN")],
                "agent a  message m, handler ASSISTANT → HUMAN",
            ),
            (Unspecified, &[], "agent a  did what this client does not know (kind 0)"),
        ] {
            assert_eq!(told(&event(kind, changes)), expected);
        }
        let note = TicketEvent {
            internal: true,
            actor_kind: ActorKind::Assistant.into(),
            actor_id: String::new(),
            ..event(MessagePosted, &[])
        };
        assert_eq!(told(&note), "assistant  note m");
        let new = TicketEvent {
            kind: 47,
            ..event(MessagePosted, &[])
        };
        assert!(told(&new).contains("(kind 47)"));
    }

    #[test]
    fn an_event_is_one_harmless_line() {
        let evil = "\u{1b}[2J\n\u{202e}".to_owned() + &"x".repeat(300);
        let event = TicketEvent {
            ticket_id: evil.clone(),
            actor_id: evil.clone(),
            message_id: evil.clone(),
            ..event(
                TicketEventKind::MessagePosted,
                &[("title", &evil, &evil), (&evil, &evil, &evil)],
            )
        };
        let row = row(&event);
        assert!(!row.contains(|c: char| c.is_control() || c == '\u{202e}'), "{row:?}");
    }
}

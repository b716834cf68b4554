//! `ticket update`, `ticket assign`: changes to tickets.

use deskhand_proto::tickets::v1::{
    AssignTicketRequest, Ticket, TicketCategory, TicketHandler, TicketPriority, TicketStatus, UpdateTicketRequest,
};
use prost_types::FieldMask;

use super::list::id_of;
use super::ticket::show_ticket;
use crate::cli;
use crate::connection::{Connection, new_request_id};
use crate::failure::Failure;
use crate::input;
use crate::output::Output;

pub(super) async fn update(
    mut args: cli::UpdateTicket,
    connection: &Connection,
    output: &mut Output,
) -> Result<(), Failure> {
    args.description = args.description.map(input::text).transpose()?;
    let (ticket, paths) = changed(args);
    if paths.is_empty() {
        return Err(Failure::Usage(
            "nothing to change: give at least one of --title, --description, --status, --priority, --category, --tags, \
             --handler"
                .to_owned(),
        ));
    }
    let request = UpdateTicketRequest {
        ticket: Some(ticket),
        update_mask: Some(FieldMask { paths }),
        request_id: new_request_id(),
    };
    let answer = connection
        .change(request, async |request| {
            connection.tickets().update_ticket(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.tickets.v1.UpdateTicketResponse", &answer);
    }
    show_ticket(&answer.ticket.unwrap_or_default(), output)
}

/// The new values, and the names of the fields that have one.
fn changed(args: cli::UpdateTicket) -> (Ticket, Vec<String>) {
    let mut ticket = Ticket {
        id: args.id.to_string(),
        etag: args.etag,
        ..Ticket::default()
    };
    let mut paths = Vec::new();
    if let Some(title) = args.title {
        ticket.title = title;
        paths.push("title".to_owned());
    }
    if let Some(description) = args.description {
        ticket.description = description;
        paths.push("description".to_owned());
    }
    if let Some(status) = args.status {
        ticket.set_status(TicketStatus::from(status));
        paths.push("status".to_owned());
    }
    if let Some(priority) = args.priority {
        ticket.set_priority(TicketPriority::from(priority));
        paths.push("priority".to_owned());
    }
    if let Some(category) = args.category {
        ticket.set_category(TicketCategory::from(category));
        paths.push("category".to_owned());
    }
    if let Some(tags) = args.tags {
        ticket.tags = split(&tags);
        paths.push("tags".to_owned());
    }
    if let Some(handler) = args.handler {
        ticket.set_handler(TicketHandler::from(handler));
        paths.push("handler".to_owned());
    }
    (ticket, paths)
}

/// An empty one between commas is kept, for the server to refuse: dropped, a slip might clear all tags.
fn split(tags: &str) -> Vec<String> {
    if tags.trim().is_empty() {
        return Vec::new();
    }
    tags.split(',').map(|tag| tag.trim().to_owned()).collect()
}

pub(super) async fn assign(
    args: cli::AssignTicket,
    connection: &Connection,
    output: &mut Output,
) -> Result<(), Failure> {
    let assignee_id = match args.to {
        Some(person) => id_of(person, connection).await?,
        None => String::new(),
    };
    let request = AssignTicketRequest {
        ticket_id: args.id.to_string(),
        assignee_id,
        etag: args.etag,
        request_id: new_request_id(),
    };
    let answer = connection
        .change(request, async |request| {
            connection.tickets().assign_ticket(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.tickets.v1.AssignTicketResponse", &answer);
    }
    show_ticket(&answer.ticket.unwrap_or_default(), output)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Client, Command};

    const ID: &str = "019a2f3e-7c1b-7d40-8a55-0123456789ab";

    fn change(arguments: &[&str]) -> (Ticket, Vec<String>) {
        let cli = Cli::try_parse_from([&["deskhand", "ticket", "update", ID], arguments].concat()).unwrap();
        let Command::Client(Client::Ticket(cli::Ticket::Update(args))) = cli.command else {
            panic!("another command")
        };
        changed(args)
    }

    fn unchanged() -> Ticket {
        Ticket {
            id: ID.to_owned(),
            ..Ticket::default()
        }
    }

    #[test]
    fn the_mask_names_what_was_given() {
        assert_eq!(change(&[]), (unchanged(), vec![]));
        let etag = Ticket {
            etag: "e".to_owned(),
            ..unchanged()
        };
        assert_eq!(change(&["--etag", "e"]), (etag, vec![]), "an etag is no change");

        let (ticket, paths) = change(&["--status", "in-progress", "--title", ""]);
        assert_eq!(
            paths,
            ["title", "status"],
            "an empty value is one, for the server to judge"
        );
        assert_eq!((ticket.status(), ticket.title.as_str()), (TicketStatus::InProgress, ""));

        let all = [
            "--title=t",
            "--description=d",
            "--status=resolved",
            "--priority=low",
            "--category=account",
            "--tags=a",
            "--handler=human",
        ];
        let (ticket, paths) = change(&all);
        let names = [
            "title",
            "description",
            "status",
            "priority",
            "category",
            "tags",
            "handler",
        ];
        assert_eq!(paths, names);
        let expected = Ticket {
            title: "t".to_owned(),
            description: "d".to_owned(),
            status: TicketStatus::Resolved.into(),
            priority: TicketPriority::Low.into(),
            category: TicketCategory::Account.into(),
            tags: vec!["a".to_owned()],
            handler: TicketHandler::Human.into(),
            ..unchanged()
        };
        assert_eq!(ticket, expected);
    }

    #[test]
    fn tags_are_replaced_as_a_whole() {
        for (given, tags) in [
            ("", &[] as &[&str]),
            (" ", &[]),
            ("a, b c,d", &["a", "b c", "d"]),
            (",", &["", ""]),
        ] {
            let (ticket, paths) = change(&["--tags", given]);
            assert_eq!(
                (ticket.tags.as_slice(), paths.as_slice()),
                (
                    tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>().as_slice(),
                    ["tags".to_owned()].as_slice()
                )
            );
        }
    }

    #[test]
    fn a_ticket_is_given_to_someone_or_to_nobody() {
        let parse = |arguments: &[&str]| Cli::try_parse_from([&["deskhand", "ticket", "assign"], arguments].concat());
        for arguments in [&[ID, "me"] as &[&str], &[ID, ID], &[ID, "--nobody"]] {
            assert!(parse(arguments).is_ok(), "{arguments:?}");
        }
        for arguments in [&[ID] as &[&str], &[ID, "me", "--nobody"], &[ID, "none"], &["me"]] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}

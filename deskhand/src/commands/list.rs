//! `ticket list`: tickets that fit a filter.

use deskhand_proto::tickets::v1::{
    ListTicketsRequest, ListTicketsResponse, Ticket, TicketCategory, TicketOrder, TicketPriority, TicketStatus,
};

use super::account;
use super::pages::{self, Page};
use crate::cli::{self, Assignee, Person};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::Output;
use crate::text::{moment, visible_line, words};

pub(super) async fn run(args: cli::ListTickets, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let assignee_id = match args.assignee {
        None => String::new(),
        Some(Assignee::Nobody) => "none".to_owned(),
        Some(Assignee::Someone(person)) => id_of(person, connection).await?,
    };
    let filter = filter(&args, assignee_id);
    pages::show(args.page, output, async |page_size, page_token| {
        let request = ListTicketsRequest {
            page_size,
            page_token,
            ..filter.clone()
        };
        ask(request, connection).await
    })
    .await
}

/// One page.
pub(super) async fn ask(request: ListTicketsRequest, connection: &Connection) -> Result<ListTicketsResponse, Failure> {
    connection
        .call(request, async |request| {
            connection.tickets().list_tickets(request).await
        })
        .await
}

pub(super) async fn id_of(person: Person, connection: &Connection) -> Result<String, Failure> {
    match person {
        Person::Me => Ok(account::me(connection).await?.id),
        Person::Other(id) => Ok(id.to_string()),
    }
}

fn filter(args: &cli::ListTickets, assignee_id: String) -> ListTicketsRequest {
    let statuses = args.statuses.iter().map(|status| TicketStatus::from(*status).into());
    let priorities = args
        .priorities
        .iter()
        .map(|priority| TicketPriority::from(*priority).into());
    let categories = args
        .categories
        .iter()
        .map(|category| TicketCategory::from(*category).into());
    ListTicketsRequest {
        statuses: statuses.collect(),
        priorities: priorities.collect(),
        categories: categories.collect(),
        tag: args.tag.clone(),
        assignee_id,
        requester_id: args.requester.map_or_else(String::new, |id| id.to_string()),
        created_from: args.created_from,
        created_before: args.created_before,
        query: args.query.clone(),
        order: args.order.map_or(TicketOrder::Unspecified, TicketOrder::from).into(),
        ..Default::default()
    }
}

impl Page for ListTicketsResponse {
    const NAME: &'static str = "deskhand.tickets.v1.ListTicketsResponse";

    fn next_page_token(&self) -> &str {
        &self.next_page_token
    }

    fn rows(&self) -> Vec<String> {
        self.tickets.iter().map(row).collect()
    }
}

fn row(ticket: &Ticket) -> String {
    let Ticket {
        number,
        id,
        title,
        update_time,
        ..
    } = ticket;
    let status = words(ticket.status().as_str_name(), "TICKET_STATUS");
    let priority = words(ticket.priority().as_str_name(), "TICKET_PRIORITY");
    format!(
        "{number:>6}  {id}  {status:<19}  {priority:<6}  {}  {}",
        moment(update_time.as_ref()),
        visible_line(title)
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use prost_types::Timestamp;

    use super::*;
    use crate::cli::{Cli, Client, Command};

    const ID: &str = "019a2f3e-7c1b-7d40-8a55-0123456789ab";

    fn parsed(arguments: &[&str]) -> Result<cli::ListTickets, clap::Error> {
        let cli = Cli::try_parse_from([&["deskhand", "ticket", "list"], arguments].concat())?;
        let Command::Client(Client::Ticket(cli::Ticket::List(args))) = cli.command else {
            panic!("another command")
        };
        Ok(args)
    }

    #[test]
    fn every_filter_is_asked_for() {
        let args = parsed(&[
            "--status",
            "open,in-progress",
            "--status",
            "waiting_on_customer",
            "--priority",
            "high",
            "urgent",
            "--category",
            "billing",
            "--tag",
            "vip",
            "--assignee",
            "none",
            "--requester",
            ID,
            "--created-from",
            "1970-01-02",
            "--created-before",
            "1970-01-02T00:00:01Z",
            "--query",
            "-refund printer",
            "--order",
            "oldest-update",
        ])
        .unwrap();
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let expected = ListTicketsRequest {
            statuses: vec![
                TicketStatus::Open.into(),
                TicketStatus::InProgress.into(),
                TicketStatus::WaitingOnCustomer.into(),
            ],
            priorities: vec![TicketPriority::High.into(), TicketPriority::Urgent.into()],
            categories: vec![TicketCategory::Billing.into()],
            tag: "vip".to_owned(),
            assignee_id: "none".to_owned(),
            requester_id: ID.to_owned(),
            created_from: at(86_400),
            created_before: at(86_401),
            query: "-refund printer".to_owned(),
            order: TicketOrder::OldestUpdate.into(),
            ..Default::default()
        };
        assert_eq!(args.assignee, Some(Assignee::Nobody));
        assert_eq!(filter(&args, "none".to_owned()), expected);
        assert_eq!(
            filter(&parsed(&[]).unwrap(), String::new()),
            ListTicketsRequest::default()
        );
    }

    #[test]
    fn a_limit_stands_alone() {
        assert_eq!(parsed(&["--limit", "250"]).unwrap().page.limit, Some(250));
        for arguments in [
            &["--limit", "0"] as &[&str],
            &["--limit", "3", "--all"],
            &["--limit", "3", "--page-size", "2"],
            &["--status", "gone"],
            &["--order", "random"],
            &["--created-from", "yesterday"],
        ] {
            assert!(parsed(arguments).is_err(), "{arguments:?}");
        }
    }
}

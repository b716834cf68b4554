//! `inbox`: the tickets that wait for the desk, and are nobody's or one's own.

use std::cmp::Reverse;
use std::time::Duration;

use deskhand_proto::accounts::v1::Role;
use deskhand_proto::tickets::v1::{ListTicketsRequest, ListTicketsResponse, Ticket, TicketOrder, TicketStatus};
use prost_types::Timestamp;
use time::OffsetDateTime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, timeout_at};

use super::account::{authenticated, me};
use super::list;
use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::feed::{Feed, News};
use crate::interrupt;
use crate::output::Output;
use crate::text::{moment, visible_line, words};

/// It is listed anew when nothing has happened for so long,
const QUIET: Duration = Duration::from_millis(300);
/// and so long after something did, however much happens.
const LATEST: Duration = Duration::from_secs(2);
/// Before it is listed once more where that did not work.
const RETRY: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: cli::Inbox, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let connection = &authenticated(connection).await?;
    let me = me(connection).await?;
    if !matches!(me.role(), Role::Agent | Role::Admin) {
        return Err(Failure::RoleNotAllowed(
            "the inbox is for agents and admins; your own tickets are in: deskhand ticket list".to_owned(),
        ));
    }
    let inbox = Inbox {
        connection,
        me: me.id,
        limit: args.limit,
    };
    if args.watch {
        return inbox.keep(output).await;
    }
    let listed = inbox.list().await?;
    inbox.show(&listed, output)
}

struct Inbox<'a> {
    connection: &'a Connection,
    /// The id of whose it is.
    me: String,
    limit: i32,
}

/// What makes a list old.
enum Change {
    Happened,
    /// Nothing more is heard for now.
    Broken(String),
    /// Something may have happened meanwhile.
    GoesOn,
}

impl Inbox<'_> {
    async fn list(&self) -> Result<ListTicketsResponse, Failure> {
        // In this order: a ticket that is taken meanwhile is met twice, not missed.
        let unassigned = self.list_of("none").await?;
        let mine = self.list_of(&self.me).await?;
        Ok(merged(
            unassigned,
            mine,
            usize::try_from(self.limit).unwrap_or_default(),
        ))
    }

    async fn list_of(&self, assignee_id: &str) -> Result<ListTicketsResponse, Failure> {
        let request = ListTicketsRequest {
            page_size: self.limit,
            statuses: vec![TicketStatus::Open.into(), TicketStatus::InProgress.into()],
            assignee_id: assignee_id.to_owned(),
            order: TicketOrder::Priority.into(),
            ..Default::default()
        };
        list::ask(request, self.connection).await
    }

    fn show(&self, listed: &ListTicketsResponse, output: &mut Output) -> Result<(), Failure> {
        if output.is_json() {
            return output.document("deskhand.tickets.v1.ListTicketsResponse", listed);
        }
        for ticket in &listed.tickets {
            output.line(&self.row(ticket))?;
        }
        if listed.tickets.is_empty() {
            output.note("nothing waits");
        }
        if listed.tickets.len() >= usize::try_from(self.limit).unwrap_or_default() {
            output.note("there may be more: --limit, or deskhand ticket list --status open,in-progress --all");
        }
        Ok(())
    }

    fn row(&self, ticket: &Ticket) -> String {
        let whose = if ticket.assignee_id == self.me { "mine" } else { "" };
        format!(
            "{:>6}  {}  {:<6}  {:<11}  {whose:<4}  {}  {}",
            ticket.number,
            ticket.id,
            words(ticket.priority().as_str_name(), "TICKET_PRIORITY"),
            words(ticket.status().as_str_name(), "TICKET_STATUS"),
            moment(ticket.update_time.as_ref()),
            visible_line(&ticket.title)
        )
    }

    /// Shows it whenever it has changed, until Ctrl-C.
    async fn keep(&self, output: &mut Output) -> Result<(), Failure> {
        let left = interrupt::listen()?;
        let mut feed = Feed::new(self.connection.clone(), Vec::new(), String::new());
        let (tell, changes) = unbounded_channel();
        tokio::select! {
            ended = async {
                // The feed is open before the first list: what happens after that is told.
                feed.next().await?;
                tokio::select! {
                    ended = tell_changes(&mut feed, &tell) => ended,
                    ended = self.show_changes(changes, output) => ended,
                }
            } => ended,
            () = left => Ok(()),
        }
    }

    async fn show_changes(&self, mut changes: UnboundedReceiver<Change>, output: &mut Output) -> Result<(), Failure> {
        let mut shown = None;
        loop {
            match self.list().await {
                Ok(listed) => {
                    if shown.as_ref() != Some(&listed) {
                        self.show_anew(&listed, output)?;
                        shown = Some(listed);
                    }
                }
                Err(failure) if failure.is_passing() => {
                    output.step(&format!("it cannot be listed now, and is tried again: {failure}"));
                    sleep(failure.retry_after().unwrap_or_default().max(RETRY)).await;
                    continue;
                }
                Err(failure) => return Err(failure),
            }
            if !wait_for_change(&mut changes, output).await {
                return Ok(());
            }
        }
    }

    fn show_anew(&self, listed: &ListTicketsResponse, output: &mut Output) -> Result<(), Failure> {
        if !output.is_json() {
            let now = OffsetDateTime::now_utc().unix_timestamp();
            let now = moment(Some(&Timestamp { seconds: now, nanos: 0 }));
            output.new_screen()?;
            output.heading(&format!("{now}, {} waiting", listed.tickets.len()))?;
        }
        self.show(listed, output)
    }
}

async fn tell_changes(feed: &mut Feed, tell: &UnboundedSender<Change>) -> Result<(), Failure> {
    let mut broken = false;
    loop {
        let change = match feed.next().await? {
            News::Broken(_) if broken => continue,
            News::Broken(why) => {
                broken = true;
                Change::Broken(why.to_string())
            }
            News::Event(_) if broken => {
                broken = false;
                Change::GoesOn
            }
            News::Event(answer) if answer.event.as_ref().is_none_or(|event| event.ticket_id.is_empty()) => continue,
            News::Event(_) => Change::Happened,
        };
        if tell.send(change).is_err() {
            return Ok(());
        }
    }
}

/// Waits until something has happened, and for a while whether more does; whether anything can still come.
async fn wait_for_change(changes: &mut UnboundedReceiver<Change>, output: &mut Output) -> bool {
    let mut latest = None;
    loop {
        let now = Instant::now();
        let change = match latest {
            None => changes.recv().await,
            Some(latest) => match timeout_at((now + QUIET).min(latest), changes.recv()).await {
                Ok(change) => change,
                Err(_) => return true,
            },
        };
        match change {
            Some(Change::Happened) => {}
            Some(Change::GoesOn) => output.step("the feed goes on"),
            Some(Change::Broken(why)) => {
                output.step(&format!(
                    "what is shown may be old; the feed broke off, and is taken up again: {why}"
                ));
                continue;
            }
            None => return false,
        }
        latest.get_or_insert(now + LATEST);
    }
}

/// Both lists in the order that each has: the most urgent first, among equals the latest opened.
fn merged(unassigned: ListTicketsResponse, mine: ListTicketsResponse, limit: usize) -> ListTicketsResponse {
    let mut tickets = mine.tickets;
    for ticket in unassigned.tickets {
        if tickets.iter().all(|known| known.id != ticket.id) {
            tickets.push(ticket);
        }
    }
    tickets.sort_by_key(|ticket| {
        let opened = ticket.create_time.map(|time| (time.seconds, time.nanos));
        Reverse((ticket.priority, opened, ticket.number))
    });
    tickets.truncate(limit);
    ListTicketsResponse {
        tickets,
        next_page_token: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use deskhand_proto::tickets::v1::TicketPriority;

    use super::*;

    fn ticket(id: &str, priority: TicketPriority, opened: i64, assignee: &str) -> Ticket {
        Ticket {
            id: id.to_owned(),
            priority: priority.into(),
            assignee_id: assignee.to_owned(),
            create_time: Some(Timestamp {
                seconds: opened,
                nanos: 0,
            }),
            ..Ticket::default()
        }
    }

    #[test]
    fn the_most_urgent_is_first_whosever_it_is() {
        use TicketPriority::{High, Low, Normal, Urgent};
        let page = |tickets| ListTicketsResponse {
            tickets,
            next_page_token: "more".to_owned(),
        };
        let unassigned = page(vec![
            ticket("urgent", Urgent, 1, ""),
            ticket("taken", Normal, 5, ""),
            ticket("old", Low, 2, ""),
        ]);
        let mine = page(vec![
            ticket("high", High, 9, "me"),
            ticket("taken", Normal, 5, "me"),
            ticket("new", Low, 3, "me"),
        ]);
        let all = merged(unassigned.clone(), mine.clone(), 100);
        let ids: Vec<&str> = all.tickets.iter().map(|ticket| ticket.id.as_str()).collect();
        assert_eq!(ids, ["urgent", "high", "taken", "new", "old"]);
        assert_eq!(all.tickets[2].assignee_id, "me", "the later answer counts");
        assert_eq!(all.next_page_token, "");
        assert_eq!(merged(unassigned, mine, 2).tickets.len(), 2);
    }
}

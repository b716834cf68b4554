//! Arguments of what is done with tickets.

use clap::{Args, Subcommand};
use prost_types::Timestamp;
use uuid::Uuid;

use super::values::{
    Assignee, Category, Handler, Order, Person, Priority, Status, parse_assignee, parse_person, parse_time,
};
use super::{Paging, parse_id};

#[derive(Subcommand)]
pub(crate) enum Ticket {
    /// Open a ticket; prints its id.
    New(NewTicket),
    /// List tickets that fit all of the filters, newest first.
    List(ListTickets),
    /// Show a ticket and its newest messages.
    Show(ShowTicket),
    /// Change fields of a ticket, and show it.
    Update(UpdateTicket),
    /// Give a ticket to someone of the desk, or take it from them.
    Assign(AssignTicket),
    /// Add a note that only agents and admins read.
    Note(Note),
    /// What happened to a ticket, oldest first.
    Events(Events),
    /// Have the assistant say what a ticket is about and where it stands, internal notes included; for agents.
    Summary(OfTicket),
    /// Have the assistant judge a ticket, and set category, priority and language accordingly; for agents.
    Triage(OfTicket),
    /// Show what happens to tickets as it happens, until Ctrl-C.
    ///
    /// A feed that breaks off is taken up again where it was, however long that takes: nothing is missed or shown twice.
    /// With --json, a line without a ticket_id is a bookmark: nothing happened. The last cursor that is not empty is what
    /// to go on from, by --after. --timeout is for the beginning of the feed.
    Watch(Watch),
}

#[derive(Args)]
pub(crate) struct NewTicket {
    /// What it is about, in one line.
    #[arg(long)]
    pub(crate) title: String,
    /// What happened; `-` reads it from standard input.
    #[arg(long)]
    pub(crate) description: String,
    /// Picks the assistant's prompt.
    #[arg(long)]
    pub(crate) category: Option<Category>,
    /// How urgent it is; for agents and admins.
    #[arg(long)]
    pub(crate) priority: Option<Priority>,
    /// A tag; may be given several times.
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
}

#[derive(Args)]
pub(crate) struct ShowTicket {
    /// The ticket's id.
    #[arg(value_parser = parse_id)]
    pub(crate) id: Uuid,
    /// All messages, not just the newest.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Args)]
pub(crate) struct Say {
    /// The ticket's id.
    #[arg(value_parser = parse_id)]
    pub(crate) ticket: Uuid,
    /// The message; `-` reads it from standard input.
    pub(crate) text: String,
    /// Only for agents and admins to read.
    #[arg(long)]
    pub(crate) internal: bool,
}

/// Which tickets.
#[derive(Args, Default)]
pub(crate) struct ListTickets {
    /// In one of these statuses; several are separated by commas.
    #[arg(long = "status", value_name = "STATUS", value_delimiter = ',', num_args = 1..)]
    pub(crate) statuses: Vec<Status>,
    /// Of one of these priorities.
    #[arg(long = "priority", value_name = "PRIORITY", value_delimiter = ',', num_args = 1..)]
    pub(crate) priorities: Vec<Priority>,
    /// Of one of these categories.
    #[arg(long = "category", value_name = "CATEGORY", value_delimiter = ',', num_args = 1..)]
    pub(crate) categories: Vec<Category>,
    /// With this tag.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) tag: String,
    /// Of this agent; `me`, or `none` for what nobody works on.
    #[arg(long, value_name = "ID|me|none", value_parser = parse_assignee)]
    pub(crate) assignee: Option<Assignee>,
    /// Opened by this user.
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    pub(crate) requester: Option<Uuid>,
    /// Opened at this time or later: `2026-01-31T13:05:00Z`, or `2026-01-31` for its first moment in UTC.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) created_from: Option<Timestamp>,
    /// Opened before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) created_before: Option<Timestamp>,
    /// With these words; `"as they stand"`, `this or that`, `-without`.
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub(crate) query: String,
    /// In which order.
    #[arg(long)]
    pub(crate) order: Option<Order>,
    #[command(flatten)]
    pub(crate) page: Paging,
}

#[derive(Args, Default)]
pub(crate) struct UpdateTicket {
    /// The ticket's id.
    #[arg(value_parser = parse_id)]
    pub(crate) id: Uuid,
    /// What it is about, in one line.
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// What happened; `-` reads it from standard input.
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// Where it stands.
    #[arg(long)]
    pub(crate) status: Option<Status>,
    /// How urgent it is.
    #[arg(long)]
    pub(crate) priority: Option<Priority>,
    /// What it is about, for the assistant.
    #[arg(long)]
    pub(crate) category: Option<Category>,
    /// All its tags, separated by commas; an empty text leaves none.
    #[arg(long)]
    pub(crate) tags: Option<String>,
    /// Who answers it.
    #[arg(long)]
    pub(crate) handler: Option<Handler>,
    /// Change nothing unless the ticket still has this etag, which `ticket show --json` tells.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) etag: String,
}

#[derive(Args)]
pub(crate) struct AssignTicket {
    /// The ticket's id.
    #[arg(value_parser = parse_id)]
    pub(crate) id: Uuid,
    /// An agent's or admin's id, or `me`.
    #[arg(value_name = "USER|me", value_parser = parse_person, required_unless_present = "nobody")]
    pub(crate) to: Option<Person>,
    /// Take it from whoever has it.
    #[arg(long, conflicts_with = "to")]
    pub(crate) nobody: bool,
    /// Change nothing unless the ticket still has this etag, which `ticket show --json` tells.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) etag: String,
}

#[derive(Args)]
pub(crate) struct Note {
    /// The ticket's id.
    #[arg(value_parser = parse_id)]
    pub(crate) ticket: Uuid,
    /// The note; `-` reads it from standard input.
    pub(crate) text: String,
}

#[derive(Args)]
pub(crate) struct Events {
    /// The ticket's id.
    #[arg(value_parser = parse_id)]
    pub(crate) ticket: Uuid,
    #[command(flatten)]
    pub(crate) page: Paging,
}

#[derive(Args)]
pub(crate) struct Watch {
    /// Only these tickets, at most 100; otherwise all that one may see.
    #[arg(value_name = "ID", value_parser = parse_id)]
    pub(crate) tickets: Vec<Uuid>,
    /// Begin after this cursor, which --json tells, instead of now.
    #[arg(long, value_name = "CURSOR", default_value = "", hide_default_value = true)]
    pub(crate) after: String,
}

#[derive(Args)]
pub(crate) struct OfTicket {
    /// The ticket's id.
    #[arg(value_parser = parse_id)]
    pub(crate) ticket: Uuid,
}

#[derive(Args)]
pub(crate) struct Inbox {
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=100))]
    pub(crate) limit: i32,
    /// Keep it up to date until Ctrl-C; what is written anew is the whole list.
    #[arg(long)]
    pub(crate) watch: bool,
}

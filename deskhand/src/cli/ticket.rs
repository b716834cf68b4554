//! Arguments of what is done with tickets.

use clap::{Args, Subcommand, ValueEnum};
use deskhand_proto::tickets::v1::{TicketCategory, TicketPriority};
use uuid::Uuid;

use super::{Paging, parse_id};

#[derive(Subcommand)]
pub(crate) enum Ticket {
    /// Open a ticket; prints its id.
    New(NewTicket),
    /// List tickets, newest first.
    List(Paging),
    /// Show a ticket and its newest messages.
    Show(ShowTicket),
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

#[derive(Args)]
pub(crate) struct Reply {
    /// The ticket's id.
    #[arg(value_parser = parse_id)]
    pub(crate) ticket: Uuid,
    /// Write nothing before the answer is whole.
    #[arg(long)]
    pub(crate) whole: bool,
}

#[derive(Clone, Copy, ValueEnum)]
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

#[derive(Clone, Copy, ValueEnum)]
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

//! Arguments of what is done with the assistant: chats, replies, drafts, rewriting, and what all that cost.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use deskhand_proto::replies::v1;
use uuid::Uuid;

use super::prompt::Tone;
use super::values::parse_day;
use super::{Paging, parse_id};

#[derive(Args)]
pub(crate) struct Chat {
    /// The ticket's id.
    #[arg(value_parser = parse_id)]
    pub(crate) ticket: Uuid,
    /// Write nothing of an answer before it is whole.
    #[arg(long)]
    pub(crate) whole: bool,
}

#[derive(Args)]
#[command(
    subcommand_negates_reqs = true,
    override_usage = "deskhand reply [OPTIONS] <TICKET>\n       deskhand reply [OPTIONS] --attach <REPLY>\n       deskhand reply [OPTIONS] <COMMAND>"
)]
pub(crate) struct Reply {
    /// The ticket's id.
    #[arg(value_parser = parse_id, required_unless_present = "attach")]
    pub(crate) ticket: Option<Uuid>,
    /// Show a reply that was asked for before, from its beginning to its end, instead of asking for one.
    #[arg(long, value_name = "REPLY", value_parser = parse_id, conflicts_with = "ticket")]
    pub(crate) attach: Option<Uuid>,
    /// Write nothing before the answer is whole.
    #[arg(long)]
    pub(crate) whole: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Replies>,
}

#[derive(Subcommand)]
pub(crate) enum Replies {
    /// List the replies of a ticket, newest first.
    List(ListReplies),
    /// Show how a reply stands, and what came of it.
    Show(ReplyId),
    /// Stop a reply that is being written; nothing is posted.
    Cancel(ReplyId),
    /// Say whether a reply was of use; a later word takes the place of an earlier one.
    Rate(Rate),
}

#[derive(Args)]
pub(crate) struct ListReplies {
    /// The ticket's id.
    #[arg(value_parser = parse_id)]
    pub(crate) ticket: Uuid,
    #[command(flatten)]
    pub(crate) page: Paging,
}

#[derive(Args)]
pub(crate) struct ReplyId {
    /// The reply's id.
    #[arg(value_parser = parse_id)]
    pub(crate) id: Uuid,
}

#[derive(Args)]
#[command(group(ArgGroup::new("verdict").required(true).args(["helpful", "not_helpful"])))]
pub(crate) struct Rate {
    /// The reply's id.
    #[arg(value_parser = parse_id)]
    pub(crate) id: Uuid,
    /// It was of use.
    #[arg(long)]
    pub(crate) helpful: bool,
    /// It was not.
    #[arg(long)]
    pub(crate) not_helpful: bool,
    /// Why, in a few words.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) comment: String,
}

#[derive(Subcommand)]
pub(crate) enum Draft {
    /// Post a draft as one's own message, as it is or with another text; prints the message's id.
    Accept(Accept),
    /// Put a draft away; nothing is posted.
    Discard(ReplyId),
}

#[derive(Args)]
pub(crate) struct Accept {
    /// The reply's id.
    #[arg(value_parser = parse_id)]
    pub(crate) id: Uuid,
    /// Post this text instead of the draft's; `-` reads it from standard input.
    #[arg(long, value_name = "TEXT", conflicts_with = "body_file")]
    pub(crate) body: Option<String>,
    /// The same, from a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) body_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Rewrite {
    /// The text; `-`, and where none is given, reads it from standard input.
    #[arg(default_value = "-", hide_default_value = true)]
    pub(crate) text: String,
    /// How it is to sound.
    #[arg(long)]
    pub(crate) tone: Tone,
}

impl From<Tone> for v1::Tone {
    fn from(tone: Tone) -> Self {
        match tone {
            Tone::Neutral => Self::Neutral,
            Tone::Friendly => Self::Friendly,
            Tone::Formal => Self::Formal,
            Tone::Shorter => Self::Shorter,
        }
    }
}

#[derive(Args)]
pub(crate) struct Usage {
    /// The first day, UTC, such as `2026-01-31`; the last day's, when not given.
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    pub(crate) from: Option<String>,
    /// The last day, UTC; today, when not given.
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    pub(crate) to: Option<String>,
    /// Told apart by these, separated by commas; otherwise it is one line.
    #[arg(long, value_delimiter = ',', num_args = 1..)]
    pub(crate) by: Vec<By>,
    #[command(flatten)]
    pub(crate) page: Paging,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum By {
    Day,
    Model,
    User,
    /// How the call ended.
    Outcome,
    /// What was asked for.
    Mode,
}

impl From<By> for v1::UsageKey {
    fn from(by: By) -> Self {
        match by {
            By::Day => Self::Day,
            By::Model => Self::Model,
            By::User => Self::User,
            By::Outcome => Self::Outcome,
            By::Mode => Self::Mode,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Client, Command};

    const ID: &str = "019a2f3e-7c1b-7d40-8a55-0123456789ab";

    fn parse(arguments: &[&str]) -> Result<Client, clap::Error> {
        let cli = Cli::try_parse_from([&["deskhand"], arguments].concat())?;
        let Command::Client(client) = cli.command else {
            panic!("another command")
        };
        Ok(client)
    }

    #[test]
    fn a_reply_is_asked_for_listened_to_or_looked_at() {
        for (arguments, ticket, attach, command) in [
            (&["reply", ID, "--whole"] as &[&str], true, false, false),
            (&["reply", "--attach", ID], false, true, false),
            (&["reply", "list", ID, "--limit", "3"], false, false, true),
            (&["reply", "show", ID], false, false, true),
            (&["reply", "cancel", ID], false, false, true),
            (&["reply", "rate", ID, "--helpful"], false, false, true),
        ] {
            let Ok(Client::Reply(reply)) = parse(arguments) else {
                panic!("{arguments:?}")
            };
            let given = (reply.ticket.is_some(), reply.attach.is_some(), reply.command.is_some());
            assert_eq!(given, (ticket, attach, command), "{arguments:?}");
        }
        for arguments in [
            &["reply"] as &[&str],
            &["reply", "--whole"],
            &["reply", ID, "--attach", ID],
            &["reply", "list"],
            &["reply", "rate", ID],
            &["reply", "rate", ID, "--helpful", "--not-helpful"],
            &["draft", "accept", ID, "--body", "a", "--body-file", "b"],
            &["rewrite", "text"],
            &["usage", "--by", "week"],
            &["usage", "--from", "yesterday"],
            &["usage", "--from", "2026-01-31T00:00:00Z"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}

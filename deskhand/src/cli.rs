//! What can be typed: commands, flags, and the text of `--help`.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use deskhand_proto::tickets::v1::{TicketCategory, TicketPriority};
use uuid::Uuid;

use crate::launch;

const AFTER_HELP: &str = "\
Environment:
  TICKET_SERVICE_ADDR  the server, as --server
  DESKHAND_HOME        folder of a running system's run.json, looked at instead of .deskhand/
  DESKHAND_PASSWORD    the password of `signup` and `login`
  DESKHAND_TOKEN       an access token to use instead of the stored session
  XDG_CONFIG_HOME      sessions are kept in its folder deskhand/ (default ~/.config)
  NO_COLOR             no colour

Exit codes:
  0    done
  1    failed
  2    wrong usage
  3    not logged in, or the credentials were not accepted
  4    not found
  5    refused: invalid argument, precondition not met, no permission
  6    unavailable, overloaded, timed out, or the stream was interrupted
  7    no answer came of the reply: it failed, was overtaken or cancelled, or was handed to a person
  130  interrupted at a prompt
  141  the reader of standard output went away";

const EVERYWHERE: &str = "For every command";

/// A support desk with an AI assistant: its command-line client, and the launcher of a local system.
#[derive(Parser)]
#[command(name = "deskhand", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command of the client.
#[derive(Args)]
pub(crate) struct Global {
    /// ticket-service, as `host:port` (unencrypted on loopback only) or `http://host:port` (unencrypted anywhere).
    ///
    /// Not given: the one that `.deskhand/run.json`, here or in a folder above, names; else 127.0.0.1:50051.
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "TICKET_SERVICE_ADDR", value_name = "ADDRESS")]
    pub(crate) server: Option<String>,

    /// How long a call may take, such as `10`, `1.5s`, `500ms` or `2m` [default: 30s, streams 5m].
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Answer in JSON, one document a line (the protobuf JSON mapping of the server's answers); errors too.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run a whole system here, for development, until Ctrl-C.
    Run(launch::Args),
    #[command(flatten)]
    Client(Client),
}

/// What talks to a running system.
#[derive(Subcommand)]
pub(crate) enum Client {
    /// Make a customer account.
    Signup(SignUp),
    /// Log in, and keep the session for later commands.
    Login(LogIn),
    /// Show whose session it is.
    Whoami,
    /// Print the session's access token, for other programs.
    Token,
    /// Open, list and show tickets.
    #[command(subcommand)]
    Ticket(Ticket),
    /// Post a message to a ticket.
    Say(Say),
    /// Ask the assistant to answer a ticket, and show the answer as it is written.
    Reply(Reply),
    /// Play the whole path as a new customer: sign-up, log-in, ticket, message, streamed answer, and check what was kept.
    Demo,
}

#[derive(Args)]
pub(crate) struct SignUp {
    /// The account's e-mail address.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: String,
    /// What other people see.
    #[arg(long)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) password: Password,
}

#[derive(Args)]
pub(crate) struct LogIn {
    /// The account's e-mail address.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: String,
    #[command(flatten)]
    pub(crate) password: Password,
}

#[derive(Args)]
pub(crate) struct Password {
    /// Read the password from standard input, up to the first line break.
    ///
    /// Otherwise it is DESKHAND_PASSWORD, or asked for on the terminal.
    #[arg(long = "password-stdin")]
    pub(crate) from_stdin: bool,
}

#[derive(Subcommand)]
pub(crate) enum Ticket {
    /// Open a ticket; prints its id.
    New(NewTicket),
    /// List tickets, newest first.
    List(ListTickets),
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
pub(crate) struct ListTickets {
    /// How many at once; the server decides when not given.
    #[arg(
        long,
        value_name = "COUNT",
        allow_negative_numbers = true,
        default_value_t = 0,
        hide_default_value = true
    )]
    pub(crate) page_size: i32,
    /// Where to go on: the token that the page before ended with.
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    pub(crate) page_token: String,
    /// All pages.
    #[arg(long)]
    pub(crate) all: bool,
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

fn parse_id(text: &str) -> Result<Uuid, String> {
    text.parse()
        .map_err(|_| "a ticket is named by its UUID, such as 019a2f3e-7c1b-7d40-8a55-0123456789ab".to_owned())
}

/// A number and a unit: `ms`, `s` (also when none is given) or `m`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds_per_unit = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err("the unit is ms, s or m".to_owned()),
    };
    let seconds = number
        .parse::<f64>()
        .map_err(|_| "not a number and a unit, such as 10s".to_owned())?
        * seconds_per_unit;
    if !(0.001..=86_400.0).contains(&seconds) {
        return Err("must be between 1ms and a day".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations() {
        for (text, milliseconds) in [("10", 10_000), ("1.5s", 1_500), ("500ms", 500), ("2m", 120_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "-1", "0", "1h", "NaN", "inf", "1e9", "1 s", "١s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_may_stand_anywhere() {
        let id = "019a2f3e-7c1b-7d40-8a55-0123456789ab";
        let cli = Cli::try_parse_from(["deskhand", "--json", "say", id, "-", "--timeout", "3"]).unwrap();
        assert!(cli.global.json);
        assert_eq!(cli.global.timeout, Some(Duration::from_secs(3)));
        let Command::Client(Client::Say(say)) = cli.command else {
            panic!("another command")
        };
        assert_eq!((say.ticket.to_string().as_str(), say.text.as_str()), (id, "-"));
    }

    #[test]
    fn a_password_is_never_an_argument() {
        for arguments in [["--password", "secret"], ["--token", "secret"]] {
            let line = ["deskhand", "login", "--email", "a@b"].into_iter().chain(arguments);
            assert!(Cli::try_parse_from(line).is_err());
        }
    }

    #[test]
    fn tickets_are_named_by_uuid() {
        assert!(parse_id("12").unwrap_err().contains("UUID"));
        assert!(parse_id("019A2F3E-7C1B-7D40-8A55-0123456789AB").is_ok());
    }
}

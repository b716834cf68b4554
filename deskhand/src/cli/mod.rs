//! What can be typed: commands, flags, and the text of `--help`.

mod account;
mod admin;
mod prompt;
mod reply;
mod ticket;
mod values;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use uuid::Uuid;

pub(crate) use self::account::{
    ChangePassword, ConfirmReset, LogIn, LogOut, RequestReset, ResetPassword, Revoke, Sessions, SessionsCommand, SignUp,
};
pub(crate) use self::admin::{Admin, Audit, SetRole, User, Users};
pub(crate) use self::prompt::{Assistant, Prompt, Render};
pub(crate) use self::reply::{By, Chat, Draft, ListReplies, Rate, Replies, Reply, ReplyId, Rewrite, Usage};
pub(crate) use self::ticket::{
    AssignTicket, Events, Inbox, ListTickets, NewTicket, Note, OfTicket, Say, ShowTicket, Ticket, UpdateTicket, Watch,
};
pub(crate) use self::values::{Assignee, Person};
use crate::launch;

const AFTER_HELP: &str = "\
Environment:
  TICKET_SERVICE_ADDR  the server, as --server
  ASSISTANT_SERVICE_ADDR  assistant-service, as --assistant of `prompt` and `models`
  DESKHAND_HOME        folder of a running system's run.json, looked at instead of .deskhand/
  DESKHAND_PASSWORD    the password of `signup` and `login`
  DESKHAND_TOKEN       an access token to use instead of the stored session; it is not renewed
  XDG_CONFIG_HOME      sessions are kept in its folder deskhand/ (default ~/.config)
  VISUAL, EDITOR       the editor of `/edit` in `chat`
  NO_COLOR             no colour

Exit codes:
  0    done
  1    failed
  2    wrong usage
  3    not logged in, or the credentials were not accepted
  4    not found
  5    refused: invalid argument, precondition not met, no permission
  6    unavailable, overloaded, timed out, or the stream was interrupted and could not be taken up again
  7    no answer came of the reply: it failed, was overtaken or cancelled, or was handed to a person
  130  interrupted at a prompt, or twice
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

    /// How long a call may take, such as `10`, `1.5s`, `500ms` or `2m` [default: 30s; streams 5m; summary, triage and rewrite 3m].
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
    /// Show what the model is told, as an operator: asks assistant-service.
    #[command(subcommand)]
    Prompt(Prompt),
    /// List the models that the provider offers, as an operator: asks assistant-service.
    Models(Assistant),
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
    /// End the session, at the server and here.
    Logout(LogOut),
    /// Show whose session it is.
    Whoami,
    /// Print an access token that holds for a while, for other programs.
    Token,
    /// Set a new password; all other sessions end.
    Passwd(ChangePassword),
    /// Set a new password where the old one is forgotten.
    #[command(subcommand)]
    ResetPassword(ResetPassword),
    /// List and end one's own sessions.
    Sessions(Sessions),
    /// Open, find, show, change and watch tickets.
    #[command(subcommand)]
    Ticket(Ticket),
    /// Post a message to a ticket.
    Say(Say),
    /// List the tickets that wait for the desk and are nobody's or one's own, the most urgent first; for agents.
    Inbox(Inbox),
    /// Converse in a ticket: each line is a message, and the assistant answers it.
    ///
    /// An answer that breaks off is taken up again where it was, within --timeout. Ctrl-C stops an answer, and leaves at the
    /// second time; Ctrl-D ends. To agents the answer is a draft, to accept, edit or discard; /help lists the commands.
    ///
    /// Works without a terminal too: each line of standard input is a message, standard output has the answers alone, and
    /// what goes wrong ends it with its exit code. Where the assistant had to begin anew, a line in brackets says that the
    /// text above is void; --whole is spared that. With --json: a line for the ticket, each message, and each event.
    Chat(Chat),
    /// Ask the assistant to answer a ticket, and show the answer as it is written.
    ///
    /// An answer that breaks off is taken up again where it was, within --timeout; --attach goes on with one from another
    /// command. Where the assistant had to begin anew after text was written to something other than a terminal, a line in
    /// brackets says that the text above is void, and the exit code is 1; --whole is spared that.
    Reply(Reply),
    /// Decide on what the assistant drafted; for agents.
    #[command(subcommand)]
    Draft(Draft),
    /// Have the assistant write a text anew in another tone; for agents.
    Rewrite(Rewrite),
    /// Show what the assistant cost: calls, tokens and dollars; for admins.
    Usage(Usage),
    /// Manage accounts, as an admin.
    #[command(subcommand)]
    Admin(Admin),
    /// Print the keys that verify access tokens, as a JSON Web Key Set.
    Jwks,
    /// Play the whole path as a new customer: sign-up, log-in, ticket, message, streamed answer, and check what was kept.
    Demo,
}

/// Which part of a list.
#[derive(Args, Default)]
pub(crate) struct Paging {
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
    /// At most so many, of as many pages as it takes.
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["page_size", "all"], value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// All pages.
    #[arg(long)]
    pub(crate) all: bool,
}

fn parse_id(text: &str) -> Result<Uuid, String> {
    text.parse()
        .map_err(|_| "an id is a UUID, such as 019a2f3e-7c1b-7d40-8a55-0123456789ab".to_owned())
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
    fn sessions_are_listed_unless_something_else_is_asked_for() {
        let parse = |arguments: &[&str]| {
            let cli = Cli::try_parse_from([&["deskhand", "sessions"], arguments].concat()).unwrap();
            let Command::Client(Client::Sessions(sessions)) = cli.command else {
                panic!("another command")
            };
            (cli.global.json, sessions)
        };
        let (_, list) = parse(&["--all"]);
        assert!(list.page.all && list.command.is_none());
        let (json, revoke) = parse(&["--json", "revoke", "others"]);
        assert!(json && matches!(revoke.command, Some(SessionsCommand::Revoke(Revoke { which })) if which == "others"));
    }

    #[test]
    fn a_password_is_never_an_argument() {
        for command in [
            &["login", "--email", "a@b"] as &[&str],
            &["passwd"],
            &["reset-password", "confirm"],
        ] {
            assert!(Cli::try_parse_from([&["deskhand"], command].concat()).is_ok());
            for arguments in [["--password", "secret"], ["--token", "secret"]] {
                assert!(Cli::try_parse_from([&["deskhand"], command, &arguments].concat()).is_err());
            }
        }
    }

    #[test]
    fn ids_are_uuids() {
        assert!(parse_id("12").unwrap_err().contains("UUID"));
        assert!(parse_id("019A2F3E-7C1B-7D40-8A55-0123456789AB").is_ok());
    }
}

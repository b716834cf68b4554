//! `deskhand`: the launcher of a local system, and the command-line client of a running one.

mod cli;
mod commands;
mod connection;
mod ending;
mod failure;
mod feed;
mod follow;
mod input;
mod interrupt;
mod launch;
mod line;
mod lines;
mod output;
mod patience;
mod refusal;
mod server;
mod session;
mod status;
mod text;
mod transcript;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Client, Command, Global};
use crate::commands::{
    account, admin, chat, demo, draft, inbox, models, password, prompt, reply, sessions, tasks, ticket, usage,
};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::line::Line;
use crate::output::Output;
use crate::server::Server;

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { global, command } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error),
    };
    let mut output = Output::standard(global.json);
    let outcome = match command {
        Command::Run(args) => launch::run(args)
            .await
            .map_err(|error| Failure::Local(format!("{error:#}"))),
        Command::Prompt(command) => done(prompt::run(command, &global, &mut output).await),
        Command::Models(args) => done(models::run(args, &global, &mut output).await),
        Command::Client(command) => client(command, &global, &mut output).await.map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(&failure)
        }
    }
}

/// Help, or wrong usage; told as every failure is where JSON was asked for.
fn not_parsed(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || !env::args_os().any(|argument| argument == "--json") {
        error.exit();
    }
    let text = error.to_string();
    let failure = Failure::Usage(text.trim_start_matches("error: ").trim_end().to_owned());
    Output::standard(true).failure(&failure);
    ExitCode::from(&failure)
}

fn done(outcome: Result<(), Failure>) -> Result<ExitCode, Failure> {
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn client(command: Client, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let connection = &connect(global)?;
    match command {
        Client::Signup(args) => account::sign_up(args, connection, output).await,
        Client::Login(args) => account::log_in(args, connection, output).await,
        Client::Logout(args) => sessions::log_out(args, connection, output).await,
        Client::Whoami => account::who_am_i(connection, output).await,
        Client::Token => account::print_token(connection, output).await,
        Client::Passwd(args) => password::change(args, connection, output).await,
        Client::ResetPassword(command) => password::reset(command, connection, output).await,
        Client::Sessions(args) => sessions::run(args, connection, output).await,
        Client::Ticket(command) => ticket::run(command, connection, output).await,
        Client::Say(args) => ticket::say(args, connection, output).await,
        Client::Inbox(args) => inbox::run(args, connection, output).await,
        Client::Chat(args) => chat::run(args, connection, output).await,
        Client::Reply(args) => reply::run(args, connection, output).await,
        Client::Draft(command) => draft::run(command, connection, output).await,
        Client::Rewrite(args) => tasks::rewrite(args, connection, output).await,
        Client::Usage(args) => usage::run(args, connection, output).await,
        Client::Admin(command) => admin::run(command, connection, output).await,
        Client::Jwks => account::print_keys(connection, output).await,
        Client::Demo => demo::run(connection, output).await,
    }
}

fn connect(global: &Global) -> Result<Connection, Failure> {
    // A folder that has been removed has no run file.
    let folder = env::current_dir().unwrap_or_default();
    let home = env::var_os("DESKHAND_HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from);
    let server = Server::find(global.server.as_deref(), home, &folder)?;
    Ok(Connection::new(Line::new(server, global.timeout)?))
}

//! Settings: one struct per concern, from flags or variables. `--help` documents each.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use secrecy::SecretString;

/// Deskhand's ticket-service: accounts, tickets, messages and AI replies over gRPC.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Program {
    /// What to do [default: serve].
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Of the server.
    #[command(flatten)]
    pub serve: Serve,
    /// Of the logs.
    #[command(flatten)]
    pub telemetry: service_kit::telemetry::Settings,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM or SIGINT, then let open calls end (10 s at most).
    Serve,
    /// Bring the database's schema up to date, and exit.
    Migrate,
    /// Make the first admin, with the password read from standard input. Exits with 3 where there is one already.
    CreateAdmin {
        /// The admin's e-mail address.
        #[arg(long)]
        email: String,
        /// The admin's name.
        #[arg(long, default_value = "Admin")]
        display_name: String,
        /// Says that the password comes from standard input; there is no other way.
        #[arg(long = "password-stdin", required = true)]
        _password_stdin: bool,
    },
    /// Ask the server on TICKET_SERVICE_ADDR whether it is healthy; exits with 1 where it is not.
    Health,
}

/// All that the server needs.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Where to listen.
    #[arg(long, global = true, env = "TICKET_SERVICE_ADDR", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Of the database.
    #[command(flatten)]
    pub database: Database,
    /// Of the assistant.
    #[command(flatten)]
    pub assistant: Assistant,
    /// Of accounts.
    #[command(flatten)]
    pub accounts: Accounts,
    /// Whether gRPC reflection is on, so that clients such as grpcurl need no proto files.
    #[arg(long, global = true, env = "REFLECTION", default_value_t = true, action = clap::ArgAction::Set)]
    pub reflection: bool,
}

/// The database.
#[derive(Args, Clone, Debug)]
pub struct Database {
    /// PostgreSQL 14 or newer: postgres://user:password@host/name.
    #[arg(
        id = "database_url",
        long = "database-url",
        global = true,
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "postgres:///deskhand"
    )]
    pub url: SecretString,
    /// Connections at most.
    #[arg(
        long = "database-connections",
        global = true,
        env = "DATABASE_CONNECTIONS",
        default_value_t = 16
    )]
    pub connections: u32,
}

/// The assistant.
#[derive(Args, Clone, Debug)]
pub struct Assistant {
    /// Where assistant-service is.
    #[arg(
        id = "assistant_url",
        long = "assistant-url",
        global = true,
        env = "ASSISTANT_URL",
        default_value = "http://127.0.0.1:50052"
    )]
    pub url: tonic::transport::Uri,
}

/// Passwords, tokens and secrets.
#[derive(Args, Clone, Debug)]
pub struct Accounts {
    /// File with the desk's secret, which keys page tokens and request fingerprints; made where there is none. All replicas
    /// need the same.
    #[arg(
        long,
        global = true,
        env = "DESKHAND_SECRET_FILE",
        default_value = ".deskhand/secret"
    )]
    pub secret_file: PathBuf,
    /// Folder with the keys that sign access tokens, one Ed25519 PKCS #8 PEM file each: the last by name signs, all are
    /// accepted. A key is made where there is none. All replicas need the same.
    #[arg(long, global = true, env = "SIGNING_KEYS_DIR", default_value = ".deskhand/keys")]
    pub signing_keys_dir: PathBuf,
    /// Passwords that are checked at the same time, each with 19 MiB of memory [default: one per processor].
    #[arg(long, global = true, env = "ARGON2_SLOTS")]
    pub argon2_slots: Option<usize>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Program::command().debug_assert();
    }

    #[test]
    fn help_shows_no_secret() {
        let help = Program::command().render_long_help().to_string();
        for variable in [
            "DATABASE_URL",
            "TICKET_SERVICE_ADDR",
            "DESKHAND_SECRET_FILE",
            "SIGNING_KEYS_DIR",
            "ARGON2_SLOTS",
            "ASSISTANT_URL",
        ] {
            assert!(help.contains(variable), "{variable}");
        }
        assert!(!help.contains("[env: DATABASE_URL="));
    }
}

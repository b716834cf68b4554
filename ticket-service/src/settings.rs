//! Settings: one struct per concern, from flags or variables. `--help` documents each.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use secrecy::SecretString;

use crate::accounts::TrustedProxies;
use crate::caller::Role;

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
    /// Print the contracts, as the binary `google.protobuf.FileDescriptorSet` that gateways and other tools read.
    Descriptors,
    /// Make, list or retire the keys that sign access tokens (SIGNING_KEYS_DIR). Running servers follow within a second.
    #[command(subcommand)]
    Keys(Keys),
}

/// What to do with signing keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key, and print its id. It is published at once and signs 15 minutes later, so that whoever verifies tokens
    /// knows it by then; the first key of an empty folder signs at once.
    Generate,
    /// Show each key: its id, when it was made, since when or from when it signs, and what it does now.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a key for good. Exits with 3, and does nothing, while the key signs or tokens that it signed may live.
    Retire {
        /// The key's id, or its first 8 characters or more.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Remove it all the same, for it has leaked: its tokens end at once. Where it was the only one, another is made.
        #[arg(long)]
        force: bool,
    },
}

/// All that the server needs.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Where to listen.
    #[arg(long, global = true, env = "TICKET_SERVICE_ADDR", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Of the listener for machines.
    #[command(flatten)]
    pub ops: Ops,
    /// Of the database.
    #[command(flatten)]
    pub database: Database,
    /// Of the assistant.
    #[command(flatten)]
    pub assistant: Assistant,
    /// Of what the assistant may be asked for.
    #[command(flatten)]
    pub budgets: Budgets,
    /// Of accounts.
    #[command(flatten)]
    pub accounts: Accounts,
    /// Of passwords.
    #[command(flatten)]
    pub passwords: Passwords,
    /// Of bounds on guessing.
    #[command(flatten)]
    pub throttle: Throttle,
    /// Of mail.
    #[command(flatten)]
    pub mail: Mail,
    /// Whether gRPC reflection is on, so that clients such as grpcurl need no proto files.
    #[arg(long, global = true, env = "REFLECTION", default_value_t = true, action = clap::ArgAction::Set)]
    pub reflection: bool,
}

/// The listener for machines that look after the service.
#[derive(Args, Clone, Debug)]
pub struct Ops {
    /// Where to listen for them, over HTTP: /livez, /readyz and /.well-known/jwks.json. Keep it off the open network.
    #[arg(
        id = "ops_listen",
        long = "ops-listen",
        global = true,
        env = "TICKET_OPS_ADDR",
        default_value = "127.0.0.1:9101"
    )]
    pub listen: SocketAddr,
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

/// What the assistant may be asked for. Hours and days are UTC's, from their first minute. Tokens are counted as they are reserved,
/// and after a call as it was billed; cached ones too.
#[derive(Args, Clone, Copy, Debug)]
pub struct Budgets {
    /// Times that a customer may ask within an hour; 0: any number.
    #[arg(long, global = true, env = "CUSTOMER_ASKS_PER_HOUR", default_value_t = 20)]
    pub customer_asks_per_hour: u32,
    /// Times that an agent or admin may ask within an hour; 0: any number.
    #[arg(long, global = true, env = "STAFF_ASKS_PER_HOUR", default_value_t = 200)]
    pub staff_asks_per_hour: u32,
    /// Tokens that one person's asking may take in a day; 0: any number.
    #[arg(long, global = true, env = "USER_TOKENS_PER_DAY", default_value_t = 1_000_000, value_parser = value_parser!(i64).range(0..))]
    pub user_tokens_per_day: i64,
    /// Tokens that everybody's asking together may take in a day; 0: any number.
    #[arg(long, global = true, env = "DESK_TOKENS_PER_DAY", default_value_t = 20_000_000, value_parser = value_parser!(i64).range(0..))]
    pub desk_tokens_per_day: i64,
    /// Tokens that one ask may take at most, with all its calls to the model: so much is reserved when it begins. One call needs
    /// about a token for each byte of its prompt, to be on the safe side, and what its answer may have: 20,000 with
    /// assistant-service's own defaults, which leaves room here for a second one.
    #[arg(long, global = true, env = "TOKENS_PER_ASK", default_value_t = 48_000, value_parser = value_parser!(i64).range(1_000..))]
    pub tokens_per_ask: i64,
}

impl Budgets {
    /// Times that someone of this role may ask within an hour; 0 for any number.
    pub(crate) fn asks_per_hour(&self, role: Role) -> u32 {
        if role.is_staff() {
            self.staff_asks_per_hour
        } else {
            self.customer_asks_per_hour
        }
    }
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
    /// Folder with the keys that sign access tokens, one Ed25519 PKCS #8 PEM file each. A file's name begins with the time at
    /// which its key was made (20261122T120000Z-….pem): the newest signs, from 15 minutes after that time; all are accepted.
    /// A key is made where there is none; `ticket-service keys` makes others. All replicas need the same.
    #[arg(long, global = true, env = "SIGNING_KEYS_DIR", default_value = ".deskhand/keys")]
    pub signing_keys_dir: PathBuf,
}

/// How passwords are kept, and what they must be.
#[derive(Args, Clone, Debug)]
pub struct Passwords {
    /// Passwords that are checked at the same time, each with ARGON2_MEMORY_KIB of memory [default: one per processor but one, which is
    /// left to all other calls].
    #[arg(long, global = true, env = "ARGON2_SLOTS")]
    pub argon2_slots: Option<usize>,
    /// Memory that the hash of a password takes, in KiB; at least the 19 MiB of the default. Hashes that were made with less are
    /// made anew when their users log in.
    #[arg(long, global = true, env = "ARGON2_MEMORY_KIB", default_value_t = 19_456, value_parser = value_parser!(u32).range(19_456..))]
    pub argon2_memory_kib: u32,
    /// Passes over that memory; at least 2. Hashes that were made with fewer are made anew when their users log in.
    #[arg(long, global = true, env = "ARGON2_PASSES", default_value_t = 2, value_parser = value_parser!(u32).range(2..))]
    pub argon2_passes: u32,
    /// Characters that a new password must have; at least 8, at most 64.
    #[arg(long, global = true, env = "PASSWORD_MIN_LENGTH", default_value_t = 8, value_parser = value_parser!(u8).range(8..=64))]
    pub password_min_length: u8,
    /// File with a key that goes into every hash, 32 bytes or more in base64: whoever has the database alone can then guess
    /// nothing. All replicas need the same. Without it, nobody whose password was kept with it can log in: keep a copy.
    #[arg(long, global = true, env = "PASSWORD_PEPPER_FILE")]
    pub password_pepper_file: Option<PathBuf>,
}

/// Bounds on guessing.
#[derive(Args, Clone, Debug)]
pub struct Throttle {
    /// Failed log-ins, requests for a new password and unknown refresh tokens (each counted apart) from one address within 15
    /// minutes; 0: any number.
    #[arg(long, global = true, env = "LOGIN_FAILURES_PER_ADDRESS", default_value_t = 20, value_parser = value_parser!(u32).range(0..=1000))]
    pub login_failures_per_address: u32,
    /// Addresses and CIDR blocks, with commas between them, of proxies whose `x-forwarded-for` says who calls.
    #[arg(
        long,
        global = true,
        env = "TRUSTED_PROXIES",
        default_value = "",
        hide_default_value = true
    )]
    pub trusted_proxies: TrustedProxies,
}

/// Mail.
#[derive(Args, Clone, Debug)]
pub struct Mail {
    /// What becomes of mail: `log` only notes that there was one, `file` writes each into MAIL_DIR.
    #[arg(long, global = true, env = "MAILER", default_value = "log")]
    pub mailer: Mailer,
    /// Folder for mail as files, made where there is none, readable to its owner only.
    #[arg(long, global = true, env = "MAIL_DIR", default_value = ".deskhand/mail")]
    pub mail_dir: PathBuf,
    /// The address that mail comes from.
    #[arg(long, global = true, env = "MAIL_FROM", default_value = "deskhand@localhost", value_parser = mail_from)]
    pub mail_from: String,
    /// Where people find the desk; links in mail begin with it.
    #[arg(long, global = true, env = "PUBLIC_URL", default_value = "http://127.0.0.1:8080", value_parser = public_url)]
    pub public_url: String,
}

/// What becomes of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mailer {
    /// Noted in the log, without what it says or to whom.
    Log,
    /// Written to a file.
    File,
}

fn mail_from(text: &str) -> Result<String, &'static str> {
    let is_safe = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_graphic() && !"<>()[],;:\\\"".contains(c))
    };
    match text.split_once('@') {
        Some((local, domain)) if is_safe(local) && is_safe(domain) && !domain.contains('@') => Ok(text.to_owned()),
        _ => Err("it is not an e-mail address"),
    }
}

fn public_url(text: &str) -> Result<String, &'static str> {
    let wrong = "it is not an http or https URL without query";
    let url: http::Uri = text.parse().map_err(|_| wrong)?;
    if !matches!(url.scheme_str(), Some("http" | "https"))
        || url.host().is_none_or(str::is_empty)
        || url.query().is_some()
    {
        return Err(wrong);
    }
    Ok(text.trim_end_matches('/').to_owned())
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
    fn a_key_s_id_may_begin_with_a_hyphen() {
        for arguments in [["-Zc4_Pz7", "--force"], ["--force", "-Zc4_Pz7"]] {
            let program = Program::try_parse_from(["ticket-service", "keys", "retire"].iter().chain(&arguments));
            let Some(Command::Keys(Keys::Retire { kid, force })) = program.unwrap().command else {
                panic!("not what was asked for")
            };
            assert!(kid == "-Zc4_Pz7" && force, "{arguments:?}: {kid} {force}");
        }
    }

    #[test]
    fn help_shows_no_secret() {
        let help = Program::command().render_long_help().to_string();
        for variable in [
            "DATABASE_URL",
            "TICKET_SERVICE_ADDR",
            "TICKET_OPS_ADDR",
            "DESKHAND_SECRET_FILE",
            "SIGNING_KEYS_DIR",
            "ARGON2_SLOTS",
            "ARGON2_MEMORY_KIB",
            "ARGON2_PASSES",
            "ASSISTANT_URL",
            "LOGIN_FAILURES_PER_ADDRESS",
            "CUSTOMER_ASKS_PER_HOUR",
            "STAFF_ASKS_PER_HOUR",
            "USER_TOKENS_PER_DAY",
            "DESK_TOKENS_PER_DAY",
            "TOKENS_PER_ASK",
            "MAILER",
            "MAIL_DIR",
            "MAIL_FROM",
            "PASSWORD_MIN_LENGTH",
            "PASSWORD_PEPPER_FILE",
            "PUBLIC_URL",
            "TRUSTED_PROXIES",
        ] {
            assert!(help.contains(variable), "{variable}");
        }
        assert!(!help.contains("[env: DATABASE_URL="));
    }

    #[test]
    fn weaker_settings_than_the_least_are_refused() {
        for flag in [
            "--argon2-memory-kib=19455",
            "--argon2-passes=1",
            "--password-min-length=7",
            "--login-failures-per-address=-1",
            "--trusted-proxies=everyone",
            "--mailer=smtp",
            "--mail-from=a@b>\r\nBcc: c@d",
            "--mail-from=nobody",
            "--public-url=javascript:alert(1)",
            "--public-url=https:///path",
            "--public-url=https://desk.example/?a=b",
        ] {
            assert!(Program::try_parse_from(["ticket-service", flag]).is_err(), "{flag}");
        }
        let program = Program::try_parse_from(["ticket-service", "--public-url=https://desk.example/app/"]).unwrap();
        assert_eq!(program.serve.mail.public_url, "https://desk.example/app");
    }
}

//! The program: settings, logs, then one of its commands.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use ticket_service::accounts::keys::command::{self, Outcome};
use ticket_service::settings::{Command, Program};
use ticket_service::{Listeners, accounts, db, serve};
use time::OffsetDateTime;

/// What `create-admin` exits with where there is an admin already.
const ADMIN_EXISTS: u8 = 3;
/// What `keys retire` exits with where the key must not go yet.
const KEY_IN_USE: u8 = 3;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let program = Program::parse();
    service_kit::telemetry::init(&program.telemetry)?;
    match program.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            let settings = program.serve;
            let listeners = Listeners::bind(&settings).await?;
            serve(settings, listeners, async {
                if let Err(error) = service_kit::signal::stop().await {
                    tracing::error!(%error, "cannot listen to signals");
                }
            })
            .await?;
        }
        Command::Migrate => db::migrate(&program.serve.database).await?,
        Command::CreateAdmin {
            email, display_name, ..
        } => {
            let mut password = String::new();
            std::io::stdin()
                .read_to_string(&mut password)
                .context("cannot read the password from standard input")?;
            let password = password.trim_end_matches(['\r', '\n']).to_owned();
            if !accounts::create_admin(&program.serve, email, password, display_name).await? {
                tracing::warn!("there is an admin already; nothing was done");
                return Ok(ExitCode::from(ADMIN_EXISTS));
            }
        }
        Command::Descriptors => std::io::stdout().write_all(deskhand_proto::FILE_DESCRIPTOR_SET)?,
        Command::Health => service_kit::probe::healthy(program.serve.listen).await?,
        Command::Keys(what) => {
            let folder = &program.serve.accounts.signing_keys_dir;
            let outcome = command::run(&what, folder, OffsetDateTime::now_utc(), &mut std::io::stdout())?;
            if let Outcome::Refused(why) = outcome {
                tracing::warn!("{why}");
                return Ok(ExitCode::from(KEY_IN_USE));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

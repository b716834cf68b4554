//! The program: settings, logs, then one of its commands.

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use ticket_service::settings::{Command, Program, Serve};
use ticket_service::{accounts, db, serve};
use tokio::net::TcpListener;

/// What `create-admin` exits with where there is an admin already.
const ADMIN_EXISTS: u8 = 3;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let program = Program::parse();
    service_kit::telemetry::init(&program.telemetry)?;
    match program.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            let settings = program.serve;
            let listener = listen(&settings).await?;
            serve(settings, listener, async {
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
        Command::Health => service_kit::probe::healthy(program.serve.listen).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn listen(settings: &Serve) -> anyhow::Result<TcpListener> {
    TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {} (TICKET_SERVICE_ADDR)", settings.listen))
}

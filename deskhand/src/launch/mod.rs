//! `deskhand run`: a whole system in one process tree, for development.
//!
//! PostgreSQL, the model's simulator (unless a real provider is set), assistant-service, ticket-service and, if asked for, the
//! gateway, each a child that ends with this process, however it ends. What they keep stands in one folder, `$DESKHAND_HOME`:
//!
//! ```text
//! postgres/         the cluster
//! secret, keys/     ticket-service's
//! logs/             a file for each child
//! mail/             mail that ticket-service would send, a file each
//! gateway/          what the gateway's Envoy reads
//! admin.json        the throw-away admin
//! run.json          while it runs: addresses, database, admin, process ids
//! launcher.lock     one launcher at a time
//! ```

mod addresses;
mod admin;
mod crew;
mod database;
mod health;
mod home;
mod log;
mod parts;
mod run_file;
mod screen;
mod service;
mod settings;
mod signals;
mod system;

use std::process::ExitCode;

pub(crate) use settings::Args;

use home::Home;
use screen::Screen;
use signals::StopSignals;
use system::System;

/// Starts everything, says where it is, and runs until Ctrl-C, SIGTERM or the death of a part.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let screen = Screen::new();
    let home = Home::take(&args.home)?;
    let mut signals = StopSignals::listen()?;
    let mut system = System::new(&args, &home, screen)?;

    let outcome = tokio::select! {
        failure = system.run() => Err(failure),
        () = signals.next() => Ok(ExitCode::SUCCESS),
    };
    run_file::remove(&home);
    if system.has_started() {
        screen.stopping(outcome.is_err());
    }
    tokio::select! {
        () = system.stop() => {}
        () = signals.next() => {
            system.kill();
            std::process::exit(1);
        }
    }
    if outcome.is_ok() {
        screen.stopped();
    }
    outcome
}

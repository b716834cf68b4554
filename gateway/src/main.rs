//! The program: writes what Envoy needs, then becomes Envoy.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use clap::Parser as _;
use gateway::settings::{Command, Program, Run};
use gateway::{files, openapi, probe};

fn main() -> ExitCode {
    match obey() {
        Ok(()) => ExitCode::SUCCESS,
        // What is wrong, and nothing else: whoever started this shows the last lines.
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn obey() -> anyhow::Result<()> {
    let program = Program::parse();
    match program.command.unwrap_or(Command::Run) {
        Command::Run => run(&program.run),
        Command::Write => {
            files::write(&program.run)?.say();
            Ok(())
        }
        Command::Openapi => Ok(std::io::stdout().write_all(openapi::text()?.as_bytes())?),
        Command::Health => probe::lives(program.run.listen),
    }
}

/// Returns only where Envoy cannot be started.
fn run(settings: &Run) -> anyhow::Result<()> {
    let files = files::write(settings)?;
    let failure = files.envoy(settings).exec();
    Err(anyhow::Error::new(failure).context(format!("cannot start {} (ENVOY_BIN)", settings.envoy_bin.display())))
}

//! Runs a command with `DATABASE_URL` naming a database in a throw-away cluster.
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program for the command line"
)]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use local_postgres::process::{OnParentDeath, spawn_tied};
use local_postgres::{Binaries, Cluster};

const USAGE: &str = "\
usage: with-postgres [--apply FOLDER] COMMAND [ARGUMENT…]   run COMMAND with DATABASE_URL naming a new database, after
                                                            the numbered .sql files of FOLDER were run in it
       with-postgres --find                                 print the folder of PostgreSQL's programs";

const DATABASE: &str = "scratch";

fn main() -> ExitCode {
    let outcome = match env::args_os().nth(1) {
        Some(word) if word == "--find" => find(),
        Some(word) if word == "--apply" => run(env::args_os().nth(2).map(PathBuf::from), env::args_os().skip(3)),
        _ => run(None, env::args_os().skip(1)),
    };
    outcome.unwrap_or_else(|message| {
        eprintln!("with-postgres: {message}");
        ExitCode::FAILURE
    })
}

fn find() -> Result<ExitCode, String> {
    let found = Binaries::find().map_err(|error| error.to_string())?;
    println!("{}", found.dir.display());
    Ok(ExitCode::SUCCESS)
}

fn run(migrations: Option<PathBuf>, words: impl Iterator<Item = OsString>) -> Result<ExitCode, String> {
    let mut words = words.skip_while(|word| word == "--");
    let program = words.next().ok_or(USAGE)?;
    let cluster = local_postgres::throwaway().map_err(|error| error.to_string())?;
    cluster.create_database(DATABASE).map_err(|error| error.to_string())?;
    if let Some(folder) = migrations {
        apply(&folder, &cluster)?;
    }

    let mut command = Command::new(&program);
    command.args(words).env("DATABASE_URL", cluster.url(DATABASE));
    let status = spawn_tied(command, OnParentDeath::Kill)
        .and_then(|mut child| child.wait())
        .map_err(|error| format!("{}: {error}", program.display()))?;
    cluster.stop().map_err(|error| error.to_string())?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Runs the files in the order of their numbers.
fn apply(folder: &Path, cluster: &Cluster) -> Result<(), String> {
    let explain = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(explain)? {
        let path = entry.map_err(explain)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name
            .strip_suffix(".sql")
            .and_then(|name| name.split('_').next()?.parse::<u64>().ok());
        files.extend(number.map(|number| (number, path.clone())));
    }
    files.sort();
    for (_, path) in files {
        let explain = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let sql = fs::read_to_string(&path).map_err(|error| explain(&error))?;
        cluster.execute(DATABASE, &sql).map_err(|error| explain(&error))?;
    }
    Ok(())
}

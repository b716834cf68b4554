//! Makes a cluster's data folder, whole or not at all.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use crate::account::Account;
use crate::binaries::Binaries;
use crate::place::{Place, make_own_dir};
use crate::process::{OnParentDeath, spawn_tied};
use crate::server::Durability;
use crate::{Error, url};

/// Beside `data`, until it is complete.
const UNFINISHED: &str = "data.new";

/// Finds binaries for the cluster and makes its data folder if there is none.
pub(crate) fn prepare(place: &Place, durability: Durability) -> Result<Binaries, Error> {
    let data_dir = place.data_dir();
    let existing = if data_dir.exists() {
        Some(major_of(&data_dir)?)
    } else {
        None
    };
    let binaries = Binaries::find_major(existing)?;
    match existing {
        Some(data_major) if data_major != binaries.major => Err(Error::WrongMajor {
            dir: data_dir,
            data_major,
            bin_dir: binaries.dir,
            binaries_major: binaries.major,
        }),
        Some(_) => Ok(binaries),
        None => {
            create(place, &binaries, durability)?;
            Ok(binaries)
        }
    }
}

fn major_of(data_dir: &Path) -> Result<u32, Error> {
    let version = fs::read_to_string(data_dir.join("PG_VERSION")).ok();
    let major = version.and_then(|version| version.trim().split('.').next()?.parse().ok());
    major.ok_or_else(|| Error::NotADataFolder {
        dir: data_dir.to_owned(),
    })
}

fn create(place: &Place, binaries: &Binaries, durability: Durability) -> Result<(), Error> {
    let unfinished = place.dir.join(UNFINISHED);
    // C.UTF-8 knows letters beyond ASCII and sorts by code point everywhere; not every system has it.
    let first = initdb(&unfinished, place, binaries, durability, "C.UTF-8");
    match first {
        Err(Error::Initdb { output, .. }) if output.contains("invalid locale") => {
            initdb(&unfinished, place, binaries, durability, "C")?;
        }
        outcome => outcome?,
    }
    fs::rename(&unfinished, place.data_dir())
        .map_err(Error::io(format!("renaming {} to data", unfinished.display())))?;
    if durability == Durability::Durable {
        let flushed = File::open(&place.dir).and_then(|dir| dir.sync_all());
        flushed.map_err(Error::io(format!("flushing {}", place.dir.display())))?;
    }
    Ok(())
}

fn initdb(
    unfinished: &Path,
    place: &Place,
    binaries: &Binaries,
    durability: Durability,
    locale: &str,
) -> Result<(), Error> {
    if unfinished.exists() {
        // Left by a launcher that was killed here.
        fs::remove_dir_all(unfinished).map_err(Error::io(format!("removing {}", unfinished.display())))?;
    }
    make_own_dir(unfinished, &place.account)?;
    let mut command = place.account.command(binaries.program("initdb"), unfinished);
    command
        .arg("--pgdata")
        .arg(unfinished)
        .args(["--username", url::USER, "--auth=trust", "--encoding=UTF8"])
        .arg(format!("--locale={locale}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if durability == Durability::Throwaway {
        command.arg("--no-sync");
    }
    let output = spawn_tied(command, OnParentDeath::Kill)
        .and_then(std::process::Child::wait_with_output)
        .map_err(|error| cannot_run(&place.account, binaries, "initdb", &error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Initdb {
        status: output.status.to_string(),
        output: said,
    })
}

pub(crate) fn cannot_run(account: &Account, binaries: &Binaries, program: &str, error: &std::io::Error) -> Error {
    Error::CannotRun {
        user: account.name.clone(),
        program: binaries.program(program),
        why: error.to_string(),
    }
}

//! `ticket-service keys …`: makes, lists and retires keys in a folder. Running servers notice by themselves.

use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::json;
use time::OffsetDateTime;

use super::folder::{Folder, KeyFile};
use super::key::Key;
use super::schedule::{self, Made, State};
use super::set::{Reading, Set};
use crate::settings::Keys as Command;
use crate::timestamp::rfc3339;

/// The shortest beginning of an id that stands for it: what file names show.
const SHORTEST_ID: usize = 8;

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was told.
    Done,
    /// It did nothing, because that would harm; this is why.
    Refused(String),
}

/// Runs a command on the keys in `path` and writes what it answers to `out`.
///
/// # Errors
/// Where the folder or a file in it cannot be read or written, or there is no such key.
pub fn run(command: &Command, path: &Path, now: OffsetDateTime, out: &mut impl Write) -> anyhow::Result<Outcome> {
    execute(command, path, now, out).with_context(|| super::of_keys(path))
}

fn execute(command: &Command, path: &Path, now: OffsetDateTime, out: &mut impl Write) -> anyhow::Result<Outcome> {
    match command {
        Command::Generate => generate(&Folder::make(path)?, now, out)?,
        Command::List { json } => list(&Folder::at(path), *json, now, out)?,
        Command::Retire { kid, force } => return retire(&Folder::at(path), kid, *force, now),
    }
    Ok(Outcome::Done)
}

/// Makes a key that is newer than `newest`; to be called under the folder's lock.
pub(super) fn make(folder: &Folder, newest: Made, now: OffsetDateTime) -> anyhow::Result<Key> {
    let (key, text) = Key::generate()?;
    folder.write(&key, &text, schedule::time_of_new(newest, now))?;
    Ok(key)
}

fn generate(folder: &Folder, now: OffsetDateTime, out: &mut impl Write) -> anyhow::Result<()> {
    let _lock = folder.lock()?;
    // A broken file counts: it may be mended.
    let newest = folder.list()?.last().and_then(|file| file.made);
    let key = make(folder, newest, now)?;
    let Reading { set, broken } = Set::read(folder, folder.list()?, None);
    let row = set
        .iter()
        .flat_map(|set| rows(set, now))
        .find(|row| row.kid == key.id());
    let signs_from = row.and_then(|row| row.signs_from);
    tracing::info!(
        kid = key.id(),
        signs_from = signs_from.map(rfc3339),
        "a signing key was made"
    );
    for error in broken {
        tracing::warn!("{error:#}");
    }
    writeln!(out, "{}", key.id())?;
    Ok(())
}

/// What is said of a key.
struct Row<'a> {
    kid: &'a str,
    file: &'a str,
    made: Made,
    signs_from: Made,
    state: State,
}

fn rows(set: &Set, now: OffsetDateTime) -> impl Iterator<Item = Row<'_>> {
    set.iter().enumerate().map(move |(index, (file, key))| Row {
        kid: key.id(),
        file: &file.name,
        made: file.made,
        signs_from: set.schedule().signs_from(index),
        state: set.schedule().state(index, now),
    })
}

fn list(folder: &Folder, as_json: bool, now: OffsetDateTime, out: &mut impl Write) -> anyhow::Result<()> {
    let Reading { set, broken } = Set::read(folder, folder.list()?, None);
    let rows: Vec<Row<'_>> = set.iter().flat_map(|set| rows(set, now)).collect();
    if as_json {
        let row = |row: &Row<'_>| {
            json!({
                "kid": row.kid, "file": row.file, "made": row.made.map(rfc3339),
                "signs_from": row.signs_from.map(rfc3339), "state": word(row.state).replace(' ', "_"),
            })
        };
        writeln!(out, "{:#}", json!(rows.iter().map(row).collect::<Vec<_>>()))?;
    } else {
        writeln!(out, "{:43}  {:20}  {:20}  STATE", "KID", "MADE", "SIGNS FROM")?;
        for Row {
            kid,
            made,
            signs_from,
            state,
            ..
        } in rows
        {
            let time = |time: Made| time.map_or_else(|| "-".to_owned(), rfc3339);
            writeln!(
                out,
                "{kid:43}  {:20}  {:20}  {}",
                time(made),
                time(signs_from),
                word(state)
            )?;
        }
    }
    match broken.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Next => "next",
        State::Signing => "signing",
        State::VerifyingOnly => "verifying only",
        State::CanBeRetired => "can be retired",
    }
}

fn retire(folder: &Folder, kid: &str, force: bool, now: OffsetDateTime) -> anyhow::Result<Outcome> {
    let _lock = folder.lock()?;
    let files = folder.list()?;
    let Reading { set, broken } = Set::read(folder, files.clone(), None);
    for error in &broken {
        tracing::warn!("{error:#}");
    }
    let Some(set) = set else { bail!("there is no key") };
    let (index, id) = find(&set, kid)?;
    if !force && let Err(refusal) = set.schedule().may_retire(index, now) {
        return Ok(Outcome::Refused(format!(
            "{refusal}; --force retires it all the same, and ends its tokens"
        )));
    }
    if set.iter().count() == 1 {
        let newest = files.last().and_then(|file| file.made);
        let new = make(folder, newest, now)?;
        tracing::info!(kid = new.id(), "a signing key was made in place of the only one");
    }
    for file in files_of(folder, &files, id) {
        folder.remove(file)?;
    }
    tracing::info!(kid = id, "a signing key was retired");
    Ok(Outcome::Done)
}

/// The place and the id of the key of this id, or of the only id that begins so.
fn find<'a>(set: &'a Set, kid: &str) -> anyhow::Result<(usize, &'a str)> {
    let begins = |id: &str| id == kid || (kid.len() >= SHORTEST_ID && id.starts_with(kid));
    let ids = set.iter().map(|(_, key)| key.id()).enumerate();
    let mut found = ids.filter(|(_, id)| begins(id));
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => bail!("there is no key {kid}; `ticket-service keys list` shows them"),
        (Some(_), Some(_)) => bail!("several keys begin with {kid}"),
    }
}

/// Every file with this key: a copy would keep it in use.
fn files_of<'a>(folder: &Folder, files: &'a [KeyFile], id: &str) -> Vec<&'a KeyFile> {
    files
        .iter()
        .filter(|file| folder.read(file).is_ok_and(|key| key.id() == id))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;
    use time::macros::datetime;

    use super::*;

    const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn at(minutes: i64) -> OffsetDateTime {
        NOON + time::Duration::minutes(minutes)
    }

    /// A command's outcome and answer.
    fn run_at(folder: &Path, minutes: i64, command: &Command) -> (anyhow::Result<Outcome>, String) {
        let mut out = Vec::new();
        let outcome = run(command, folder, at(minutes), &mut out);
        (outcome, String::from_utf8(out).unwrap())
    }

    fn generate_at(folder: &Path, minutes: i64) -> String {
        let (outcome, out) = run_at(folder, minutes, &Command::Generate);
        assert_eq!(outcome.unwrap(), Outcome::Done);
        out.trim_end().to_owned()
    }

    fn retire_at(folder: &Path, minutes: i64, kid: &str, force: bool) -> Outcome {
        run_at(
            folder,
            minutes,
            &Command::Retire {
                kid: kid.to_owned(),
                force,
            },
        )
        .0
        .unwrap()
    }

    /// Ids and states.
    fn listed_at(folder: &Path, minutes: i64) -> Vec<(String, String)> {
        let (outcome, out) = run_at(folder, minutes, &Command::List { json: true });
        assert_eq!(outcome.unwrap(), Outcome::Done);
        let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        rows.iter().map(|row| (text(row, "kid"), text(row, "state"))).collect()
    }

    #[test]
    fn a_key_is_made_takes_over_and_the_old_one_goes() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let old = generate_at(folder, 0);
        let new = generate_at(folder, 60);
        let states = |old_state: &str, new_state: &str| {
            vec![(old.clone(), old_state.to_owned()), (new.clone(), new_state.to_owned())]
        };
        assert_eq!(listed_at(folder, 60), states("signing", "next"));
        assert!(matches!(retire_at(folder, 74, &old, false), Outcome::Refused(_)));
        assert_eq!(listed_at(folder, 75), states("verifying_only", "signing"));
        let Outcome::Refused(why) = retire_at(folder, 85, &old, false) else {
            panic!("retired")
        };
        assert!(
            why.contains("until 2026-11-22T13:25:15Z") && why.contains("--force"),
            "{why}"
        );
        assert_eq!(listed_at(folder, 86), states("can_be_retired", "signing"));
        assert_eq!(retire_at(folder, 86, &old[..8], false), Outcome::Done);
        assert_eq!(listed_at(folder, 86), [(new.clone(), "signing".to_owned())]);
        assert!(matches!(retire_at(folder, 999, &new, false), Outcome::Refused(_)));
    }

    #[test]
    fn the_table() {
        let folder = tempfile::tempdir().unwrap();
        let first = Key::generate().unwrap();
        fs::write(folder.path().join("0001.pem"), first.1).unwrap();
        let second = generate_at(folder.path(), 0);
        let (_, out) = run_at(folder.path(), 1, &Command::List { json: false });
        let expected = format!(
            "KID                                          MADE                  SIGNS FROM            STATE\n\
             {}  -                     -                     signing\n\
             {second}  2026-11-22T12:00:00Z  2026-11-22T12:15:00Z  next\n",
            first.0.id()
        );
        assert_eq!(out, expected);
    }

    #[test]
    fn by_force_any_key_goes_and_one_that_signs_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let first = generate_at(folder, 0);
        assert_eq!(retire_at(folder, 1, &first, true), Outcome::Done);
        let [(second, state)] = listed_at(folder, 1).try_into().unwrap();
        assert_eq!(state, "signing");
        assert_ne!(second, first);
        let third = generate_at(folder, 2);
        assert_eq!(retire_at(folder, 3, &second, true), Outcome::Done);
        assert_eq!(listed_at(folder, 3), [(third, "signing".to_owned())]);
    }

    #[test]
    fn a_retired_key_is_gone_from_every_file() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let leaked = generate_at(folder, 0);
        let file = Folder::at(folder).list().unwrap().remove(0).name;
        fs::copy(folder.join(file), folder.join("copy.pem")).unwrap();
        assert_eq!(retire_at(folder, 1, &leaked, true), Outcome::Done);
        assert!(listed_at(folder, 1).iter().all(|(kid, _)| *kid != leaked));
    }

    #[test]
    fn an_unknown_key_and_too_short_an_id_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let kid = generate_at(folder.path(), 0);
        for wrong in ["", "unknown", &kid[..7], "../../etc/passwd"] {
            let command = Command::Retire {
                kid: wrong.to_owned(),
                force: true,
            };
            let error = format!("{:#}", run_at(folder.path(), 1, &command).0.unwrap_err());
            assert!(error.contains("there is no key"), "{error}");
        }
    }

    #[test]
    fn a_broken_file_is_told_of_and_stops_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let kid = generate_at(folder.path(), 0);
        fs::write(folder.path().join("20261122T115900Z-broken.pem"), "nonsense").unwrap();
        let (outcome, out) = run_at(folder.path(), 1, &Command::List { json: false });
        let error = format!("{:#}", outcome.unwrap_err());
        assert!(error.contains("broken.pem") && !error.contains("nonsense"), "{error}");
        assert!(out.contains(&kid));
        generate_at(folder.path(), 1);
        assert_eq!(retire_at(folder.path(), 1, &kid, true), Outcome::Done);
    }
}

//! Start, stop, start again.

use std::fs;
use std::time::{Duration, Instant};

use local_postgres::Error;

use crate::support::{execute, folder, query, start};

#[test]
fn data_survive_a_restart() {
    let folder = folder();
    let dir = folder.path().join("state/postgres");

    let begin = Instant::now();
    let cluster = start(&dir).unwrap();
    let first = begin.elapsed();
    assert!(cluster.create_database("desk").unwrap());
    assert!(!cluster.create_database("desk").unwrap());
    execute(&cluster.url("desk"), "CREATE TABLE note AS SELECT 'kept: ÄÖ' AS text");
    assert_eq!(query(&cluster.url("desk"), "SELECT lower(text) FROM note"), "kept: äö");
    let begin = Instant::now();
    cluster.stop().unwrap();
    cluster.stop().unwrap();
    let stop = begin.elapsed();
    drop(cluster);

    let begin = Instant::now();
    let cluster = start(&dir).unwrap();
    eprintln!(
        "first start {first:?}, stop {stop:?}, second start {:?}",
        begin.elapsed()
    );
    assert_eq!(query(&cluster.url("desk"), "SELECT text FROM note"), "kept: ÄÖ");
    assert_eq!(cluster.exit_status(), None);
}

#[test]
fn settings_are_what_they_should_be() {
    let folder = folder();
    let cluster = start(folder.path()).unwrap();
    let url = cluster.admin_url();
    for (question, answer) in [
        ("SHOW server_encoding", "UTF8"),
        ("SHOW listen_addresses", ""),
        ("SHOW fsync", "on"),
        ("SHOW timezone", "UTC"),
        (
            "SELECT datcollate::text FROM pg_database WHERE datname = 'postgres'",
            "C.UTF-8",
        ),
        ("SELECT current_user::text", "postgres"),
    ] {
        assert_eq!(query(&url, question), answer, "{question}");
    }
}

#[test]
fn only_one_launcher_at_a_time() {
    let folder = folder();
    let cluster = start(folder.path()).unwrap();
    let error = start(folder.path()).unwrap_err();
    assert!(
        matches!(&error, Error::InUse { holder, .. } if *holder == Some(std::process::id())),
        "unexpected: {error}"
    );
    drop(cluster);
    start(folder.path()).unwrap();
}

#[test]
fn data_of_another_version_are_refused() {
    let folder = folder();
    drop(start(folder.path()).unwrap());
    fs::write(folder.path().join("data/PG_VERSION"), "9.6\n").unwrap();
    let error = start(folder.path()).unwrap_err();
    assert!(
        matches!(error, Error::WrongMajor { data_major: 9, .. }),
        "unexpected: {error}"
    );
    assert!(error.to_string().contains("was made by PostgreSQL 9"), "{error}");
}

#[test]
fn another_folder_is_not_taken_for_data() {
    let folder = folder();
    fs::create_dir(folder.path().join("data")).unwrap();
    let error = start(folder.path()).unwrap_err();
    assert!(matches!(error, Error::NotADataFolder { .. }), "unexpected: {error}");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let folder = folder();
    drop(start(folder.path()).unwrap());
    fs::write(folder.path().join("data/postgresql.auto.conf"), "no_such_setting = 1\n").unwrap();
    let begin = Instant::now();
    let error = start(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "unexpected: {error}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_unfinished_data_folder_is_made_anew() {
    let folder = folder();
    fs::create_dir(folder.path().join("data.new")).unwrap();
    fs::write(folder.path().join("data.new/PG_VERSION"), "15").unwrap();
    let cluster = start(folder.path()).unwrap();
    assert!(!query(&cluster.admin_url(), "SELECT version()").is_empty());
    assert!(!folder.path().join("data.new").exists());
}

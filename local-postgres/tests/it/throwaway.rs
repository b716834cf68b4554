//! Clusters for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::support::query;

#[test]
fn a_cluster_leaves_nothing() {
    let begin = Instant::now();
    let cluster = local_postgres::throwaway().unwrap();
    eprintln!("throw-away cluster ready in {:?}", begin.elapsed());
    assert_eq!(query(&cluster.admin_url(), "SHOW fsync"), "off");
    let folder = cluster.log().parent().unwrap().parent().unwrap().to_owned();
    assert!(folder.exists());
    let begin = Instant::now();
    drop(cluster);
    eprintln!("stopped and removed in {:?}", begin.elapsed());
    assert!(!folder.exists());
}

/// Not a test: a process that exits (or is killed) without dropping its cluster.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn never_dropped() {
    let cluster = local_postgres::throwaway().unwrap();
    println!("\nlog: {}", cluster.log().display());
    if std::env::var_os("TEST_ABORT").is_some() {
        std::process::abort();
    }
    std::mem::forget(cluster);
}

/// Runs the above in another process; returns the folder that its cluster had.
fn folder_of_a_process(abort: bool) -> PathBuf {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "throwaway::never_dropped", "--ignored", "--nocapture"])
        .stderr(Stdio::null());
    if abort {
        command.env("TEST_ABORT", "1");
    }
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let log = output.lines().find_map(|line| line.strip_prefix("log: ")).unwrap();
    Path::new(log).parent().unwrap().parent().unwrap().to_owned()
}

#[test]
fn exit_removes_what_was_never_dropped() {
    assert!(!folder_of_a_process(false).exists());
}

#[test]
fn folders_of_dead_processes_are_swept() {
    let stale = folder_of_a_process(true);
    drop(local_postgres::throwaway().unwrap());
    assert!(!stale.exists());
}

#[test]
fn a_command_gets_a_database() {
    let with_postgres = env!("CARGO_BIN_EXE_with-postgres");
    let output = Command::new(with_postgres)
        .args(["sh", "-c", "echo $DATABASE_URL; exit 7"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7));
    let url = String::from_utf8(output.stdout).unwrap();
    assert!(url.starts_with("postgres:///scratch?host=/"), "{url}");

    let status = Command::new(with_postgres)
        .arg("/no/such/program")
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn migrations_are_applied_in_order() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("2_second.sql"),
        "INSERT INTO note VALUES ('it''s 2'); INSERT INTO note VALUES (3)",
    )
    .unwrap();
    fs::write(folder.path().join("0001_first.sql"), "CREATE TABLE note (text text);").unwrap();
    fs::write(folder.path().join("10_last.sql"), "DELETE FROM note WHERE text = '3'").unwrap();
    fs::write(folder.path().join("README.md"), "no SQL").unwrap();
    let with_postgres = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_with-postgres"));
        command.arg("--apply").arg(folder.path());
        command.args(["sh", "-c", "\"$PSQL\" -XAtc 'SELECT * FROM note' \"$DATABASE_URL\""]);
        command.env("PSQL", local_postgres::Binaries::find().unwrap().program("psql"));
        command.output().unwrap()
    };
    assert_eq!(String::from_utf8_lossy(&with_postgres().stdout), "it's 2\n");

    fs::write(folder.path().join("11_wrong.sql"), "SELEC").unwrap();
    let said = String::from_utf8(with_postgres().stderr).unwrap();
    assert!(said.contains("11_wrong.sql") && said.contains("syntax error"), "{said}");
}

#[test]
fn the_url_does_not_depend_on_the_callers_variables() {
    let output = Command::new(env!("CARGO_BIN_EXE_with-postgres"))
        .args([
            "sh",
            "-c",
            "\"$PSQL\" -XAtc 'SELECT current_database()' \"$DATABASE_URL\"",
        ])
        .env("PSQL", local_postgres::Binaries::find().unwrap().program("psql"))
        .envs([
            ("PGPORT", "1"),
            ("PGHOST", "nowhere"),
            ("PGUSER", "nobody"),
            ("PGSSLMODE", "require"),
        ])
        .envs([("PGDATA", "/nowhere"), ("PGDATABASE", "none")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "scratch", "{output:?}");
}

#[test]
fn a_wrong_pg_bin_is_an_error() {
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_with-postgres"))
        .arg("true")
        .env("PG_BIN", empty.path())
        .output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(said.contains("PG_BIN=") && said.contains("has no postgres"), "{said}");
    fs::remove_dir(empty.path()).unwrap();
}

//! What is left when the owner of a cluster is killed.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{execute, folder, query, runs, start, wait_for};

const FOLDER: &str = "TEST_CLUSTER_FOLDER";
const MARK: &str = "server runs as";

/// Not a test: the process that the tests below kill.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn owner() {
    let Ok(dir) = std::env::var(FOLDER) else { return };
    let cluster = start(Path::new(&dir)).unwrap();
    println!("\n{MARK} {}", cluster.pid());
    // Until killed, or until the test ends.
    let _ = std::io::stdin().read(&mut [0]);
}

/// Starts this binary again as the owner of a cluster in `dir`; returns it and the server's process id.
fn spawn_owner(dir: &Path) -> (Child, u32) {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "death::owner", "--ignored", "--nocapture"])
        .env(FOLDER, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let pid = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix(MARK)?.trim().parse().ok());
    (owner, pid.expect("the owner did not start its cluster"))
}

#[test]
fn killed_owner_leaves_no_server_and_the_data() {
    let folder = folder();
    let (mut owner, server) = spawn_owner(folder.path());
    assert!(runs(server));
    owner.kill().unwrap();
    owner.wait().unwrap();

    // At once, while the old server may still be going down.
    let begin = Instant::now();
    let cluster = start(folder.path()).unwrap();
    eprintln!("start after kill -9: {:?}", begin.elapsed());
    assert!(!runs(server));
    execute(&cluster.admin_url(), "CREATE TABLE note AS SELECT 'kept' AS text");
    drop(cluster);

    let (mut owner, server) = spawn_owner(folder.path());
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_for("the server's end", Duration::from_secs(10), || !runs(server));
    let cluster = start(folder.path()).unwrap();
    assert_eq!(query(&cluster.admin_url(), "SELECT text FROM note"), "kept");
}

#[test]
fn folder_of_a_living_process_is_in_use() {
    let folder = folder();
    let (mut owner, _) = spawn_owner(folder.path());
    let error = start(folder.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with(&format!("is in use by process {}", owner.id())),
        "{error}"
    );
    drop(owner.stdin.take());
    owner.wait().unwrap();
}

#[test]
fn killed_server_starts_again() {
    let folder = folder();
    let cluster = start(folder.path()).unwrap();
    execute(&cluster.admin_url(), "CREATE TABLE note AS SELECT 'kept' AS text");
    let pid = rustix::process::Pid::from_raw(cluster.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    wait_for("the server's end", Duration::from_secs(10), || {
        cluster.exit_status().is_some()
    });
    drop(cluster);

    let cluster = start(folder.path()).unwrap();
    assert_eq!(query(&cluster.admin_url(), "SELECT text FROM note"), "kept");
}

#[test]
fn a_tied_child_dies_with_a_killed_with_postgres() {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_with-postgres"))
        .args(["--", "sh", "-c", "echo $$; exec sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(owner.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let child = line.trim().parse().unwrap();
    assert!(runs(child));
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_for("the child's end", Duration::from_secs(10), || !runs(child));
}

//! `deskhand run` when something is wrong: what it says, and that it leaves nothing behind.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::launch_support::{Launcher, command, folder, home, kill, pids, runs, wait_for, wait_until_gone};

#[test]
fn an_address_in_use_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for variable in [
        "TICKET_SERVICE_ADDR",
        "TICKET_OPS_ADDR",
        "ASSISTANT_SERVICE_ADDR",
        "GROQ_SIM_ADDR",
    ] {
        let folder = folder();
        let mut command = command(Path::new(env!("CARGO_BIN_EXE_deskhand")), folder.path());
        command.env(variable, &address);
        let (status, said) = Launcher::spawn(command, folder.path()).ended();
        assert_eq!(status.code(), Some(1));
        assert!(
            said.contains(&format!("{address} is in use")) && said.contains(variable),
            "{said}"
        );
        assert!(
            !home(folder.path()).join("postgres").exists(),
            "nothing was to be started"
        );
    }
}

#[test]
fn the_death_of_a_part_ends_everything() {
    for part in ["assistant-service", "postgres"] {
        let folder = folder();
        let mut launcher = Launcher::start(folder.path());
        let run_file = launcher.ready();
        kill(u32::try_from(run_file["pids"][part].as_u64().unwrap()).unwrap());
        let (status, said) = launcher.ended();
        assert_eq!(status.code(), Some(1), "{said}");
        let name = if part == "postgres" { "PostgreSQL" } else { part };
        assert!(
            said.contains(&format!("{name} ended unexpectedly (signal: 9 (SIGKILL))")),
            "{said}"
        );
        wait_until_gone(&pids(&run_file));
        assert!(!home(folder.path()).join("run.json").exists());
    }
}

#[test]
fn a_missing_program_is_named() {
    let folder = folder();
    let program = with_ticket_service(folder.path(), None);
    let (status, said) = Launcher::spawn(command(&program, folder.path()), folder.path()).ended();
    assert_eq!(status.code(), Some(1));
    assert!(
        said.contains("ticket-service is missing") && said.contains("./dev run"),
        "{said}"
    );
}

#[test]
fn a_missing_postgres_is_explained() {
    let folder = folder();
    let mut command = command(Path::new(env!("CARGO_BIN_EXE_deskhand")), folder.path());
    command.env("PG_BIN", folder.path());
    let (status, said) = Launcher::spawn(command, folder.path()).ended();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("cannot start PostgreSQL: PG_BIN="), "{said}");
}

#[test]
fn a_failed_migration_is_shown() {
    let folder = folder();
    let program = with_ticket_service(folder.path(), Some("echo 'relation \"x\" is odd' >&2; exit 4"));
    let (status, said) = Launcher::spawn(command(&program, folder.path()), folder.path()).ended();
    assert_eq!(status.code(), Some(1));
    assert!(
        said.contains("ticket-service migrate failed (exit status: 4)"),
        "{said}"
    );
    assert!(
        said.contains("relation \"x\" is odd") && said.contains("logs/ticket-service-migrate.log"),
        "{said}"
    );
}

#[test]
fn a_database_that_does_not_answer_is_shown() {
    let folder = folder();
    let mut command = command(Path::new(env!("CARGO_BIN_EXE_deskhand")), folder.path());
    command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:9/none");
    let (status, said) = Launcher::spawn(command, folder.path()).ended();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("ticket-service migrate failed"), "{said}");
}

#[test]
fn ctrl_c_while_starting_leaves_nothing_half_done() {
    let folder = folder();
    for delay in [0, 100, 300, 600, 900] {
        let mut launcher = Launcher::start(folder.path());
        launcher.says("Starting");
        // Not to wait for something: to be somewhere else in the start each time.
        thread::sleep(Duration::from_millis(delay));
        launcher.signal(Signal::INT);
        let (status, said) = launcher.ended();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(!home(folder.path()).join("run.json").exists());
    }
    let mut launcher = Launcher::start(folder.path());
    launcher.ready();
}

/// The first Ctrl-C waits for a child that takes its time, the second does not.
#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let folder = folder();
    let note = folder.path().join("pid");
    let script = format!("trap '' TERM; echo $$ > {}; exec sleep 600", note.display());
    let program = with_ticket_service(folder.path(), Some(&script));
    let mut launcher = Launcher::spawn(command(&program, folder.path()), folder.path());
    wait_for("the migration", || {
        fs::read_to_string(&note).is_ok_and(|pid| pid.ends_with('\n'))
    });
    let pid: u32 = fs::read_to_string(&note).unwrap().trim().parse().unwrap();

    launcher.signal(Signal::INT);
    launcher.says("stopping");
    assert!(runs(pid));
    let begin = Instant::now();
    launcher.signal(Signal::INT);
    let (status, _) = launcher.ended();
    assert_eq!(status.code(), Some(1));
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        begin.elapsed()
    );
    wait_until_gone(&[pid]);
}

/// The launcher in a folder where the other programs are missing, or ticket-service is a script.
fn with_ticket_service(folder: &Path, script: Option<&str>) -> PathBuf {
    let program = folder.join("deskhand");
    install(Path::new(env!("CARGO_BIN_EXE_deskhand")), &program);
    if let Some(script) = script {
        let source = folder.join("script");
        fs::write(&source, format!("#!/bin/sh\n{script}\n")).unwrap();
        install(&source, &folder.join("ticket-service"));
    }
    program
}

/// By another process: a program that this one has open for writing, a child of another test's thread has open too for
/// a moment, and then it cannot be run.
fn install(from: &Path, to: &Path) {
    let status = Command::new("install")
        .args(["-m", "755"])
        .args([from, to])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_gateway_without_envoy_is_told_of() {
    let folder = folder();
    let mut command = command(Path::new(env!("CARGO_BIN_EXE_deskhand")), folder.path());
    command
        .arg("--gateway")
        .env("GATEWAY_ADDR", "127.0.0.1:0")
        .env("ENVOY_BIN", folder.path().join("no-envoy"));
    let (status, said) = Launcher::spawn(command, folder.path()).ended();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("gateway") && said.contains("ENVOY_BIN"), "{said}");
    assert!(!home(folder.path()).join("run.json").exists());
}

//! `deskhand run` when all goes well, and when it is ended.

use std::fs;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use deskhand_proto::accounts::v1::LogInRequest;
use deskhand_proto::accounts::v1::auth_service_client::AuthServiceClient;
use rustix::process::Signal;
use serde_json::Value;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::launch_support::{Launcher, command, folder, home, kill, mode, pids, runs, wait_until_gone};

#[test]
fn everything_starts_stops_and_starts_again() {
    let folder = folder();
    let begin = Instant::now();
    let mut launcher = Launcher::start(folder.path());
    let run_file = launcher.ready();
    eprintln!("first start: {:?}", begin.elapsed());

    for part in ["ticket_service", "assistant_service"] {
        let answer = block_on(health(&run_file, part));
        assert_eq!(
            answer.status(),
            tonic_health::pb::health_check_response::ServingStatus::Serving,
            "{part}"
        );
    }
    let names = [
        "assistant-service",
        "groq-sim",
        "launcher",
        "postgres",
        "ticket-service",
    ];
    let pids_by_name = run_file["pids"].as_object().unwrap();
    assert_eq!(pids_by_name.keys().collect::<Vec<_>>(), names);
    assert_eq!(
        run_file["groq_base_url"],
        format!("http://{}", run_file["groq_sim"].as_str().unwrap())
    );
    assert!(
        run_file["database_url"]
            .as_str()
            .unwrap()
            .starts_with("postgres:///deskhand?host=/")
    );
    block_on(log_in_as_admin(&run_file));
    assert_eq!(get(&run_file, "/readyz"), "ok");

    let said = launcher.said();
    let ticket_service = run_file["ticket_service"].as_str().unwrap();
    for text in [
        "SIMULATOR",
        "-- demo",
        "grpcurl -plaintext",
        ticket_service,
        run_file["ticket_ops"].as_str().unwrap(),
        run_file["admin"]["email"].as_str().unwrap(),
        run_file["admin"]["password"].as_str().unwrap(),
    ] {
        assert!(said.contains(text), "{text:?} is missing: {said}");
    }
    assert!(!said.contains('\u{1b}'), "colour in a pipe: {said}");

    let pids = pids(&run_file);
    assert!(pids.iter().all(|&pid| runs(pid)));
    let begin = Instant::now();
    launcher.signal(Signal::INT);
    let (status, said) = launcher.ended();
    eprintln!("stop: {:?}", begin.elapsed());
    assert_eq!(status.code(), Some(0), "{said}");
    wait_until_gone(&pids);
    assert!(!home(folder.path()).join("run.json").exists());

    let begin = Instant::now();
    let mut launcher = Launcher::start(folder.path());
    let again = launcher.ready();
    eprintln!("second start: {:?}", begin.elapsed());
    assert_eq!(again["admin"], run_file["admin"]);
    block_on(log_in_as_admin(&again));
    launcher.signal(Signal::TERM);
    assert_eq!(launcher.ended().0.code(), Some(0));
}

#[test]
fn secrets_are_for_their_owner_alone() {
    let folder = folder();
    let mut launcher = Launcher::start(folder.path());
    launcher.ready();
    let home = home(folder.path());
    for file in [
        "run.json",
        "admin.json",
        "secret",
        "postgres/server.log",
        "logs/ticket-service.log",
    ] {
        assert_eq!(mode(&home.join(file)), 0o600, "{file}");
    }
    assert_eq!(mode(&home.join("logs")), 0o700);
    assert_eq!(mode(&home.join("postgres/socket")), 0o700);
}

#[test]
fn a_second_launcher_is_told_of_the_first() {
    let folder = folder();
    let mut first = Launcher::start(folder.path());
    let run_file = first.ready();
    let mut second = Launcher::start(folder.path());
    let (status, said) = second.ended();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains(&format!("process {}", first.pid())), "{said}");
    assert!(pids(&run_file).iter().all(|&pid| runs(pid)));
    assert!(home(folder.path()).join("run.json").exists());
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "children survive a killed parent here")]
fn a_killed_launcher_leaves_no_process() {
    let folder = folder();
    let mut launcher = Launcher::start(folder.path());
    let pids = pids(&launcher.ready());
    kill(launcher.pid());
    wait_until_gone(&pids);

    // And at once, without waiting for them.
    let mut launcher = Launcher::start(folder.path());
    launcher.ready();
    kill(launcher.pid());
    launcher.ended();
    let mut launcher = Launcher::start(folder.path());
    launcher.ready();
}

#[test]
fn a_given_database_and_provider_are_used() {
    let folder = folder();
    let cluster = local_postgres::throwaway().unwrap();
    cluster.create_database("given").unwrap();
    let mut command = command(Path::new(env!("CARGO_BIN_EXE_deskhand")), folder.path());
    let url = cluster.url("given");
    command
        .env("DATABASE_URL", &url)
        .env("GROQ_BASE_URL", "http://127.0.0.1:9")
        .arg("--verbose");
    let mut launcher = Launcher::spawn(command, folder.path());
    let run_file = launcher.ready();
    assert_eq!(run_file["database_url"], url);
    assert_eq!(run_file["groq_base_url"], "http://127.0.0.1:9");
    assert_eq!(run_file["groq_sim"], Value::Null);
    let names: Vec<_> = run_file["pids"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["assistant-service", "launcher", "ticket-service"]);
    assert!(!home(folder.path()).join("postgres").exists());
    assert!(launcher.said().contains("ticket-service    | "), "{}", launcher.said());
    assert!(!launcher.said().contains("SIMULATOR"));
    launcher.signal(Signal::INT);
    assert_eq!(launcher.ended().0.code(), Some(0));
    assert!(fs::read_dir(home(folder.path()).join("logs")).unwrap().count() >= 3);
}

/// The connections end with it; a server that stops would wait for open ones.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// What the listener for machines answers, with 200 OK.
fn get(run_file: &Value, path: &str) -> String {
    let address = run_file["ticket_ops"].as_str().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let answer = io::read_to_string(stream).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body.trim_end().to_owned()
}

async fn health(run_file: &Value, part: &str) -> tonic_health::pb::HealthCheckResponse {
    let address = format!("http://{}", run_file[part].as_str().unwrap());
    let channel = tonic::transport::Endpoint::new(address)
        .unwrap()
        .connect()
        .await
        .unwrap();
    HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner()
}

async fn log_in_as_admin(run_file: &Value) {
    let text = |field: &str| run_file["admin"][field].as_str().unwrap().to_owned();
    let address = format!("http://{}", run_file["ticket_service"].as_str().unwrap());
    let mut accounts = AuthServiceClient::connect(address).await.unwrap();
    let request = LogInRequest {
        email: text("email"),
        password: text("password"),
    };
    accounts.log_in(request).await.unwrap();
}

//! The OpenAPI document: valid by another's judgement, and true, as far as a tool can tell that makes requests of it.

use std::process::Command;
use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::Value;

use crate::client::Client;
use crate::gateway::client;
use crate::system::System;
use crate::tools;

fn document() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json").to_owned()
}

/// A Python tool with its libraries.
fn python(module: &str) -> Command {
    let mut command = Command::new("python3");
    command
        .args(["-m", module])
        .env("PYTHONPATH", tools::folder("openapi-tools-"));
    command
}

#[track_caller]
fn run(mut command: Command) -> String {
    let done = command.output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.status.success(), "{said}");
    said
}

#[test]
fn the_document_is_valid() {
    let mut command = python("openapi_spec_validator");
    command.args(["--schema", "3.1", &document()]);
    assert!(run(command).contains("OK"));
}

#[tokio::test]
async fn the_gateway_serves_the_document() {
    let system = System::shared();
    let served: Value = client()
        .get(system.url("/openapi.json"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(document()).unwrap()).unwrap();
    assert_eq!(served, committed);
}

/// What ends the session that it is called by, and a stream that ends after an hour.
const APART: &[&str] = &["LogOut", "RevokeSession", "ChangePassword", "WatchTickets"];

/// Requests that fit the document and requests that do not: no answer is a fault of ours, and each has a status, a type and a
/// form that the document says.
async fn schemathesis(system: &System, caller: &Client, operations: &[String]) {
    // What it remembers of its findings.
    let folder = tempfile::tempdir().unwrap();
    let mut command = python("schemathesis.cli");
    command
        .current_dir(folder.path())
        .arg("run")
        .arg(document())
        .args(["--url", &system.url("")])
        .args(["--header", &format!("Authorization: Bearer {}", caller.token)])
        // A schema says less than the words do of what is accepted: an address, a token that was sent by mail.
        // A method that Envoy does not know, such as QUERY, is 400 and not 405; input.rs has those that it does.
        .args([
            "--checks",
            "all",
            "--exclude-checks",
            "positive_data_acceptance,unsupported_method",
        ])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "20",
            "--generation-deterministic",
        ])
        .args([
            "--workers",
            "1",
            "--request-timeout",
            "20",
            "--continue-on-failure",
            "--no-color",
        ])
        .args(operations);
    let said = tokio::task::spawn_blocking(|| run(command)).await.unwrap();
    println!("{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing() {
    let system = Arc::new(System::with(&[]));
    let (admin, customer) = (Client::admin(&system).await, Client::customer(&system).await);
    let apart = |flag: &str, names: &[&str]| {
        names
            .iter()
            .flat_map(|name| [flag.to_owned(), (*name).to_owned()])
            .collect::<Vec<_>>()
    };
    schemathesis(&system, &admin, &apart("--exclude-operation-id", APART)).await;
    schemathesis(&system, &customer, &apart("--include-operation-id", &APART[..3])).await;
}

#[tokio::test]
async fn whoever_asks_for_the_head_of_a_page_gets_it() {
    let system = System::shared();
    for page in gateway::pages::PAGES {
        let (whole, head) = (
            client().get(system.url(page.path)),
            client().head(system.url(page.path)),
        );
        let (whole, head) = (whole.send().await.unwrap(), head.send().await.unwrap());
        assert_eq!(
            (whole.status(), head.status()),
            (StatusCode::OK, StatusCode::OK),
            "{}",
            page.path
        );
        for header in [
            "content-type",
            "content-length",
            "content-security-policy",
            "cache-control",
        ] {
            assert_eq!(
                whole.headers()[header],
                head.headers()[header],
                "{} {header}",
                page.path
            );
        }
        assert_eq!(head.headers()["cache-control"], "no-cache", "{}", page.path);
    }
}

const MARK: &str = "<!-- A test runs these lines as they stand. -->\n```\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_the_documentation_work() {
    let system = System::shared();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/edge.md")).unwrap();
    let (_, rest) = page.split_once(MARK).unwrap();
    let (lines, _) = rest.split_once("\n```").unwrap();
    let script = lines.replace("localhost:8080", system.address());
    assert!(script.matches("curl ").count() >= 4, "{script}");
    let mut command = Command::new("sh");
    command.args(["-euc", &script]);
    let said = tokio::task::spawn_blocking(|| run(command)).await.unwrap();
    for expected in [
        "\"email\":\"eve@example.com\"",
        "data: {\"event\":{\"started\"",
        "\"completed\":{\"message\"",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

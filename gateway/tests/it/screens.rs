//! The pages in a real browser.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::gateway::client;
use crate::system::System;
use crate::tools;

/// Runs what a person does on a page; answers what the script saw. Pictures go into `target/tmp/screens`.
async fn visit(page: &'static str, system: &System) -> Value {
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screens");
    std::fs::create_dir_all(&pictures).unwrap();
    let mut command = Command::new("node");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/screens.mjs"))
        .arg(tools::folder("puppeteer-core-"))
        .arg(tools::browser())
        .args([&system.url(""), page])
        .arg(pictures.join(format!("{page}.png")));
    let done = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    serde_json::from_str(said.lines().last().unwrap()).unwrap_or_else(|_| panic!("{said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_viewer_shows_every_operation_and_tries_one() {
    let system = System::shared();
    let saw = visit("docs", &system).await;
    let document: Value = client()
        .get(system.url("/openapi.json"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let operations = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|path| path.as_object().unwrap().len());
    assert_eq!(saw["operations"], operations.sum::<usize>());
    assert_eq!(saw["tried"], "200");
    assert_eq!(
        saw["elsewhere"],
        Value::Array(Vec::new()),
        "nothing is fetched from another host"
    );
    assert_eq!(saw["problems"], Value::Array(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_on_after_a_reload() {
    let system = System::shared();
    let saw = visit("try", &system).await;
    let (before, after) = (saw["before"].as_str().unwrap(), saw["after"].as_str().unwrap());
    assert!(before.len() > 10 && after.len() > before.len(), "{saw}");
    assert!(after.starts_with(before), "{saw}");
    // It was asked for once, and taken up where it was.
    assert_eq!(saw["asked"], 1, "{saw}");
    let attached = saw["attached"].as_array().unwrap();
    let offset = attached[0]
        .as_str()
        .unwrap()
        .split("after_offset=")
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap();
    assert!(
        offset >= before.len() && attached[0].as_str().unwrap().contains("attempt=1"),
        "{saw}"
    );
    assert_eq!(saw["posted"], saw["after"], "what was shown is what was posted");
    // The newest message was answered, and the one before it was not.
    assert_eq!(saw["answers"], 2, "{saw}");
    assert!(saw["newest"].as_str().unwrap().contains("No, the fan."), "{saw}");
    // A reload while the service was away lost nothing.
    assert_eq!(
        (&saw["refusals"], &saw["kept"]),
        (&Value::from(2), &saw["newest"]),
        "{saw}"
    );
    assert_eq!(saw["elsewhere"], Value::Array(Vec::new()));
    assert_eq!(saw["problems"], Value::Array(Vec::new()));
}

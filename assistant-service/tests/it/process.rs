//! The program itself: what it prints, what it logs, how it ends.

use std::process::Stdio;
use std::time::Duration;

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::assistant_service_client::AssistantServiceClient;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::harness::{KEY, PATIENCE, about};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assistant-service"));
    command
        .env_clear()
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Reads the log until it says where the program listens.
async fn address_of(child: &mut Child, log: &mut String) -> (String, BufReader<tokio::process::ChildStderr>) {
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    loop {
        let mut line = String::new();
        let read = timeout(PATIENCE, lines.read_line(&mut line)).await.unwrap().unwrap();
        assert!(read > 0, "it ended: {log}");
        log.push_str(&line);
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        if parsed["message"] == "serving" {
            return (parsed["address"].as_str().unwrap().to_owned(), lines);
        }
    }
}

#[tokio::test]
async fn it_serves_is_healthy_ends_on_sigterm_and_its_log_holds_no_secret_and_no_words() {
    let sim = groq_sim::start(groq_sim::Settings::instant()).await.unwrap();
    for level in ["info", "trace"] {
        let mut child = program()
            .env("ASSISTANT_SERVICE_ADDR", "127.0.0.1:0")
            .env("GROQ_BASE_URL", sim.base_url())
            .env("GROQ_API_KEY", KEY)
            .env("RUST_LOG", level)
            .spawn()
            .unwrap();
        let mut log = String::new();
        let (address, mut rest) = address_of(&mut child, &mut log).await;
        let rest = tokio::spawn(async move {
            let mut text = String::new();
            rest.read_to_string(&mut text).await.unwrap();
            text
        });

        let health = program()
            .env("ASSISTANT_SERVICE_ADDR", &address)
            .arg("health")
            .status()
            .await
            .unwrap();
        assert!(health.success());
        let mut client = AssistantServiceClient::connect(format!("http://{address}"))
            .await
            .unwrap();
        for words in [
            "secretword secretbox@mail.example +49 30 5550123 [sim:ok]",
            "secretword secretbox@mail.example [sim:cut]",
            "secretword [sim:error-event]",
            "secretword [sim:tool-calls tool=hand_off arguments=\"{\\\"why\\\": \\\"secretword [EMAIL_1]\\\"}\"]",
            "secretword [sim:rate-limit]",
            "secretword [sim:status code=500 message=\"secretword\"]",
        ] {
            let mut stream = client.stream_reply(about(words)).await.unwrap().into_inner();
            while let Ok(Some(_)) = stream.message().await {}
        }
        for task in [proto::Task::Reply, proto::Task::Triage] {
            let request = proto::RenderPromptRequest {
                conversation: about("secretword secretbox@mail.example").conversation,
                task: task.into(),
                ..Default::default()
            };
            client.render_prompt(request).await.unwrap();
        }
        let rewrite = proto::RewriteRequest {
            text: "secretword secretbox@mail.example".to_owned(),
            tone: proto::Tone::Formal.into(),
            ..Default::default()
        };
        client.rewrite(rewrite).await.unwrap();
        let conversation = about("secretword secretbox@mail.example [sim:bad-json kind=wrong-type]").conversation;
        let request = proto::TriageRequest {
            conversation,
            ..Default::default()
        };
        client.triage(request).await.unwrap();
        drop(client);

        kill_process(Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(), Signal::TERM).unwrap();
        let status = timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
        assert!(status.success(), "{status}");
        log.push_str(&rest.await.unwrap());
        assert!(!log.contains(KEY), "{level}");
        assert!(
            log.contains("call to the provider failed") && log.contains("RateLimited"),
            "{log}"
        );
        for words in ["secretword", "secretbox", "EMAIL_1", "5550123", "org_"] {
            let line = log.lines().find(|line| line.contains(words));
            assert!(line.is_none(), "{level}: {words} in {line:?}");
        }
    }
}

#[tokio::test]
async fn health_of_what_is_not_there_is_a_failure() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let health = program()
        .env("ASSISTANT_SERVICE_ADDR", format!("127.0.0.1:{port}"))
        .arg("health")
        .status();
    let status = timeout(Duration::from_secs(10), health).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn help_names_every_variable_and_shows_no_key() {
    let output = program().env("GROQ_API_KEY", KEY).arg("--help").output().await.unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for variable in [
        "ASSISTANT_SERVICE_ADDR",
        "GROQ_BASE_URL",
        "GROQ_API_KEY",
        "GROQ_MODEL",
        "REDACT",
        "LINKS_ALLOWED",
        "RUST_LOG",
    ] {
        assert!(help.contains(variable), "{variable}");
    }
    assert!(!help.contains(KEY));
}

#[tokio::test]
async fn wrong_settings_end_it_with_their_name() {
    for (variable, value) in [
        ("GROQ_BASE_URL", "nonsense"),
        ("GROQ_TOTAL_LIMIT", "soon"),
        ("ASSISTANT_SERVICE_ADDR", "here"),
        ("GROQ_API_KEY", "with a\nline break"),
        ("GROQ_API_KEY", ""),
        ("REDACT", "everything"),
        ("LINKS_ALLOWED", "https://example.com"),
        ("RUST_LOG", "a=b=c"),
    ] {
        let command = program()
            .env("ASSISTANT_SERVICE_ADDR", "127.0.0.1:0")
            .env(variable, value)
            .output();
        let output = timeout(Duration::from_secs(10), command).await.unwrap().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        let flag = variable
            .replace("GROQ_TOTAL_LIMIT", "--total-limit")
            .replace("ASSISTANT_SERVICE_ADDR", "--listen")
            .replace("REDACT", "--redact")
            .replace("LINKS_ALLOWED", "--links-allowed");
        let flag = flag.replace("GROQ_BASE_URL", "--groq-base-url");
        assert!(said.contains(&flag), "{variable}: {said}");
        assert!(!said.contains("line break"));
    }
}

#[tokio::test]
async fn a_broken_prompt_is_logged_once_and_a_directory_that_is_not_there_stops_it() {
    let sim = groq_sim::start(groq_sim::Settings::instant()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("about")).unwrap();
    std::fs::write(folder.path().join("about/billing.j2"), "\n{{ nonsense }}").unwrap();
    let start = |folder: &std::path::Path| {
        program()
            .env("ASSISTANT_SERVICE_ADDR", "127.0.0.1:0")
            .env("GROQ_BASE_URL", sim.base_url())
            .env("PROMPTS_DIR", folder)
            .spawn()
            .unwrap()
    };
    let mut child = start(folder.path());
    let mut log = String::new();
    let (_, mut rest) = address_of(&mut child, &mut log).await;
    // Two changes: of another file, and back to what it was. The broken one is as broken as before.
    let other = folder.path().join("about/account.j2");
    std::fs::write(&other, "Ask nicely.").unwrap();
    let mut changes = 0;
    while changes < 4 {
        let mut line = String::new();
        timeout(PATIENCE, rest.read_line(&mut line)).await.unwrap().unwrap();
        changes += usize::from(line.contains("prompt changed"));
        if changes == 2 && other.exists() {
            std::fs::remove_file(&other).unwrap();
        }
        log.push_str(&line);
    }
    let broken: Vec<_> = log.lines().filter(|line| line.contains("a prompt is broken")).collect();
    assert_eq!(broken.len(), 2, "for the reply and the draft, once each: {log}");
    assert!(
        broken.iter().all(|line| line.contains("about/billing.j2:2")),
        "{broken:?}"
    );

    let gone = start(&folder.path().join("nowhere"));
    let ended = timeout(PATIENCE, gone.wait_with_output()).await.unwrap().unwrap();
    assert!(!ended.status.success());
    assert!(String::from_utf8_lossy(&ended.stderr).contains("PROMPTS_DIR"));
}

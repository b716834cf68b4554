//! The binary.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{LIMIT, open, read_raw, streamed};

/// A running binary and the address that its log line names.
async fn spawn(variables: &[(&str, &str)]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_groq-sim"))
        .envs(variables.iter().copied())
        .env("GROQ_SIM_ADDR", "127.0.0.1:0")
        .env_remove("RUST_LOG")
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = tokio::time::timeout(LIMIT, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let address = line
        .split("address=")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    (child, address)
}

#[tokio::test]
async fn it_says_its_address_takes_settings_and_stops_at_once_with_a_stream_open() {
    for signal in [Signal::TERM, Signal::INT] {
        let variables = [
            ("GROQ_SIM_TTFT_MS", "0"),
            ("GROQ_SIM_TOKEN_MS", "0.5"),
            ("GROQ_SIM_SCENARIO", "silent-in-middle after=1"),
            ("GROQ_SIM_LIMIT_REQUESTS_MINUTE", "30"),
            ("GROQ_SIM_LIMIT_REQUESTS", "1000"),
            ("GROQ_SIM_LIMIT_TOKENS", "8000"),
            ("GROQ_SIM_LIMIT_TOKENS_DAY", "200000"),
            ("GROQ_SIM_ENFORCE_LIMITS", "true"),
            ("GROQ_SIM_ANSWER_LANGUAGE", "auto"),
        ];
        let (mut child, address) = spawn(&variables).await;
        let status: Value = reqwest::get(format!("http://{address}/_sim"))
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(status["pace"]["token_ms"], 0.5);
        assert_eq!(status["scenario"]["name"], "silent-in-middle");
        assert_eq!(status["answer_language"], "auto");
        let limits: Value = reqwest::get(format!("http://{address}/_sim/limits"))
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let limits = &limits["models"]["qwen/qwen3.8-27b"]["limits"];
        assert_eq!(*limits, serde_json::to_value(groq_sim::Limits::FREE).unwrap());

        let connection = open(address.parse().unwrap(), &streamed("x")).await;
        connection.readable().await.unwrap();
        let asked = Instant::now();
        kill_process(Pid::from_raw(child.id().unwrap() as i32).unwrap(), signal).unwrap();
        let exit = tokio::time::timeout(LIMIT, child.wait()).await.unwrap().unwrap();
        assert!(exit.success());
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        read_raw(connection, LIMIT).await;
    }
}

#[tokio::test]
async fn a_bad_setting_is_named() {
    for (variable, value, flag, why) in [
        ("GROQ_SIM_SCENARIO", "nope", "--scenario", "no scenario 'nope'"),
        ("GROQ_SIM_SCRIPTS", "/no/such/folder", "--scripts", "/no/such/folder: "),
        ("GROQ_SIM_ANSWER_LANGUAGE", "xx", "--answer-language", "not a language"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_groq-sim"))
            .env(variable, value)
            .output()
            .await
            .unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(flag) && said.contains(why), "{said}");
    }
}

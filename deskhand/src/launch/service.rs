//! One child process.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use local_postgres::process::{Ask, OnParentDeath, signal, spawn_tied};
use tokio::signal::unix::{Signal, SignalKind};
use tokio::time::Instant;

use super::log::Log;
use super::screen::Screen;

/// Variables for a child, on top of this process's; `None` takes one away.
pub(crate) type Environment = Vec<(&'static str, Option<String>)>;

/// What to start.
pub(crate) struct Plan {
    /// The name in messages and of the log; `<program>` or `<program> <subcommand>`.
    pub(crate) name: &'static str,
    pub(crate) arguments: Vec<String>,
    /// Written to its standard input.
    pub(crate) input: Option<String>,
    pub(crate) environment: Environment,
}

/// A child that was started.
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    log: Log,
    ended: Option<ExitStatus>,
}

impl Service {
    /// Starts a program that stands beside this one.
    pub(crate) fn start(plan: Plan, logs: &Path, verbose: Option<Screen>) -> anyhow::Result<Self> {
        let name = plan.name;
        let (log, writer) = Log::begin(logs, name, verbose).with_context(|| format!("the log of {name}"))?;
        let mut command = Command::new(beside_this_program(name.split(' ').next().unwrap_or(name))?);
        let again = writer.try_clone().with_context(|| format!("the log of {name}"))?;
        // The terminal's Ctrl-C is for the launcher alone, which stops its children in order.
        command
            .args(&plan.arguments)
            .process_group(0)
            .stdout(writer)
            .stderr(again);
        command.stdin(if plan.input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        for (variable, value) in plan.environment {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        let mut child = spawn_tied(command, OnParentDeath::Kill).with_context(|| format!("cannot start {name}"))?;
        if let (Some(input), Some(mut stdin)) = (plan.input, child.stdin.take()) {
            // Short enough for the pipe's buffer; a child that does not read it says so by its exit status.
            let _ = stdin.write_all(input.as_bytes());
        }
        Ok(Self {
            name,
            child,
            log,
            ended: None,
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Waits for its end, at most until `deadline`.
    pub(crate) async fn wait_until(&mut self, deadline: Instant) -> Option<ExitStatus> {
        let mut child_ended = match child_ended() {
            Ok(child_ended) => child_ended,
            Err(_) => return self.exit_status(),
        };
        loop {
            if let Some(status) = self.exit_status() {
                return Some(status);
            }
            if tokio::time::timeout_at(deadline, child_ended.recv()).await.is_err() {
                return self.exit_status();
            }
        }
    }

    /// SIGTERM, and SIGKILL when it takes longer than `limit`; says whether it ended by itself.
    pub(crate) async fn stop(&mut self, limit: Duration) -> bool {
        if self.exit_status().is_some() {
            return true;
        }
        let _ = signal(&self.child, Ask::Terminate);
        if self.wait_until(Instant::now() + limit).await.is_some() {
            return true;
        }
        self.kill();
        self.wait_until(Instant::now() + limit).await;
        false
    }

    pub(crate) fn kill(&mut self) {
        if self.exit_status().is_none() {
            let _ = signal(&self.child, Ask::Kill);
        }
    }

    /// What there is to say about its end, with its last lines.
    pub(crate) async fn obituary(&self, what: &str) -> anyhow::Error {
        let lines = self.log.last_lines().await;
        let path = self.log.path().display();
        if lines.is_empty() {
            return anyhow::anyhow!("{} {what}, and wrote nothing to {path}", self.name);
        }
        anyhow::anyhow!(
            "{} {what}; the last lines of {path}:\n  {}",
            self.name,
            lines.join("\n  ")
        )
    }
}

/// Resolves whenever a child of this process has ended.
pub(crate) fn child_ended() -> anyhow::Result<Signal> {
    tokio::signal::unix::signal(SignalKind::child()).context("cannot listen to SIGCHLD")
}

fn beside_this_program(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("the path of this program")?;
    let path = this.with_file_name(name);
    if !path.exists() {
        bail!(
            "{} is missing; `./dev run` builds it (`cargo build --workspace --bins`)",
            path.display()
        );
    }
    Ok(path)
}

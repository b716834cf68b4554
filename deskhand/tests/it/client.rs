//! Runs the binary as a user does: in a folder, with a configuration directory and an environment of its own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Someone who uses the client.
pub(crate) struct Client {
    server: String,
    token: Option<String>,
    home: TempDir,
}

/// What a finished command left.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Client {
    pub(crate) fn new(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            token: None,
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// As one whose token is at hand.
    pub(crate) fn with_token(server: &str, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..Self::new(server)
        }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The folder of its sessions.
    pub(crate) fn sessions(&self) -> PathBuf {
        self.home().join(".config/deskhand")
    }

    /// The file of the session at its server.
    pub(crate) fn session_file(&self) -> PathBuf {
        self.sessions().join(format!("session-{}.json", self.server))
    }

    /// Changes what the session's file says.
    pub(crate) fn edit_session(&self, edit: impl FnOnce(&mut Value)) {
        let mut session: Value = serde_json::from_slice(&fs::read(self.session_file()).unwrap()).unwrap();
        edit(&mut session);
        fs::write(self.session_file(), session.to_string()).unwrap();
    }

    /// Makes the session's access token look as if it ended so many seconds from now.
    pub(crate) fn let_token_end_in(&self, seconds: i64) {
        let end = time::OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
        let end = end.format(&time::format_description::well_known::Rfc3339).unwrap();
        self.edit_session(|session| session["access_token_expire_time"] = end.into());
    }

    /// Logs in, with the password on standard input.
    pub(crate) fn log_in(&self, email: &str, password: &str) {
        let done = self.run_with_input(&["login", "--email", email, "--password-stdin"], password);
        assert_eq!(done.code, 0, "{done:?}");
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deskhand"));
        self.prepare(&mut command);
        command.args(arguments);
        command
    }

    /// Sets the folder and the environment.
    pub(crate) fn prepare(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("TERM", "xterm")
            .env("TICKET_SERVICE_ADDR", &self.server)
            .envs(self.token.as_ref().map(|token| ("DESKHAND_TOKEN", token)))
            .current_dir(self.home.path())
            .stdin(Stdio::null());
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        self.run_with_input(arguments, "")
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Done {
        finish(self.start(arguments), input)
    }

    /// Starts a command whose streams are pipes.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Runs what must succeed, and gives its output without the line's end.
    pub(crate) fn expect(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, 0, "{arguments:?}: {done:?}");
        done.stdout.trim_end_matches('\n').to_owned()
    }

    /// Runs what must succeed with one line of JSON.
    pub(crate) fn expect_json(&self, arguments: &[&str]) -> Value {
        let lines = json_lines(&self.expect(&[arguments, &["--json"]].concat()));
        let [document] = lines.as_slice() else {
            panic!("{arguments:?}: {lines:?}")
        };
        document.clone()
    }
}

pub(crate) fn finish(mut child: Child, input: &str) -> Done {
    // Whoever does not read its input may be gone by now.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("panicked"), "{stderr}");
    Done {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr,
    }
}

pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

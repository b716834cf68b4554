//! A launcher to watch, in a folder of its own.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A cold first start makes a database cluster; other tests may keep the machine busy.
const READY_WITHIN: Duration = Duration::from_secs(90);
pub(crate) const ENDED_WITHIN: Duration = Duration::from_secs(40);

/// A folder that PostgreSQL's user can pass through when the tests run as root.
pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o711))
        .tempdir()
        .unwrap()
}

/// `deskhand run`, on free ports, with its folder in `folder`, and untouched by the caller's settings.
pub(crate) fn command(program: &Path, folder: &Path) -> Command {
    for name in ["ticket-service", "assistant-service", "groq-sim", "gateway"] {
        let sibling = Path::new(env!("CARGO_BIN_EXE_deskhand")).with_file_name(name);
        assert!(
            sibling.exists(),
            "{} is missing: run `cargo build --workspace --bins` first",
            sibling.display()
        );
    }
    let mut command = Command::new(program);
    command
        .arg("run")
        .current_dir(folder)
        .env("DESKHAND_HOME", home(folder))
        .stdin(Stdio::null());
    for name in [
        "TICKET_SERVICE_ADDR",
        "TICKET_OPS_ADDR",
        "ASSISTANT_SERVICE_ADDR",
        "GROQ_SIM_ADDR",
    ] {
        command.env(name, "127.0.0.1:0");
    }
    for name in [
        "DATABASE_URL",
        "GROQ_API_KEY",
        "GROQ_BASE_URL",
        "GROQ_MODEL",
        "RUST_LOG",
        "LOG_FORMAT",
    ] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn home(folder: &Path) -> PathBuf {
    folder.join("home")
}

/// A launcher that runs, and what it says. Killed when dropped, which its children do not survive.
pub(crate) struct Launcher {
    child: Child,
    said: Arc<Mutex<String>>,
    run_file: PathBuf,
}

impl Launcher {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::spawn(command(Path::new(env!("CARGO_BIN_EXE_deskhand")), folder), folder)
    }

    pub(crate) fn spawn(mut command: Command, folder: &Path) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (of_out, of_err) = (Arc::clone(&said), Arc::clone(&said));
        thread::spawn(move || {
            BufReader::new(out)
                .lines()
                .map_while(Result::ok)
                .for_each(|line| push(&of_out, &line))
        });
        thread::spawn(move || {
            BufReader::new(err)
                .lines()
                .map_while(Result::ok)
                .for_each(|line| push(&of_err, &line))
        });
        Self {
            child,
            said,
            run_file: home(folder).join("run.json"),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it is ready; returns what `run.json` says.
    pub(crate) fn ready(&mut self) -> Value {
        self.says("Ctrl-C stops everything");
        serde_json::from_str(&fs::read_to_string(&self.run_file).unwrap()).unwrap()
    }

    /// Waits until it says so.
    pub(crate) fn says(&mut self, text: &str) {
        let deadline = Instant::now() + READY_WITHIN;
        while !self.said().contains(text) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "it does not say {text:?} ({ended:?}): {}",
                self.said()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(to_pid(self.pid()), signal).unwrap();
    }

    /// Waits for its end; returns how it ended and all that it said.
    pub(crate) fn ended(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + ENDED_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // The reading threads hold the text too, until they have read the last line.
                wait_for("the end of its output", || Arc::strong_count(&self.said) == 1);
                return (status, self.said());
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn push(said: &Mutex<String>, line: &str) {
    let mut said = said.lock().unwrap();
    said.push_str(line);
    said.push('\n');
}

/// Everything that `run.json` names as a process.
pub(crate) fn pids(run_file: &Value) -> Vec<u32> {
    run_file["pids"]
        .as_object()
        .unwrap()
        .values()
        .map(|pid| u32::try_from(pid.as_u64().unwrap()).unwrap())
        .collect()
}

pub(crate) fn wait_until_gone(pids: &[u32]) {
    wait_for("the end of all processes", || !pids.iter().any(|&pid| runs(pid)));
}

pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + ENDED_WITHIN;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the process runs; one that nobody has waited for yet does not.
pub(crate) fn runs(pid: u32) -> bool {
    if cfg!(target_os = "linux") {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        return status
            .lines()
            .any(|line| line.starts_with("State:") && !line.contains('Z'));
    }
    local_postgres::process::exists(pid)
}

pub(crate) fn kill(pid: u32) {
    kill_process(to_pid(pid), Signal::KILL).unwrap();
}

fn to_pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

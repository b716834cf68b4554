//! A system whose ticket-service can be killed and started again at the same address: nobody else is there to take over.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use local_postgres::Cluster;
use local_postgres::process::{OnParentDeath, spawn_tied};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::launch_support::wait_for;

/// Its processes end with it, and with the test process.
pub(crate) struct Parts {
    /// `host:port` of ticket-service.
    pub(crate) ticket_service: String,
    assistant_service: String,
    running: Option<Child>,
    others: Vec<Child>,
    folder: TempDir,
    cluster: Cluster,
}

impl Parts {
    pub(crate) fn start() -> Self {
        let cluster = local_postgres::throwaway().unwrap();
        cluster.create_database("desk").unwrap();
        let [sim, assistant_service, ticket_service] = free_addresses();
        let mut parts = Self {
            ticket_service,
            assistant_service: assistant_service.clone(),
            running: None,
            others: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
            cluster,
        };
        let mut command = program("groq-sim");
        command.env("GROQ_SIM_ADDR", &sim);
        parts.others.push(spawn(command));
        let mut command = program("assistant-service");
        command
            .env("ASSISTANT_SERVICE_ADDR", &assistant_service)
            .env("ASSISTANT_OPS_ADDR", "127.0.0.1:0")
            .env("GROQ_BASE_URL", format!("http://{sim}"))
            .env("GROQ_API_KEY", "simulated");
        parts.others.push(spawn(command));
        for address in [sim, assistant_service] {
            wait_for(&address, || TcpStream::connect(&address).is_ok());
        }
        assert!(parts.ticket_service_command("migrate").status().unwrap().success());
        parts.start_ticket_service();
        parts
    }

    /// At its address, until it is healthy.
    pub(crate) fn start_ticket_service(&mut self) {
        assert!(self.running.is_none(), "it runs");
        self.running = Some(spawn(self.ticket_service_command("serve")));
        wait_for("ticket-service", || {
            self.ticket_service_command("health").status().unwrap().success()
        });
    }

    /// `kill -9`.
    pub(crate) fn kill_ticket_service(&mut self) {
        self.end_ticket_service(Signal::KILL);
    }

    /// As one that is deployed anew.
    pub(crate) fn stop_ticket_service(&mut self) {
        self.end_ticket_service(Signal::TERM);
    }

    fn end_ticket_service(&mut self, how: Signal) {
        let mut running = self.running.take().unwrap();
        kill_process(Pid::from_child(&running), how).unwrap();
        running.wait().unwrap();
    }

    fn ticket_service_command(&self, word: &str) -> Command {
        let mut command = program("ticket-service");
        command
            .arg(word)
            .env("TICKET_SERVICE_ADDR", &self.ticket_service)
            .env("TICKET_OPS_ADDR", "127.0.0.1:0")
            .env("DATABASE_URL", self.cluster.url("desk"))
            .env("ASSISTANT_URL", format!("http://{}", self.assistant_service))
            .env("DESKHAND_SECRET_FILE", self.folder.path().join("secret"))
            .env("SIGNING_KEYS_DIR", self.folder.path().join("keys"));
        command
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for child in self.running.iter_mut().chain(&mut self.others) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(command: Command) -> Child {
    spawn_tied(command, OnParentDeath::Kill).unwrap()
}

fn program(name: &str) -> Command {
    let path = Path::new(env!("CARGO_BIN_EXE_deskhand")).with_file_name(name);
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --workspace --bins` first",
        path.display()
    );
    let mut command = Command::new(path);
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Free a moment ago, and different from each other.
fn free_addresses<const N: usize>() -> [String; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().to_string())
}

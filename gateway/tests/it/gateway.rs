//! A gateway alone, before whatever a test puts behind it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use local_postgres::process::{OnParentDeath, spawn_tied};
use tempfile::TempDir;

use crate::system::until;
use crate::tools;

/// Where nothing listens.
pub(crate) const NOWHERE: &str = "127.0.0.1:1";

/// A gateway, stopped when dropped.
pub(crate) struct Gateway {
    process: Child,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

impl Gateway {
    /// Before a service, with further variables.
    pub(crate) async fn before(ticket_service: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command
            .arg("run")
            .env_clear()
            .env("ENVOY_BIN", tools::envoy())
            .env("GATEWAY_ADDR", address.to_string())
            .env("GATEWAY_DIR", folder.path().join("files"))
            .env("GATEWAY_THREADS", "1")
            .env("TICKET_SERVICE_UPSTREAM", ticket_service)
            .env("TICKET_OPS_UPSTREAM", NOWHERE)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut gateway = Self {
            process: spawn_tied(command, OnParentDeath::Kill).unwrap(),
            address,
            folder,
        };
        until("the gateway", async || {
            let ended = gateway.process.try_wait().unwrap();
            assert!(ended.is_none(), "the gateway ended: {}", gateway.log());
            gateway::probe::lives(address).is_ok()
        })
        .await;
        gateway
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What Envoy's administration says.
    pub(crate) async fn admin(&self, path: &str) -> String {
        let address = fs::read_to_string(self.folder.path().join("files/admin")).unwrap();
        let answer = client().get(format!("http://{address}{path}")).send().await.unwrap();
        answer.text().await.unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> crate::client::Answer {
        crate::client::Answer::of(client().get(self.url(path))).await
    }
}

/// One that asks from this machine, and waits.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // For whoever reads why the test failed. Envoy writes its log every half a second.
            std::thread::sleep(Duration::from_secs(1));
            let log = self.log();
            let odd = log
                .lines()
                .rev()
                .filter(|line| !line.contains("\"status\":200"))
                .take(20);
            eprintln!(
                "the gateway's last lines that are no 200, the newest first:\n{}",
                odd.collect::<Vec<_>>().join("\n")
            );
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

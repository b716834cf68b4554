//! A desk with two replicas of ticket-service behind one gateway, each a process that can be stopped and started again.

use std::fs::{self, File, Permissions};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use local_postgres::Cluster;
use local_postgres::process::{Ask, OnParentDeath, signal, spawn_tied, wait_at_most};
use serde_json::Value;
use sqlx::PgPool;
use tempfile::TempDir;

use crate::gateway::Gateway;
use crate::system::until;

/// What a replica may take to end: its drain, and what it keeps at its end.
const ENDS_WITHIN: Duration = Duration::from_secs(25);

/// The whole; everything ends with it.
pub(crate) struct Replicas {
    pub(crate) gateway: Gateway,
    replicas: [Replica; 2],
    /// To look at what is kept.
    database: PgPool,
    desk: Desk,
    _beside: [Process; 2],
    _cluster: Cluster,
}

/// What all of them need.
struct Desk {
    folder: TempDir,
    database_url: String,
    assistant: SocketAddr,
}

struct Replica {
    grpc: SocketAddr,
    ops: SocketAddr,
    process: Option<Process>,
}

/// A process, killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Replicas {
    /// All of them are well when it returns.
    pub(crate) async fn start() -> Self {
        let cluster = tokio::task::spawn_blocking(|| local_postgres::throwaway().unwrap())
            .await
            .unwrap();
        cluster.create_database("desk").unwrap();
        let (provider, assistant) = (free(), free());
        let desk = Desk {
            folder: tempfile::Builder::new()
                .permissions(Permissions::from_mode(0o711))
                .tempdir()
                .unwrap(),
            database_url: cluster.url("desk"),
            assistant,
        };
        let beside = [
            desk.spawn(
                "groq-sim",
                &[],
                &[
                    ("GROQ_SIM_ADDR", provider.to_string()),
                    ("GROQ_SIM_LIMIT_REQUESTS_MINUTE", "0".to_owned()),
                    ("GROQ_SIM_LIMIT_TOKENS", "1000000000".to_owned()),
                ],
            ),
            desk.spawn(
                "assistant-service",
                &[],
                &[
                    ("ASSISTANT_SERVICE_ADDR", assistant.to_string()),
                    ("GROQ_BASE_URL", format!("http://{provider}")),
                    ("GROQ_API_KEY", "simulated".to_owned()),
                ],
            ),
        ];
        let mut migration = desk.spawn("ticket-service", &["migrate"], &[]);
        let migrated = tokio::task::spawn_blocking(move || migration.0.wait().unwrap())
            .await
            .unwrap();
        assert!(migrated.success(), "{}", desk.log("ticket-service"));
        let mut replicas = [(); 2].map(|()| Replica {
            grpc: free(),
            ops: free(),
            process: None,
        });
        for replica in &mut replicas {
            desk.start(replica).await;
        }
        let all = |address: fn(&Replica) -> SocketAddr| {
            let [first, second] = [&replicas[0], &replicas[1]].map(address);
            format!("{first},{second}")
        };
        let settings = [
            ("GATEWAY_THREADS", "2"),
            ("GATEWAY_JWKS_SECONDS", "1"),
            ("GATEWAY_REQUESTS_PER_SECOND", "0"),
            ("GATEWAY_COSTLY_REQUESTS_PER_SECOND", "0"),
            ("TICKET_OPS_UPSTREAM", &all(|replica| replica.ops)),
        ];
        let started = Self {
            gateway: Gateway::before(&all(|replica| replica.grpc), &settings).await,
            replicas,
            database: PgPool::connect(&desk.database_url).await.unwrap(),
            desk,
            _beside: beside,
            _cluster: cluster,
        };
        started.until_well().await;
        started
    }

    /// Tells one to stop, as a deployment does, and waits for its end.
    pub(crate) async fn stop(&mut self, index: usize) {
        let mut process = self.replicas[index].process.take().unwrap();
        signal(&process.0, Ask::Terminate).unwrap();
        let ended = tokio::task::spawn_blocking(move || wait_at_most(&mut process.0, ENDS_WITHIN).unwrap());
        let ended = ended.await.unwrap();
        assert!(
            ended.is_some_and(|status| status.success()),
            "{ended:?}: {}",
            self.desk.log("ticket-service")
        );
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, index: usize) {
        self.replicas[index].process = None;
    }

    /// Starts it again; it gets calls when this returns.
    pub(crate) async fn start_again(&mut self, index: usize) {
        self.desk.start(&mut self.replicas[index]).await;
        self.until_well().await;
    }

    /// Calls that the gateway made to a replica so far.
    pub(crate) async fn calls(&self, index: usize) -> u64 {
        let port = self.replicas[index].grpc.port();
        let hosts = self.hosts().await;
        let host = hosts
            .iter()
            .find(|host| host["address"]["socket_address"]["port_value"] == port);
        let stats = host.unwrap()["stats"].as_array().unwrap();
        let total = stats.iter().find(|stat| stat["name"] == "rq_total").unwrap();
        total
            .get("value")
            .map_or(0, |value| value.as_str().unwrap().parse().unwrap())
    }

    /// How many replicas write an answer to this customer that was begun just now, and have kept its first words.
    pub(crate) async fn begin_to_answer(&self, email: &str) -> i64 {
        let writing = "SELECT count(DISTINCT owner) FROM replies JOIN users ON users.id = requested_by \
                       WHERE email = $1 AND state = 'RUNNING' AND replies.create_time > now() - interval '1.5 seconds' \
                       AND EXISTS (SELECT FROM reply_chunks WHERE reply_id = replies.id)";
        let query = sqlx::query_scalar(writing).bind(email);
        query.fetch_one(&self.database).await.unwrap()
    }

    /// Replicas as the gateway sees them.
    async fn hosts(&self) -> Vec<Value> {
        let said: Value = serde_json::from_str(&self.gateway.admin("/clusters?format=json").await).unwrap();
        let clusters = said["cluster_statuses"].as_array().unwrap();
        let cluster = clusters.iter().find(|cluster| cluster["name"] == "ticket_service");
        cluster.unwrap()["host_statuses"].as_array().unwrap().clone()
    }

    async fn until_well(&self) {
        until("the gateway finding all replicas well", async || {
            let hosts = self.hosts().await;
            let is_well = |host: &&Value| host["health_status"] == serde_json::json!({"eds_health_status": "HEALTHY"});
            hosts.iter().filter(is_well).count() == self.replicas.len()
        })
        .await;
    }
}

impl Desk {
    async fn start(&self, replica: &mut Replica) {
        let process = self.spawn(
            "ticket-service",
            &["serve"],
            &[
                ("TICKET_SERVICE_ADDR", replica.grpc.to_string()),
                ("TICKET_OPS_ADDR", replica.ops.to_string()),
            ],
        );
        replica.process = Some(process);
        until("a replica", async || {
            service_kit::probe::healthy(replica.grpc).await.is_ok()
        })
        .await;
    }

    fn spawn(&self, program: &str, arguments: &[&str], variables: &[(&str, String)]) -> Process {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_of(program))
            .unwrap();
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_gateway")).with_file_name(program));
        command
            .args(arguments)
            .env_clear()
            .env("NO_COLOR", "1")
            .env("DATABASE_URL", &self.database_url)
            .env("DESKHAND_SECRET_FILE", self.folder.path().join("secret"))
            .env("SIGNING_KEYS_DIR", self.folder.path().join("keys"))
            .env("ASSISTANT_URL", format!("http://{}", self.assistant))
            .env("LOGIN_FAILURES_PER_ADDRESS", "0")
            .env("CUSTOMER_ASKS_PER_HOUR", "0")
            .env("USER_TOKENS_PER_DAY", "0")
            .env("DESK_TOKENS_PER_DAY", "0")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Process(spawn_tied(command, OnParentDeath::Kill).unwrap())
    }

    fn log_of(&self, program: &str) -> PathBuf {
        self.folder.path().join(program).with_extension("log")
    }

    fn log(&self, program: &str) -> String {
        fs::read_to_string(self.log_of(program)).unwrap_or_default()
    }
}

/// An address that nobody listens on.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

//! A ticket-service of a release build, on a throw-away PostgreSQL.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use deskhand_proto::accounts::v1::auth_service_client::AuthServiceClient;
use deskhand_proto::accounts::v1::{LogInRequest, LogInResponse, SignUpRequest};
use local_postgres::process::{OnParentDeath, spawn_tied};
use local_postgres::{Cluster, Durability, Options};
use tempfile::TempDir;
use tonic::Status;
use tonic::transport::Channel;

use crate::table::quantile;

pub(crate) const PASSWORD: &str = "correct horse battery";
/// Accounts of the desk, `user0@example.com` and so on, all with that password.
pub(crate) const USERS: usize = 2000;

const DATABASE: &str = "bench";
const READY_WITHIN: Duration = Duration::from_secs(30);

/// The service and what it needs; stopped when dropped.
pub(crate) struct Desk {
    service: Service,
    cluster: Cluster,
    state: TempDir,
    variables: Vec<(&'static str, String)>,
    /// Where a durable cluster stands; gone after it.
    folder: Option<TempDir>,
}

/// One process of it.
pub(crate) struct Service {
    process: Child,
    address: SocketAddr,
}

impl Desk {
    /// Starts it, with accounts.
    pub(crate) async fn open() -> anyhow::Result<Self> {
        Self::on(local_postgres::throwaway()?, Vec::new()).await
    }

    /// The same with further variables.
    pub(crate) async fn with(variables: Vec<(&'static str, String)>) -> anyhow::Result<Self> {
        Self::on(local_postgres::throwaway()?, variables).await
    }

    /// The same on a database that keeps what it commits, with further variables.
    pub(crate) async fn durable(variables: Vec<(&'static str, String)>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        // PostgreSQL runs as another user.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let cluster = Cluster::start(&Options {
            dir: folder.path().join("postgres"),
            durability: Durability::Durable,
        })?;
        let mut desk = Self::on(cluster, variables).await?;
        desk.folder = Some(folder);
        Ok(desk)
    }

    async fn on(cluster: Cluster, variables: Vec<(&'static str, String)>) -> anyhow::Result<Self> {
        cluster.create_database(DATABASE)?;
        let state = tempfile::tempdir()?;
        ensure!(
            command("migrate", &cluster, &state)?.status()?.success(),
            "the database could not be migrated"
        );
        let service = Service::start(&cluster, &state, &variables).await?;
        let desk = Self {
            service,
            cluster,
            state,
            variables,
            folder: None,
        };
        desk.fill().await?;
        Ok(desk)
    }

    /// Another process of the same desk.
    pub(crate) async fn replica(&self) -> anyhow::Result<Service> {
        Service::start(&self.cluster, &self.state, &self.variables).await
    }

    /// One account is made as anyone makes it; the others share its hash.
    async fn fill(&self) -> anyhow::Result<()> {
        let first = SignUpRequest {
            email: "first@example.com".to_owned(),
            password: PASSWORD.to_owned(),
            display_name: "First".to_owned(),
        };
        self.client().await?.sign_up(first).await?;
        self.execute(&format!(
            "INSERT INTO users (id, email, display_name, password_hash, role)
             SELECT gen_random_uuid(), 'user' || n || '@example.com', 'User', password_hash, role
             FROM users, generate_series(0, {USERS} - 1) n"
        ))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.service.address
    }

    pub(crate) fn execute(&self, sql: &str) -> anyhow::Result<()> {
        Ok(self.cluster.execute(DATABASE, sql)?)
    }

    /// A client with a connection of its own.
    pub(crate) async fn client(&self) -> anyhow::Result<AuthServiceClient<Channel>> {
        Ok(AuthServiceClient::new(self.channel().await?))
    }

    /// A connection.
    pub(crate) async fn channel(&self) -> anyhow::Result<Channel> {
        self.service.channel().await
    }

    /// The middle of what a commit of one row takes, alone on the database, by pgbench.
    pub(crate) fn commit(&self, time: Duration) -> anyhow::Result<Duration> {
        self.execute("CREATE TABLE IF NOT EXISTS commits (n bigint)")?;
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("commit.sql");
        std::fs::write(&script, "INSERT INTO commits VALUES (1);\n")?;
        let mut pgbench = Command::new(self.cluster.binaries().program("pgbench"));
        pgbench
            .current_dir(folder.path())
            .args(["-n", "-M", "prepared", "-c", "1", "--log", "-T"]);
        pgbench
            .arg(time.as_secs().max(1).to_string())
            .arg("-f")
            .arg(&script)
            .arg(self.cluster.url(DATABASE));
        let output = pgbench.output()?;
        ensure!(
            output.status.success(),
            "pgbench: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut times = Vec::new();
        for entry in std::fs::read_dir(folder.path())? {
            let path = entry?.path();
            if path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("pgbench_log"))
            {
                let log = std::fs::read_to_string(path)?;
                // The third column is the time of one transaction.
                let taken = log.lines().filter_map(|line| line.split(' ').nth(2)?.parse().ok());
                times.extend(taken.map(Duration::from_micros));
            }
        }
        Ok(quantile(&mut times, 500))
    }

    /// How many threads of that name the service has.
    pub(crate) fn threads(&self, name: &str) -> anyhow::Result<usize> {
        let mut count = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.service.process.id()))? {
            count += usize::from(std::fs::read_to_string(thread?.path().join("comm"))?.trim() == name);
        }
        Ok(count)
    }

    /// Memory that the service has in use, and the most it ever had, in KiB.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<(u64, u64)> {
        resident_kib(self.service.process.id())
    }
}

impl Service {
    async fn start(cluster: &Cluster, state: &TempDir, variables: &[(&str, String)]) -> anyhow::Result<Self> {
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let at_address = |word| -> anyhow::Result<Command> {
            let mut command = command(word, cluster, state)?;
            command.env("TICKET_SERVICE_ADDR", address.to_string());
            command.envs(variables.iter().map(|(name, value)| (name, value)));
            Ok(command)
        };
        let process = spawn_tied(at_address("serve")?, OnParentDeath::Kill)?;
        let service = Self { process, address };
        let began = Instant::now();
        while !at_address("health")?.output()?.status.success() {
            ensure!(began.elapsed() < READY_WITHIN, "ticket-service does not become healthy");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(service)
    }

    /// A connection.
    pub(crate) async fn channel(&self) -> anyhow::Result<Channel> {
        Ok(Channel::from_shared(format!("http://{}", self.address))?
            .connect()
            .await?)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(word: &str, cluster: &Cluster, state: &TempDir) -> anyhow::Result<Command> {
    let mut command = Command::new(beside_this_program("ticket-service")?);
    command
        .arg(word)
        .env_clear()
        .env("DATABASE_URL", cluster.url(DATABASE))
        .env("TICKET_OPS_ADDR", "127.0.0.1:0")
        .env("DESKHAND_SECRET_FILE", state.path().join("secret"))
        .env("SIGNING_KEYS_DIR", state.path().join("keys"))
        .env("LOGIN_FAILURES_PER_ADDRESS", "0")
        .env("RUST_LOG", "warn");
    Ok(command)
}

/// Logs in.
pub(crate) async fn log_in(
    client: &mut AuthServiceClient<Channel>,
    email: String,
    password: &str,
) -> Result<LogInResponse, Status> {
    let request = LogInRequest {
        email,
        password: password.to_owned(),
    };
    client.log_in(request).await.map(tonic::Response::into_inner)
}

pub(crate) fn beside_this_program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(
        path.exists(),
        "{} is missing: `cargo build --release -p {name}`",
        path.display()
    );
    Ok(path)
}

/// Memory that a process has in use, and the most it ever had, in KiB.
pub(crate) fn resident_kib(process: u32) -> anyhow::Result<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .with_context(|| name.to_owned())?;
        Ok::<u64, anyhow::Error>(line.trim().trim_end_matches("kB").trim().parse()?)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

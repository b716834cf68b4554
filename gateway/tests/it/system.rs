//! A whole system, as `deskhand run --gateway` starts it, in a folder of its own.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use local_postgres::process::{OnParentDeath, spawn_tied};
use serde_json::Value;
use sqlx::PgPool;
use tempfile::TempDir;

use crate::client::PASSWORD;
use crate::tools;

/// A cold first start makes a database cluster; other tests may keep the machine busy.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// Longer than anything here takes; for waits that end when what they wait for happens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running system, killed when dropped, which its parts do not survive.
pub(crate) struct System {
    launcher: Child,
    run_file: Value,
    folder: TempDir,
}

impl System {
    /// The system that the tests of this process have in common.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<System>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::with(&[]));
        *shared = Arc::downgrade(&started);
        started
    }

    /// A system of its own, with further variables.
    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
        // PostgreSQL's user has to pass through when the tests run as root.
        let folder = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o711))
            .tempdir()
            .unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_gateway")).with_file_name("deskhand");
        assert!(program.exists(), "run `cargo build --workspace --bins` first");
        let said = File::create(folder.path().join("said")).unwrap();
        let mut command = Command::new(program);
        command
            .args(["run", "--gateway"])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DESKHAND_HOME", folder.path().join("home"))
            .env("ENVOY_BIN", tools::envoy())
            .env("RUST_LOG", "debug")
            .env("GATEWAY_THREADS", "2")
            .env("GATEWAY_JWKS_SECONDS", "1")
            .env("GROQ_SIM_TTFT_MS", "20")
            .env("GROQ_SIM_TOKEN_MS", "1")
            // All tests call from one address.
            .env("LOGIN_FAILURES_PER_ADDRESS", "0")
            .env("GATEWAY_REQUESTS_PER_SECOND", "0")
            .env("GATEWAY_COSTLY_REQUESTS_PER_SECOND", "0")
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said);
        for name in [
            "TICKET_SERVICE_ADDR",
            "TICKET_OPS_ADDR",
            "ASSISTANT_SERVICE_ADDR",
            "GROQ_SIM_ADDR",
            "GATEWAY_ADDR",
        ] {
            command.env(name, "127.0.0.1:0");
        }
        command.envs(variables.iter().copied());
        let mut system = Self {
            launcher: spawn_tied(command, OnParentDeath::Kill).unwrap(),
            run_file: Value::Null,
            folder,
        };
        let began = Instant::now();
        let run_file = system.home().join("run.json");
        while !run_file.exists() {
            let ended = system.launcher.try_wait().unwrap();
            let said = || fs::read_to_string(system.folder.path().join("said")).unwrap_or_default();
            assert!(
                ended.is_none() && began.elapsed() < READY_WITHIN,
                "no system ({ended:?}): {}",
                said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        system.run_file = serde_json::from_str(&fs::read_to_string(run_file).unwrap()).unwrap();
        system
    }

    /// Where everything of it is kept.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// What its parts say of themselves.
    pub(crate) fn fact(&self, name: &str) -> &str {
        self.run_file[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {}", self.run_file))
    }

    /// The gateway's address, without a scheme.
    pub(crate) fn address(&self) -> &str {
        self.fact("gateway")
    }

    /// The URL of something at the gateway.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// E-mail address and password of the throw-away admin.
    pub(crate) fn admin(&self) -> (&str, &str) {
        let admin = &self.run_file["admin"];
        (admin["email"].as_str().unwrap(), admin["password"].as_str().unwrap())
    }

    /// What a part has logged so far.
    pub(crate) fn log(&self, part: &str) -> String {
        fs::read_to_string(self.home().join("logs").join(format!("{part}.log"))).unwrap_or_default()
    }

    /// To look at what is kept.
    pub(crate) async fn database(&self) -> PgPool {
        PgPool::connect(self.fact("database_url")).await.unwrap()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // For whoever reads why the test failed.
            let log = self.log("gateway");
            let last: Vec<_> = log.lines().rev().take(8).collect();
            eprintln!("the gateway's last lines, the newest first:\n{}", last.join("\n"));
        }
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
        if !std::thread::panicking() {
            for secret in [PASSWORD, self.admin().1] {
                listening::hear_of(secret);
            }
            listening::check_logs(&self.home().join("logs"));
        }
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

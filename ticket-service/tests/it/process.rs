//! The program itself: its commands, its exit codes, its end.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use deskhand_proto::accounts::v1::LogInRequest;
use deskhand_proto::accounts::v1::auth_service_client::AuthServiceClient;

use crate::harness::{Desk, PATIENCE, database};

pub(crate) struct Program {
    pub(crate) state: tempfile::TempDir,
    pub(crate) database_url: String,
}

impl Program {
    pub(crate) async fn new() -> Self {
        Self {
            state: tempfile::tempdir().unwrap(),
            database_url: database().await,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ticket-service"));
        command
            .args(arguments)
            .env_clear()
            .env("DATABASE_URL", &self.database_url)
            .env("DESKHAND_SECRET_FILE", self.state.path().join("secret"))
            .env("SIGNING_KEYS_DIR", self.state.path().join("keys"))
            .env("TICKET_OPS_ADDR", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

/// A server as a process, killed when dropped.
pub(crate) struct Server(Child, pub(crate) String);

impl Server {
    pub(crate) async fn start(program: &Program) -> Self {
        Self::start_with(program, |_| {}).await
    }

    /// With what else is to be set.
    pub(crate) async fn start_with(program: &Program, set: impl FnOnce(&mut Command)) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .to_string();
        let mut command = program.command(&["serve", "--listen", &free]);
        set(&mut command);
        let mut child = command.spawn().unwrap();
        if let Some(log) = child.stderr.take() {
            listening::follow(log);
        }
        let server = Self(child, free);
        let began = Instant::now();
        while !program
            .command(&["health", "--listen", &server.1])
            .output()
            .unwrap()
            .status
            .success()
        {
            assert!(began.elapsed() < PATIENCE, "it becomes healthy");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }
}

impl Server {
    /// Another replica of a desk, as a process.
    pub(crate) async fn replica_of(desk: &Desk) -> Self {
        Self::replica_with(desk, &[]).await
    }

    /// The same without budgets.
    pub(crate) async fn busy_replica_of(desk: &Desk) -> Self {
        let endless = [
            "CUSTOMER_ASKS_PER_HOUR",
            "STAFF_ASKS_PER_HOUR",
            "USER_TOKENS_PER_DAY",
            "DESK_TOKENS_PER_DAY",
        ];
        Self::replica_with(desk, &endless.map(|name| (name, "0"))).await
    }

    async fn replica_with(desk: &Desk, variables: &[(&str, &str)]) -> Self {
        let program = Program {
            state: tempfile::tempdir().unwrap(),
            database_url: desk.database_url.clone(),
        };
        Self::start_with(&program, |command| {
            command
                .env("DESKHAND_SECRET_FILE", desk.secret_file())
                .env("SIGNING_KEYS_DIR", desk.keys_dir())
                .env("ASSISTANT_URL", format!("http://{}", desk.assistant))
                .envs(variables.iter().copied())
                .env("RUST_LOG", "debug")
                .stdout(Stdio::null());
        })
        .await
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Sends a signal to it.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), signal).unwrap();
    }

    /// A channel to it.
    pub(crate) async fn channel(&self) -> tonic::transport::Channel {
        listening::connect(&self.1).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn it_serves_until_it_is_told_to_stop() {
    let program = Program::new().await;
    let mut server = Server::start(&program).await;
    // A connection that never says anything must not hold it.
    let _silent = std::net::TcpStream::connect(&server.1).unwrap();
    let pid = rustix::process::Pid::from_child(&server.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = server.0.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it stops within its bound");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((status.code(), status.signal()), (Some(0), None));
}

#[tokio::test]
async fn the_first_admin_is_made_once() {
    let program = Program::new().await;
    let arguments = ["create-admin", "--email", "Root@example.com", "--password-stdin"];
    let made = program.run(&arguments, "correct horse\n");
    assert!(made.status.success(), "{}", text(&made.stderr));
    let again = program.run(
        &["create-admin", "--email", "other@example.com", "--password-stdin"],
        "correct horse",
    );
    assert_eq!(again.status.code(), Some(3), "{}", text(&again.stderr));

    let server = Server::start(&program).await;
    let mut auth = AuthServiceClient::connect(format!("http://{}", server.1))
        .await
        .unwrap();
    let log_in = LogInRequest {
        email: "root@example.com".into(),
        password: "correct horse".into(),
    };
    let user = auth.log_in(log_in).await.unwrap().into_inner().user.unwrap();
    assert_eq!(user.role(), deskhand_proto::accounts::v1::Role::Admin);
}

#[tokio::test]
async fn an_admin_s_password_must_be_one() {
    let program = Program::new().await;
    let refused = program.run(
        &["create-admin", "--email", "root@example.com", "--password-stdin"],
        "short",
    );
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("at least 8 characters"),
        "{}",
        text(&refused.stderr)
    );
    let no_flag = program.run(&["create-admin", "--email", "root@example.com"], "correct horse");
    assert_eq!(no_flag.status.code(), Some(2));
}

#[tokio::test]
async fn a_database_without_a_schema_is_named_as_the_trouble() {
    let mut program = Program::new().await;
    let admin = sqlx::PgPool::connect(&program.database_url).await.unwrap();
    let name: String = sqlx::query_scalar("SELECT current_database()")
        .fetch_one(&admin)
        .await
        .unwrap();
    sqlx::raw_sql("CREATE DATABASE never_migrated")
        .execute(&admin)
        .await
        .unwrap();
    admin.close().await;
    program.database_url = program.database_url.replace(&name, "never_migrated");
    let refused = program.run(&["serve", "--listen", "127.0.0.1:0"], "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("ticket-service migrate"),
        "{}",
        text(&refused.stderr)
    );
    assert!(program.run(&["migrate"], "").status.success());
    assert!(
        program.run(&["migrate"], "").status.success(),
        "a second time it changes nothing"
    );
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_is_named() {
    let program = Program::new().await;
    for (variable, value) in [
        ("TICKET_SERVICE_ADDR", "nowhere"),
        ("TICKET_OPS_ADDR", "192.0.2.1:9101"),
        ("ARGON2_SLOTS", "many"),
        ("ARGON2_MEMORY_KIB", "19455"),
        ("ARGON2_PASSES", "1"),
        ("LOGIN_FAILURES_PER_ADDRESS", "-1"),
        ("MAILER", "pigeon"),
        ("MAIL_FROM", "nobody"),
        ("PASSWORD_MIN_LENGTH", "7"),
        ("PASSWORD_PEPPER_FILE", "/dev/null/pepper"),
        ("PUBLIC_URL", "desk"),
        ("TRUSTED_PROXIES", "everyone"),
        ("ASSISTANT_URL", "not a url"),
        ("RUST_LOG", "=="),
        ("LOG_FORMAT", "xml"),
        ("DATABASE_URL", "mysql://x"),
        ("SIGNING_KEYS_DIR", "/dev/null/keys"),
        ("DESKHAND_SECRET_FILE", "/dev/null/secret"),
    ] {
        let mut command = program.command(&["serve"]);
        let output = command
            .env("TICKET_SERVICE_ADDR", "127.0.0.1:0")
            .env(variable, value)
            .output()
            .unwrap();
        assert!(!output.status.success(), "{variable}");
        let said = text(&output.stderr);
        let flag = variable.to_lowercase().replace('_', "-");
        let named = said.contains(variable)
            || said.contains(&flag)
            || (variable == "TICKET_SERVICE_ADDR" && said.contains("--listen"));
        assert!(named, "{variable}: {said}");
    }
}

#[tokio::test]
async fn the_contracts_come_out_as_they_were_compiled() {
    let printed = Program::new().await.run(&["descriptors"], "");
    assert!(printed.status.success());
    assert_eq!(printed.stdout, deskhand_proto::FILE_DESCRIPTOR_SET);
}

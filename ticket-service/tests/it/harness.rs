//! A desk of its own for each test: a database cloned from a migrated template, the service on a free port, and behind it
//! the real assistant-service and the simulated provider.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use assistant_service::settings::Cli;
use clap::Parser as _;
use deskhand_proto::accounts::v1::auth_service_client::AuthServiceClient;
use deskhand_proto::accounts::v1::user_service_client::UserServiceClient;
use deskhand_proto::accounts::v1::{LogInRequest, SignUpRequest};
use deskhand_proto::feed::v1::feed_service_client::FeedServiceClient;
use deskhand_proto::replies::v1::reply_event::Event;
use deskhand_proto::replies::v1::reply_service_client::ReplyServiceClient;
use deskhand_proto::replies::v1::{StreamReplyRequest, StreamReplyResponse};
use deskhand_proto::tickets::v1::ticket_service_client::TicketServiceClient;
use deskhand_proto::tickets::v1::{CreateTicketRequest, PostMessageRequest};
use local_postgres::Cluster;
use sqlx::PgPool;
use tempfile::TempDir;
use ticket_service::Listeners;
use ticket_service::settings::Program;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt as _;

/// Longer than anything here takes; for waits that end when what they wait for happens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const PASSWORD: &str = "correct horse battery";

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static TEMPLATE: Mutex<bool> = Mutex::const_new(false);
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A desk, running until it is dropped.
pub(crate) struct Desk {
    pub(crate) address: SocketAddr,
    /// Of the listener for machines.
    pub(crate) ops: SocketAddr,
    pub(crate) channel: Channel,
    pub(crate) sim: groq_sim::Running,
    /// To look at what is kept, and to arrange what no RPC can.
    pub(crate) pool: PgPool,
    pub(crate) database_url: String,
    pub(crate) assistant: SocketAddr,
    state: Arc<TempDir>,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<anyhow::Result<()>>>,
    _stop_assistant: Option<oneshot::Sender<()>>,
}

/// Someone with an account, logged in.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) token: String,
}

impl User {
    /// A request by this user.
    pub(crate) fn asks<T>(&self, message: T) -> Request<T> {
        with_token(message, &self.token)
    }
}

/// A request with an access token.
pub(crate) fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// A database of its own, migrated, and its URL.
pub(crate) async fn database() -> String {
    let cluster = CLUSTER.get_or_init(|| local_postgres::throwaway().unwrap());
    let admin = PgPool::connect(&cluster.admin_url()).await.unwrap();
    let name = format!("desk_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut there = TEMPLATE.lock().await;
    if !*there {
        sqlx::raw_sql("CREATE DATABASE template_desk")
            .execute(&admin)
            .await
            .unwrap();
        let program = program(&["--database-url", &cluster.url("template_desk")]);
        ticket_service::db::migrate(&program.serve.database).await.unwrap();
        *there = true;
    }
    let server: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
        .fetch_one(&admin)
        .await
        .unwrap();
    let strategy = if server >= 150_000 { " STRATEGY file_copy" } else { "" };
    let create = format!("CREATE DATABASE {name} TEMPLATE template_desk{strategy}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create))
        .execute(&admin)
        .await
        .unwrap();
    admin.close().await;
    cluster.url(&name)
}

/// The program with these flags only.
pub(crate) fn program(flags: &[&str]) -> Program {
    Program::try_parse_from([&["ticket-service"], flags].concat()).unwrap()
}

impl Desk {
    /// With everything as it comes.
    pub(crate) async fn open() -> Self {
        Self::with(&[]).await
    }

    /// With an assistant that makes one call for each answer, whatever comes of it.
    pub(crate) async fn asking_once() -> Self {
        let once = ["--groq-retries", "0", "--groq-fallback-model", ""];
        let instant = groq_sim::Settings::instant();
        Self::with_all(database().await, &[], &once, instant).await
    }

    /// For many asks: without budgets, limits of the provider's, or a breaker; the provider remembers so many calls.
    pub(crate) async fn busy(calls: usize) -> Self {
        let endless = [
            "--customer-asks-per-hour",
            "0",
            "--staff-asks-per-hour",
            "0",
            "--user-tokens-per-day",
            "0",
            "--desk-tokens-per-day",
            "0",
        ];
        let settings = groq_sim::Settings {
            limits: groq_sim::Limits {
                tokens_per_minute: 1_000_000_000,
                requests_per_day: 1_000_000_000,
                ..groq_sim::Limits::GENEROUS
            },
            keep: groq_sim::Keep { calls },
            ..groq_sim::Settings::instant()
        };
        Self::with_all(database().await, &endless, &["--breaker-failures", "0"], settings).await
    }

    /// With further flags of ticket-service.
    pub(crate) async fn with(flags: &[&str]) -> Self {
        Self::on(database().await, flags).await
    }

    /// On a migrated database.
    pub(crate) async fn on(database_url: String, flags: &[&str]) -> Self {
        Self::with_all(database_url, flags, &[], groq_sim::Settings::instant()).await
    }

    async fn with_all(
        database_url: String,
        flags: &[&str],
        assistant_flags: &[&str],
        provider: groq_sim::Settings,
    ) -> Self {
        let sim = groq_sim::start(provider).await.unwrap();
        let (assistant, stop_assistant) = assistant(&sim.base_url(), assistant_flags).await;
        let state = Arc::new(tempfile::tempdir().unwrap());
        let channel = Channel::from_static("http://127.0.0.1:1").connect_lazy();
        let mut desk = Self {
            address: ([127, 0, 0, 1], 0).into(),
            ops: ([127, 0, 0, 1], 0).into(),
            channel,
            sim,
            pool: PgPool::connect(&database_url).await.unwrap(),
            database_url,
            assistant,
            state,
            stop: None,
            served: None,
            _stop_assistant: Some(stop_assistant),
        };
        desk.start(flags).await;
        desk
    }

    /// Another replica of the same desk: its database, secret and keys, and an address of its own.
    pub(crate) async fn replica(&self) -> Self {
        self.replica_with(&[]).await
    }

    /// Another replica, with further flags.
    pub(crate) async fn replica_with(&self, flags: &[&str]) -> Self {
        let mut replica = Self {
            address: self.address,
            ops: self.ops,
            channel: self.channel.clone(),
            sim: groq_sim::start(groq_sim::Settings::instant()).await.unwrap(),
            pool: self.pool.clone(),
            database_url: self.database_url.clone(),
            assistant: self.assistant,
            state: self.state.clone(),
            stop: None,
            served: None,
            _stop_assistant: None,
        };
        replica.start(flags).await;
        replica
    }

    /// Starts the service; after [`Self::stop`], again.
    pub(crate) async fn start(&mut self, flags: &[&str]) {
        listening::begin();
        let settings = self.program(flags).serve;
        let listeners = Listeners::bind(&settings).await.unwrap();
        self.address = listeners.grpc.local_addr().unwrap();
        self.ops = listeners.ops.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        self.served = Some(tokio::spawn(ticket_service::serve(settings, listeners, async {
            let _ = stopped.await;
        })));
        self.stop = Some(stop);
        self.channel = listening::connect(&self.address.to_string()).await;
    }

    /// Stops the service as a signal would.
    pub(crate) async fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        let served = tokio::time::timeout(PATIENCE, self.served.take().unwrap()).await;
        served.expect("the service stops").unwrap().unwrap();
    }

    /// The program as this desk runs it.
    pub(crate) fn program(&self, flags: &[&str]) -> Program {
        let (secret, keys) = (self.secret_file(), self.keys_dir());
        let assistant = format!("http://{}", self.assistant);
        let own = [
            "--listen",
            "127.0.0.1:0",
            "--ops-listen",
            "127.0.0.1:0",
            "--database-url",
            &self.database_url,
            "--assistant-url",
            &assistant,
            "--secret-file",
            secret.to_str().unwrap(),
            "--signing-keys-dir",
            keys.to_str().unwrap(),
            // All tests call from one address.
            "--login-failures-per-address",
            "0",
        ];
        let own = own
            .chunks(2)
            .filter(|flag| !flags.contains(&flag[0]))
            .flatten()
            .copied();
        program(&own.chain(flags.iter().copied()).collect::<Vec<_>>())
    }

    pub(crate) fn secret_file(&self) -> PathBuf {
        self.state.path().join("secret")
    }

    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.state.path().join("keys")
    }

    pub(crate) fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel.clone())
    }

    pub(crate) fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel.clone())
    }

    pub(crate) fn tickets(&self) -> TicketServiceClient<Channel> {
        TicketServiceClient::new(self.channel.clone())
    }

    pub(crate) fn replies(&self) -> ReplyServiceClient<Channel> {
        ReplyServiceClient::new(self.channel.clone())
    }

    pub(crate) fn feed(&self) -> FeedServiceClient<Channel> {
        FeedServiceClient::new(self.channel.clone())
    }

    /// A new customer.
    pub(crate) async fn customer(&self) -> User {
        let email = format!("customer{}@example.com", NEXT.fetch_add(1, Ordering::Relaxed));
        let new = SignUpRequest {
            email: email.clone(),
            password: PASSWORD.into(),
            display_name: "Ann Example".into(),
        };
        self.auth().sign_up(new).await.unwrap();
        self.log_in(&email).await
    }

    /// A new agent.
    pub(crate) async fn agent(&self) -> User {
        self.staff("AGENT").await
    }

    /// A new admin.
    pub(crate) async fn admin(&self) -> User {
        self.staff("ADMIN").await
    }

    async fn staff(&self, role: &'static str) -> User {
        let customer = self.customer().await;
        let promote = sqlx::query("UPDATE users SET role = $2 WHERE email = $1")
            .bind(&customer.email)
            .bind(role);
        promote.execute(&self.pool).await.unwrap();
        self.log_in(&customer.email).await
    }

    /// Begins another session.
    pub(crate) async fn log_in(&self, email: &str) -> User {
        let request = LogInRequest {
            email: email.into(),
            password: PASSWORD.into(),
        };
        let answer = self.auth().log_in(request).await.unwrap().into_inner();
        User {
            id: answer.user.unwrap().id,
            email: email.into(),
            token: answer.access_token,
        }
    }

    /// A new ticket of this user's, and its id.
    pub(crate) async fn ticket(&self, user: &User) -> String {
        let new = CreateTicketRequest {
            title: "The printer is on fire".into(),
            description: "It burns, and it will not print.".into(),
            ..Default::default()
        };
        let answer = self.tickets().create_ticket(user.asks(new)).await.unwrap();
        answer.into_inner().ticket.unwrap().id
    }

    /// Says something in a ticket.
    pub(crate) async fn say(&self, user: &User, ticket_id: &str, body: &str) {
        let new = PostMessageRequest {
            ticket_id: ticket_id.into(),
            body: body.into(),
            ..Default::default()
        };
        self.tickets().post_message(user.asks(new)).await.unwrap();
    }

    /// Begins a stream of a reply.
    pub(crate) async fn ask(&self, user: &User, ticket_id: &str) -> Listening {
        self.ask_as(
            user,
            StreamReplyRequest {
                ticket_id: ticket_id.into(),
                ..Default::default()
            },
        )
        .await
        .unwrap()
    }

    /// Begins a stream of a reply, by a whole request.
    pub(crate) async fn ask_as(&self, user: &User, request: StreamReplyRequest) -> Result<Listening, Status> {
        Ok(Listening(
            self.replies().stream_reply(user.asks(request)).await?.into_inner(),
        ))
    }

    /// Runs a statement that answers one number.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// Waits until a statement that answers one number answers this one.
    pub(crate) async fn until_count(&self, sql: &'static str, count: i64) {
        let until = async {
            while self.count(sql).await != count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, until).await.expect(sql);
    }
}

/// A real assistant-service that asks the provider at `base_url`.
async fn assistant(base_url: &str, further: &[&str]) -> (SocketAddr, oneshot::Sender<()>) {
    let flags = [
        "assistant-service",
        "--groq-base-url",
        base_url,
        "--groq-api-key",
        "gsk_test",
    ];
    let cli = Cli::try_parse_from([&flags, further].concat()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(assistant_service::serve(cli.settings, listener, async {
        let _ = stopped.await;
    }));
    (address, stop)
}

/// A stream of a reply.
pub(crate) struct Listening(pub(crate) Streaming<StreamReplyResponse>);

impl Listening {
    /// The next event; `None` at the stream's end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let next = tokio::time::timeout(PATIENCE, self.0.message())
            .await
            .expect("an event comes")
            .unwrap();
        next.map(|response| response.event.unwrap().event.unwrap())
    }

    /// Everything until the end, checked: `started` first, pieces without gaps, one end.
    pub(crate) async fn whole(mut self) -> Whole {
        let Some(Event::Started(started)) = self.next().await else {
            panic!("a stream begins with started");
        };
        let mut text = String::new();
        loop {
            match self.next().await.expect("a stream ends with an event") {
                Event::Delta(delta) => {
                    assert_eq!(delta.attempt, started.attempt);
                    assert_eq!(delta.offset, i64::try_from(text.len()).unwrap());
                    assert!(!delta.text.is_empty());
                    text.push_str(&delta.text);
                }
                end => {
                    assert_eq!(self.next().await, None, "nothing comes after the end");
                    return Whole {
                        reply_id: started.reply_id,
                        text,
                        end,
                    };
                }
            }
        }
    }
}

/// A whole stream of a reply.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) reply_id: String,
    pub(crate) text: String,
    pub(crate) end: Event,
}

/// A status as tests compare it: its code, its reason, and the fields that it names.
pub(crate) fn told(status: &Status) -> (Code, String, Vec<String>) {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "deskhand");
    assert!(!status.message().is_empty());
    listening::check("an error", status.message().as_bytes());
    listening::check("an error's details", status.details());
    let fields = details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(|v| v.field.clone()).collect());
    (status.code(), info.reason.clone(), fields.unwrap_or_default())
}

/// Asserts that a call was refused so.
#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str, fields: &[&str]) {
    let (told_code, told_reason, told_fields) = told(&answer.expect_err("refused"));
    assert_eq!((told_code, told_reason.as_str()), (code, reason));
    assert_eq!(told_fields, fields);
}

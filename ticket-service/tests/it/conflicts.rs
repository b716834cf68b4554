//! What PostgreSQL asks to be repeated is repeated, within a bound; and an answer that was lost is given again.

use std::time::Duration;

use deskhand_proto::tickets::v1::ticket_service_client::TicketServiceClient;
use deskhand_proto::tickets::v1::{CreateTicketRequest, PostMessageRequest};
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::harness::{Desk, PATIENCE, User, assert_refused, with_token};
use crate::process::{Program, Server};

fn message(ticket_id: &str, request_id: &str) -> PostMessageRequest {
    PostMessageRequest {
        ticket_id: ticket_id.into(),
        body: "once".into(),
        request_id: request_id.into(),
        ..Default::default()
    }
}

/// A desk on the same database whose connections have this setting.
async fn with_setting(desk: &Desk, setting: &str) -> Desk {
    let database: String = sqlx::query_scalar("SELECT current_database()")
        .fetch_one(&desk.pool)
        .await
        .unwrap();
    let alter = format!("ALTER DATABASE {database} SET {setting}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(alter))
        .execute(&desk.pool)
        .await
        .unwrap();
    desk.replica().await
}

async fn until_someone_waits_for_a_lock(desk: &Desk) {
    desk.until_count(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        1,
    )
    .await;
}

fn posting(desk: &Desk, user: &User, request: PostMessageRequest) -> tokio::task::JoinHandle<Result<String, Status>> {
    let (mut tickets, request) = (desk.tickets(), user.asks(request));
    tokio::spawn(async move { Ok(tickets.post_message(request).await?.into_inner().message.unwrap().id) })
}

#[tokio::test]
async fn a_serialisation_failure_is_repeated() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let strict = with_setting(&desk, "default_transaction_isolation = 'repeatable read'").await;

    let mut other = PgConnection::connect(&desk.database_url).await.unwrap();
    let mut tx = other.begin().await.unwrap();
    sqlx::query("UPDATE tickets SET version = version + 1")
        .execute(&mut *tx)
        .await
        .unwrap();
    let posting = posting(&strict, &user, message(&ticket_id, ""));
    until_someone_waits_for_a_lock(&desk).await;
    tx.commit().await.unwrap();
    posting.await.unwrap().unwrap();
    assert_eq!(desk.count("SELECT count(*) FROM messages").await, 1);
    assert_eq!(desk.count("SELECT version::bigint FROM tickets").await, 3);
}

#[tokio::test]
async fn a_deadlock_is_repeated() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    // The service notices first, and so is the one that PostgreSQL sends back.
    let noticing = with_setting(&desk, "deadlock_timeout = '1500ms'").await;
    let request_id = Uuid::now_v7();

    // The service takes the ticket, then the request_id; this takes them the other way round.
    let mut other = PgConnection::connect(&desk.database_url).await.unwrap();
    sqlx::query("SET deadlock_timeout = '60s'")
        .execute(&mut other)
        .await
        .unwrap();
    let mut tx = other.begin().await.unwrap();
    let claim = "INSERT INTO idempotency_keys (user_id, request_id, fingerprint) VALUES ($1::uuid, $2, '')";
    sqlx::query(claim)
        .bind(user.id.parse::<Uuid>().unwrap())
        .bind(request_id)
        .execute(&mut *tx)
        .await
        .unwrap();
    let posting = posting(&noticing, &user, message(&ticket_id, &request_id.to_string()));
    until_someone_waits_for_a_lock(&desk).await;
    // Returns when the service was sent back.
    sqlx::query("SELECT FROM tickets FOR UPDATE")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    posting.await.unwrap().unwrap();
    assert_eq!(desk.count("SELECT count(*) FROM messages").await, 1);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    desk.until_count(deadlocks, 1).await;
}

#[tokio::test]
async fn repeating_ends() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let always = "CREATE SEQUENCE tries;
        CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM nextval('tries');
            RAISE EXCEPTION 'not now' USING ERRCODE = 'serialization_failure';
        END $$;
        CREATE TRIGGER conflict BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION conflict()";
    sqlx::raw_sql(always).execute(&desk.pool).await.unwrap();
    let answer = desk.tickets().post_message(user.asks(message(&ticket_id, ""))).await;
    assert_refused(answer, Code::Unavailable, "DATABASE_UNAVAILABLE", &[]);
    assert_eq!(desk.count("SELECT last_value FROM tries").await, 5);
    assert_eq!(desk.count("SELECT count(*) FROM messages").await, 0);
}

/// Passes on what a client says, and nothing of what it is answered once `mute` is set.
async fn mute_proxy(to: String) -> (String, tokio::sync::watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (mute, muted) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(to).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            if !*muted.borrow() {
                to_client.write_all(&bytes[..count]).await.unwrap();
            }
        }
    });
    (address, mute)
}

#[tokio::test]
async fn an_answer_that_a_crash_took_away_is_given_to_the_repeat() {
    let program = Program::new().await;
    let server = Server::start(&program).await;
    let mut auth =
        deskhand_proto::accounts::v1::auth_service_client::AuthServiceClient::connect(format!("http://{}", server.1))
            .await
            .unwrap();
    let (email, password) = ("ann@example.com".to_owned(), crate::harness::PASSWORD.to_owned());
    let new = deskhand_proto::accounts::v1::SignUpRequest {
        email: email.clone(),
        password: password.clone(),
        display_name: "Ann".into(),
    };
    auth.sign_up(new).await.unwrap();
    let log_in = deskhand_proto::accounts::v1::LogInRequest { email, password };
    let token = auth.log_in(log_in).await.unwrap().into_inner().access_token;
    let request = || {
        let new = CreateTicketRequest {
            title: "once".into(),
            description: "only".into(),
            request_id: "0199f3a0-7c1e-7a55-9c3c-2f1d8e6b4a10".into(),
            ..Default::default()
        };
        with_token(new, &token)
    };

    let (proxy, mute) = mute_proxy(server.1.clone()).await;
    let mut cut_off = TicketServiceClient::connect(format!("http://{proxy}")).await.unwrap();
    mute.send_replace(true);
    let lost = request();
    let lost = tokio::spawn(async move { cut_off.create_ticket(lost).await });
    let pool = sqlx::PgPool::connect(&program.database_url).await.unwrap();
    let kept = async {
        loop {
            let kept: Option<Uuid> = sqlx::query_scalar("SELECT id FROM tickets")
                .fetch_optional(&pool)
                .await
                .unwrap();
            match kept {
                Some(id) => return id,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let id = tokio::time::timeout(PATIENCE, kept).await.unwrap();
    drop(server); // kill -9
    assert!(lost.await.unwrap().is_err(), "the first one hears nothing");

    let server = Server::start(&program).await;
    let mut tickets = TicketServiceClient::connect(format!("http://{}", server.1))
        .await
        .unwrap();
    let answer = tickets
        .create_ticket(request())
        .await
        .unwrap()
        .into_inner()
        .ticket
        .unwrap();
    assert_eq!(answer.id, id.to_string());
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM tickets")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_at_any_moment_leaves_no_transaction_open() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    // From before the call has arrived to after it has ended.
    for n in 0..1_200u64 {
        let new = PostMessageRequest {
            ticket_id: ticket_id.clone(),
            body: "hello".into(),
            ..Default::default()
        };
        let mut tickets = desk.tickets();
        let call = tickets.post_message(user.asks(new));
        let _ = tokio::time::timeout(Duration::from_micros(400 + n % 600 * 7), call).await;
    }
    let open = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'
          AND state_change < now() - interval '300 ms'";
    let until_quiet = async {
        // What was under way ends; what is open for longer would stay so.
        tokio::time::sleep(Duration::from_millis(600)).await;
        desk.count(open).await
    };
    assert_eq!(until_quiet.await, 0);
    // And what is done now holds for everyone.
    let mut tickets = desk.tickets();
    for n in 0..40 {
        let new = PostMessageRequest {
            ticket_id: ticket_id.clone(),
            body: format!("kept {n}"),
            ..Default::default()
        };
        tickets.post_message(user.asks(new)).await.unwrap();
    }
    assert_eq!(
        desk.count("SELECT count(*) FROM messages WHERE body LIKE 'kept %'")
            .await,
        40
    );
}

//! What tonic refuses by itself reads like everything else that is refused here; deadlines hold.

use std::time::{Duration, Instant};

use bytes::Bytes;
use deskhand_proto::replies::v1::StreamReplyRequest;
use prost::Message as _;
use tonic::{Code, Request};

use crate::harness::{Desk, assert_refused};
use crate::raw;

#[tokio::test]
async fn a_body_that_is_no_message() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let invalid_utf8 = [&[0x0A, 0x02][..], b"\xff\xfe"].concat();
    for body in [vec![0xFF; 20], vec![0x0A, 0x7F, 0x01], invalid_utf8] {
        let answer = raw::call(
            &desk.channel,
            "/deskhand.tickets.v1.TicketService/CreateTicket",
            user.asks(Bytes::from(body)),
        )
        .await;
        assert_refused(answer, Code::InvalidArgument, "MALFORMED_REQUEST", &[]);
    }
}

#[tokio::test]
async fn a_method_or_service_that_there_is_not() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    for path in ["/deskhand.tickets.v1.TicketService/Nothing", "/nothing.Nothing/Nothing"] {
        let answer = raw::call(&desk.channel, path, user.asks(Bytes::new())).await;
        assert_refused(answer, Code::Unimplemented, "METHOD_UNKNOWN", &[]);
        let answer = raw::call(&desk.channel, path, Request::new(Bytes::new())).await;
        assert_refused(answer, Code::Unauthenticated, "TOKEN_MISSING", &[]);
    }
}

#[tokio::test]
async fn a_request_that_is_too_large() {
    let desk = Desk::open().await;
    let answer = raw::call(
        &desk.channel,
        "/deskhand.accounts.v1.AuthService/SignUp",
        Request::new(Bytes::from(vec![0; 5 << 20])),
    )
    .await;
    assert_refused(answer, Code::OutOfRange, "MESSAGE_TOO_LARGE", &[]);
}

#[tokio::test]
async fn a_request_that_is_compressed() {
    let desk = Desk::open().await;
    let mut request = Request::new(Bytes::new());
    request.metadata_mut().insert("grpc-encoding", "gzip".parse().unwrap());
    let answer = raw::call(&desk.channel, "/deskhand.accounts.v1.AuthService/SignUp", request).await;
    assert_refused(answer, Code::Unimplemented, "UNSUPPORTED_ENCODING", &[]);
}

#[tokio::test]
async fn a_deadline_ends_a_stream_and_not_the_run() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.say(&user, &ticket_id, "[sim:slow ttft_ms=2500 token_ms=0] hello")
        .await;
    let mut request = user.asks(StreamReplyRequest {
        ticket_id,
        ..Default::default()
    });
    // Without `set_timeout`'s own watch on the client, so that the server is who ends it.
    request.metadata_mut().insert("grpc-timeout", "1000m".parse().unwrap());
    let began = Instant::now();
    let mut stream = desk.replies().stream_reply(request).await.unwrap().into_inner();
    let status = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without a status"),
            Err(status) => break status,
        }
    };
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert_refused::<()>(Err(status), Code::DeadlineExceeded, "DEADLINE_EXCEEDED", &[]);
    desk.until_count("SELECT count(*) FROM replies WHERE state = 'COMPLETED'", 1)
        .await;
    assert_eq!(
        desk.count("SELECT count(*) FROM messages WHERE author_kind = 'ASSISTANT'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_deadline_that_is_no_deadline() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    for value in ["", "soon", "1000", "123456789S", "-1S"] {
        let mut request = user.asks(Bytes::new());
        request.metadata_mut().insert("grpc-timeout", value.parse().unwrap());
        let answer = raw::call(&desk.channel, "/deskhand.accounts.v1.AuthService/GetMe", request).await;
        assert_refused(answer, Code::InvalidArgument, "MALFORMED_REQUEST", &[]);
    }
    let mut request = user.asks(Bytes::new());
    request
        .metadata_mut()
        .insert("grpc-timeout", "99999999H".parse().unwrap());
    raw::call(&desk.channel, "/deskhand.accounts.v1.AuthService/GetMe", request)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_database_that_is_away_is_said_to_be() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let name: String = sqlx::query_scalar("SELECT current_database()")
        .fetch_one(&desk.pool)
        .await
        .unwrap();
    let elsewhere = desk.database_url.replace(&name, "postgres");
    let admin = sqlx::PgPool::connect(&elsewhere).await.unwrap();
    desk.pool.close().await;
    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false"
    )))
    .execute(&admin)
    .await
    .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(cut)).execute(&admin).await.unwrap();
    let request = deskhand_proto::tickets::v1::ListTicketsRequest::default().encode_to_vec();
    let list = async || {
        raw::call(
            &desk.channel,
            "/deskhand.tickets.v1.TicketService/ListTickets",
            user.asks(Bytes::from(request.clone())),
        )
        .await
    };
    assert_refused(list().await, Code::Unavailable, "DATABASE_UNAVAILABLE", &[]);
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "ALTER DATABASE {name} ALLOW_CONNECTIONS true"
    )))
    .execute(&admin)
    .await
    .unwrap();
    list().await.expect("it works again as soon as the database does");
}

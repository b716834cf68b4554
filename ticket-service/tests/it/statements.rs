//! How many statements each call makes: an N+1 cannot creep in, for each is counted on a desk where N is large.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use deskhand_proto::accounts::v1::auth_service_client::AuthServiceClient;
use deskhand_proto::accounts::v1::{LogInRequest, SignUpRequest};
use deskhand_proto::tickets::v1::ticket_service_client::TicketServiceClient;
use deskhand_proto::tickets::v1::{
    AssignTicketRequest, CreateTicketRequest, GetTicketRequest, ListMessagesRequest, ListTicketEventsRequest,
    ListTicketsRequest, PostMessageRequest, Ticket, UpdateTicketRequest,
};
use prost_types::FieldMask;
use serde_json::Value;
use uuid::Uuid;

use crate::harness::{PASSWORD, PATIENCE, with_token};
use crate::process::{Program, Server};

/// Statements of the calls that ended, in their order, by the service's own log.
fn statements(log: &Path) -> Vec<(String, usize)> {
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    let mut ended = Vec::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        // The last line may be half written.
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let Some(method) = line.pointer("/span/method").and_then(Value::as_str) else {
            continue;
        };
        if line["target"] == "sqlx::query" {
            *open.entry(method.to_owned()).or_default() += 1;
        } else if line["message"] == "call ended" {
            let count = open.remove(method).unwrap_or_default();
            ended.push((method.rsplit('/').next().unwrap().to_owned(), count));
        }
    }
    ended
}

#[tokio::test]
async fn as_many_statements_as_there_have_to_be() {
    let program = Program::new().await;
    let log = program.state.path().join("log");
    let server = Server::start_with(&program, |command| {
        command
            .env("RUST_LOG", "info,sqlx::query=debug")
            .env("LOG_FORMAT", "json");
        command.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
    })
    .await;
    let mut auth = AuthServiceClient::connect(format!("http://{}", server.1))
        .await
        .unwrap();
    let mut tickets = TicketServiceClient::connect(format!("http://{}", server.1))
        .await
        .unwrap();
    let email = "ann@example.com".to_owned();
    let new = SignUpRequest {
        email: email.clone(),
        password: PASSWORD.into(),
        display_name: "Ann".into(),
    };
    let agent = auth.sign_up(new).await.unwrap().into_inner().user.unwrap().id;
    let pool = sqlx::PgPool::connect(&program.database_url).await.unwrap();
    sqlx::query("UPDATE users SET role = 'AGENT'")
        .execute(&pool)
        .await
        .unwrap();
    let log_in = LogInRequest {
        email,
        password: PASSWORD.into(),
    };
    let token = auth.log_in(log_in).await.unwrap().into_inner().access_token;

    let request_id = || Uuid::now_v7().to_string();
    let create = || CreateTicketRequest {
        title: "many".into(),
        description: "of them".into(),
        tags: vec!["a".into(), "b".into()],
        request_id: request_id(),
        ..Default::default()
    };
    let mut id = String::new();
    for _ in 0..30 {
        id = tickets
            .create_ticket(with_token(create(), &token))
            .await
            .unwrap()
            .into_inner()
            .ticket
            .unwrap()
            .id;
    }
    let say = || PostMessageRequest {
        ticket_id: id.clone(),
        body: "and more".into(),
        request_id: request_id(),
        ..Default::default()
    };
    for _ in 0..30 {
        tickets.post_message(with_token(say(), &token)).await.unwrap();
    }
    let ticket_id = || id.clone();
    tickets
        .get_ticket(with_token(GetTicketRequest { ticket_id: ticket_id() }, &token))
        .await
        .unwrap();
    tickets
        .list_tickets(with_token(ListTicketsRequest::default(), &token))
        .await
        .unwrap();
    let search = ListTicketsRequest {
        query: "many".into(),
        ..Default::default()
    };
    tickets.list_tickets(with_token(search, &token)).await.unwrap();
    let messages = ListMessagesRequest {
        ticket_id: ticket_id(),
        ..Default::default()
    };
    tickets.list_messages(with_token(messages, &token)).await.unwrap();
    let events = ListTicketEventsRequest {
        ticket_id: ticket_id(),
        ..Default::default()
    };
    tickets.list_ticket_events(with_token(events, &token)).await.unwrap();
    let update = UpdateTicketRequest {
        ticket: Some(Ticket {
            id: ticket_id(),
            category: 2,
            tags: vec!["c".into()],
            ..Default::default()
        }),
        update_mask: Some(FieldMask {
            paths: vec!["category".into(), "tags".into()],
        }),
        request_id: request_id(),
    };
    tickets.update_ticket(with_token(update, &token)).await.unwrap();
    let assign = AssignTicketRequest {
        ticket_id: ticket_id(),
        assignee_id: agent,
        request_id: request_id(),
        ..Default::default()
    };
    tickets.assign_ticket(with_token(assign, &token)).await.unwrap();

    let began = Instant::now();
    let counted = loop {
        let counted = statements(&log);
        if counted.iter().any(|(method, _)| method == "AssignTicket") {
            break counted;
        }
        assert!(began.elapsed() < PATIENCE, "the log has all calls");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    // With the one that begins a transaction; that it is committed is not logged.
    let most = |name: &str| {
        counted
            .iter()
            .filter(|(method, _)| method == name)
            .map(|(_, count)| *count)
            .max()
    };
    for (method, statements) in [
        // The key's claim, the ticket, its event, what is searched, the key's answer.
        ("CreateTicket", 6),
        // The lock, the key's claim, the message, the ticket, the event, what is searched, the key's answer.
        ("PostMessage", 8),
        ("GetTicket", 1),
        ("ListTickets", 1),
        ("ListMessages", 1),
        ("ListTicketEvents", 1),
        // The lock, the key's claim, the ticket, the event, the key's answer.
        ("UpdateTicket", 6),
        // And whether the assignee is one.
        ("AssignTicket", 7),
    ] {
        assert_eq!(most(method), Some(statements), "{method}: {counted:?}");
    }
}

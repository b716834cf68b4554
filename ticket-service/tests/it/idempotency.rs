//! Repeats of a request get the first response, and change nothing.

use deskhand_proto::replies::v1::StreamReplyRequest;
use deskhand_proto::replies::v1::reply_event::Event;
use deskhand_proto::tickets::v1::{
    AssignTicketRequest, CreateTicketRequest, PostMessageRequest, Ticket, UpdateTicketRequest,
};
use futures_util::future::join_all;
use prost_types::FieldMask;
use tonic::Code;
use uuid::Uuid;

use crate::harness::{Desk, assert_refused};

fn new_ticket(request_id: &str) -> CreateTicketRequest {
    CreateTicketRequest {
        title: "once".into(),
        description: "only".into(),
        request_id: request_id.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_hundred_repeats_at_once_make_one_ticket_and_one_answer() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let id = Uuid::now_v7().to_string();
    let answers = join_all((0..100).map(|_| {
        let (mut tickets, request) = (desk.tickets(), user.asks(new_ticket(&id)));
        async move { tickets.create_ticket(request).await.unwrap().into_inner() }
    }))
    .await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(desk.count("SELECT count(*) FROM tickets").await, 1);
}

#[tokio::test]
async fn a_hundred_repeats_at_once_post_one_message() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let request_id = Uuid::now_v7().to_string();
    let answers = join_all((0..100).map(|_| {
        let request = PostMessageRequest {
            ticket_id: ticket_id.clone(),
            body: "once".into(),
            request_id: request_id.clone(),
            ..Default::default()
        };
        let (mut tickets, request) = (desk.tickets(), user.asks(request));
        async move { tickets.post_message(request).await.unwrap().into_inner() }
    }))
    .await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(desk.count("SELECT count(*) FROM messages").await, 1);

    // The first response is kept also when the ticket has moved on since.
    sqlx::query("UPDATE tickets SET status = 'CLOSED'")
        .execute(&desk.pool)
        .await
        .unwrap();
    let request = PostMessageRequest {
        ticket_id,
        body: "once".into(),
        request_id,
        ..Default::default()
    };
    let late = desk
        .tickets()
        .post_message(user.asks(request))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(late, answers[0]);
}

#[tokio::test]
async fn a_request_id_is_one_request_of_one_user() {
    let desk = Desk::open().await;
    let (user, other) = (desk.customer().await, desk.customer().await);
    let id = Uuid::now_v7().to_string();
    let ticket = desk
        .tickets()
        .create_ticket(user.asks(new_ticket(&id)))
        .await
        .unwrap()
        .into_inner()
        .ticket
        .unwrap();

    let changed = CreateTicketRequest {
        title: "changed".into(),
        ..new_ticket(&id)
    };
    let answer = desk.tickets().create_ticket(user.asks(changed)).await;
    assert_refused(answer, Code::InvalidArgument, "REQUEST_ID_REUSED", &[]);
    let elsewhere = PostMessageRequest {
        ticket_id: ticket.id.clone(),
        body: "b".into(),
        request_id: id.clone(),
        ..Default::default()
    };
    let answer = desk.tickets().post_message(user.asks(elsewhere)).await;
    assert_refused(answer, Code::InvalidArgument, "REQUEST_ID_REUSED", &[]);
    let reply = StreamReplyRequest {
        ticket_id: ticket.id.clone(),
        request_id: id.clone(),
        ..Default::default()
    };
    let answer = desk.ask_as(&user, reply).await.map(|_| ());
    assert_refused(answer, Code::InvalidArgument, "REQUEST_ID_REUSED", &[]);

    let theirs = desk
        .tickets()
        .create_ticket(other.asks(new_ticket(&id)))
        .await
        .unwrap()
        .into_inner()
        .ticket
        .unwrap();
    assert_ne!(theirs.id, ticket.id);
    assert_eq!(desk.count("SELECT count(*) FROM tickets").await, 2);
}

#[tokio::test]
async fn a_refused_request_keeps_nothing() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let request = || PostMessageRequest {
        ticket_id: ticket_id.clone(),
        body: "later".into(),
        request_id: "0199f3a0-7c1e-7a55-9c3c-2f1d8e6b4a10".into(),
        ..Default::default()
    };
    sqlx::query("UPDATE tickets SET status = 'CLOSED'")
        .execute(&desk.pool)
        .await
        .unwrap();
    let refused = desk.tickets().post_message(user.asks(request())).await;
    assert_refused(refused, Code::FailedPrecondition, "TICKET_CLOSED", &[]);
    sqlx::query("UPDATE tickets SET status = 'OPEN'")
        .execute(&desk.pool)
        .await
        .unwrap();
    desk.tickets().post_message(user.asks(request())).await.unwrap();
}

#[tokio::test]
async fn after_a_day_a_request_id_is_free_again() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let id = Uuid::now_v7().to_string();
    desk.tickets().create_ticket(user.asks(new_ticket(&id))).await.unwrap();
    let aged = "UPDATE idempotency_keys SET create_time = now() - interval '24 hours 1 second'";
    sqlx::query(aged).execute(&desk.pool).await.unwrap();
    let changed = CreateTicketRequest {
        title: "new".into(),
        ..new_ticket(&id)
    };
    desk.tickets().create_ticket(user.asks(changed)).await.unwrap();
    assert_eq!(desk.count("SELECT count(*) FROM tickets").await, 2);
    assert_eq!(desk.count("SELECT count(*) FROM idempotency_keys").await, 1);
}

#[tokio::test]
async fn a_hundred_askers_with_one_request_id_hear_one_reply() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let request_id = Uuid::now_v7().to_string();
    let heard = join_all((0..100).map(|_| {
        let request = StreamReplyRequest {
            ticket_id: ticket_id.clone(),
            request_id: request_id.clone(),
            ..Default::default()
        };
        let (desk, user) = (&desk, &user);
        async move { desk.ask_as(user, request).await.unwrap().whole().await }
    }))
    .await;
    for one in &heard {
        assert_eq!((&one.reply_id, &one.text), (&heard[0].reply_id, &heard[0].text));
        assert!(
            matches!(&one.end, Event::Completed(completed) if completed.message.as_ref().unwrap().body == one.text)
        );
    }
    assert_eq!(desk.count("SELECT count(*) FROM replies").await, 1);
    assert_eq!(desk.count("SELECT count(*) FROM messages").await, 1);
    assert_eq!(desk.sim.control().calls().len(), 1);
}

#[tokio::test]
async fn a_repeat_of_a_request_whose_reply_failed_asks_anew() {
    let desk = Desk::asking_once().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let request = || StreamReplyRequest {
        ticket_id: ticket_id.clone(),
        request_id: "0199f3a0-7c1e-7a55-9c3c-2f1d8e6b4a10".into(),
        ..Default::default()
    };
    desk.sim.control().next(1, "status code=503".parse().unwrap());
    let failed = desk.ask_as(&user, request()).await.unwrap().whole().await;
    assert!(matches!(failed.end, Event::Failed(_)));
    let again = desk.ask_as(&user, request()).await.unwrap().whole().await;
    assert!(matches!(again.end, Event::Completed(_)));
    let third = desk.ask_as(&user, request()).await.unwrap().whole().await;
    assert_eq!(third.reply_id, again.reply_id);
    assert_ne!(again.reply_id, failed.reply_id);
}

#[tokio::test]
async fn a_hundred_repeats_at_once_change_a_ticket_once() {
    let desk = Desk::open().await;
    let (user, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&user).await;
    let (update_id, assign_id) = (Uuid::now_v7().to_string(), Uuid::now_v7().to_string());
    let update = |title: &str| UpdateTicketRequest {
        ticket: Some(Ticket {
            id: ticket_id.clone(),
            title: title.into(),
            // Only the first finds it so.
            etag: "1".into(),
            ..Default::default()
        }),
        update_mask: Some(FieldMask {
            paths: vec!["title".into()],
        }),
        request_id: update_id.clone(),
    };
    let answers = join_all((0..100).map(|_| {
        let (mut tickets, request) = (desk.tickets(), agent.asks(update("once")));
        async move { tickets.update_ticket(request).await.unwrap().into_inner() }
    }))
    .await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let assign = |assignee: &str| AssignTicketRequest {
        ticket_id: ticket_id.clone(),
        assignee_id: assignee.into(),
        etag: "2".into(),
        request_id: assign_id.clone(),
    };
    let assigned = join_all((0..100).map(|_| {
        let (mut tickets, request) = (desk.tickets(), agent.asks(assign(&agent.id)));
        async move { tickets.assign_ticket(request).await.unwrap().into_inner() }
    }))
    .await;
    assert!(assigned.iter().all(|answer| *answer == assigned[0]));
    assert_eq!(desk.count("SELECT count(*) FROM ticket_events").await, 3);
    assert_eq!(desk.count("SELECT version::bigint FROM tickets").await, 3);

    let changed = desk.tickets().update_ticket(agent.asks(update("twice"))).await;
    assert_refused(changed, Code::InvalidArgument, "REQUEST_ID_REUSED", &[]);
    let changed = desk.tickets().assign_ticket(agent.asks(assign(""))).await;
    assert_refused(changed, Code::InvalidArgument, "REQUEST_ID_REUSED", &[]);
    // The first response is kept also when the ticket has moved on since.
    let late = desk.tickets().update_ticket(agent.asks(update("once"))).await.unwrap();
    assert_eq!(late.into_inner(), answers[0]);
}

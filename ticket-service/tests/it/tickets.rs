//! `TicketService`: what it does when all is well.

use deskhand_proto::tickets::v1::{
    AuthorKind, CreateTicketRequest, GetTicketRequest, ListMessagesRequest, MessageVisibility, PostMessageRequest,
    TicketCategory, TicketHandler, TicketPriority, TicketStatus,
};
use tonic::Code;

use crate::harness::{Desk, User, assert_refused};

async fn get(desk: &Desk, user: &User, ticket_id: &str) -> deskhand_proto::tickets::v1::GetTicketResponse {
    let request = GetTicketRequest {
        ticket_id: ticket_id.into(),
    };
    desk.tickets()
        .get_ticket(user.asks(request))
        .await
        .unwrap()
        .into_inner()
}

#[tokio::test]
async fn a_ticket_is_kept_as_it_was_written() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let request = CreateTicketRequest {
        title: "  Cafe\u{301} machine  ".into(),
        description: "Line one\nLine two\twith ünïcödé 🖨".into(),
        category: TicketCategory::Technical.into(),
        tags: vec!["Printer".into(), "printer".into(), " hot ".into()],
        ..Default::default()
    };
    let made = desk
        .tickets()
        .create_ticket(user.asks(request))
        .await
        .unwrap()
        .into_inner()
        .ticket
        .unwrap();
    assert_eq!(made.title, "Café machine");
    assert_eq!(made.description, "Line one\nLine two\twith ünïcödé 🖨");
    assert_eq!(made.tags, ["printer", "hot"]);
    assert_eq!(
        (made.status(), made.priority(), made.category(), made.handler()),
        (
            TicketStatus::Open,
            TicketPriority::Normal,
            TicketCategory::Technical,
            TicketHandler::Assistant
        )
    );
    assert_eq!(made.requester_id, user.id);
    assert!(made.assignee_id.is_empty() && made.first_response_time.is_none() && made.resolve_time.is_none());
    assert!(made.number > 0 && !made.etag.is_empty());
    assert_eq!(get(&desk, &user, &made.id).await.ticket, Some(made));
}

#[tokio::test]
async fn staff_may_set_a_priority() {
    let desk = Desk::open().await;
    let agent = desk.agent().await;
    let request = CreateTicketRequest {
        title: "t".into(),
        description: "d".into(),
        priority: TicketPriority::Urgent.into(),
        ..Default::default()
    };
    let made = desk
        .tickets()
        .create_ticket(agent.asks(request))
        .await
        .unwrap()
        .into_inner()
        .ticket
        .unwrap();
    assert_eq!(made.priority(), TicketPriority::Urgent);
}

#[tokio::test]
async fn messages_come_newest_first_with_who_wrote_them() {
    let desk = Desk::open().await;
    let (customer, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&customer).await;
    desk.say(&customer, &ticket_id, "first").await;
    desk.say(&agent, &ticket_id, "second").await;

    let got = get(&desk, &customer, &ticket_id).await;
    let said: Vec<_> = got
        .messages
        .iter()
        .map(|m| (m.body.as_str(), m.author_kind(), m.author_id.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("second", AuthorKind::Agent, &*agent.id),
            ("first", AuthorKind::Customer, &*customer.id)
        ]
    );
    assert!(
        got.messages
            .iter()
            .all(|m| m.visibility() == MessageVisibility::Public && m.reply_id.is_empty())
    );

    let ticket = got.ticket.unwrap();
    assert_eq!(ticket.handler(), TicketHandler::Human, "a person has answered");
    assert!(ticket.first_response_time.is_some());
}

#[tokio::test]
async fn internal_notes_are_the_desk_s_alone() {
    let desk = Desk::open().await;
    let (customer, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&customer).await;
    let note = PostMessageRequest {
        ticket_id: ticket_id.clone(),
        body: "careful".into(),
        visibility: MessageVisibility::Internal.into(),
        ..Default::default()
    };
    desk.tickets().post_message(agent.asks(note)).await.unwrap();

    let got = get(&desk, &customer, &ticket_id).await;
    assert!(got.messages.is_empty());
    let ticket = got.ticket.unwrap();
    assert_eq!(ticket.handler(), TicketHandler::Assistant, "a note is no answer");
    assert!(ticket.first_response_time.is_none());
    let list = ListMessagesRequest {
        ticket_id: ticket_id.clone(),
        ..Default::default()
    };
    let listed = desk
        .tickets()
        .list_messages(customer.asks(list))
        .await
        .unwrap()
        .into_inner();
    assert!(listed.messages.is_empty());
    assert_eq!(get(&desk, &agent, &ticket_id).await.messages.len(), 1);
}

#[tokio::test]
async fn a_customer_s_message_reopens_a_resolved_ticket_and_none_reopens_a_closed_one() {
    let desk = Desk::open().await;
    let customer = desk.customer().await;
    let ticket_id = desk.ticket(&customer).await;
    let set = async |status: &'static str| {
        let update = "UPDATE tickets SET status = $1, resolve_time = now()";
        sqlx::query(update).bind(status).execute(&desk.pool).await.unwrap();
    };
    set("RESOLVED").await;
    desk.say(&customer, &ticket_id, "still broken").await;
    let ticket = get(&desk, &customer, &ticket_id).await.ticket.unwrap();
    assert_eq!((ticket.status(), ticket.resolve_time), (TicketStatus::Open, None));

    set("CLOSED").await;
    let more = PostMessageRequest {
        ticket_id: ticket_id.clone(),
        body: "more".into(),
        ..Default::default()
    };
    let answer = desk.tickets().post_message(customer.asks(more)).await;
    assert_refused(answer, Code::FailedPrecondition, "TICKET_CLOSED", &[]);
}

#[tokio::test]
async fn an_etag_changes_with_the_ticket() {
    let desk = Desk::open().await;
    let customer = desk.customer().await;
    let ticket_id = desk.ticket(&customer).await;
    let before = get(&desk, &customer, &ticket_id).await.ticket.unwrap();
    desk.say(&customer, &ticket_id, "more").await;
    let after = get(&desk, &customer, &ticket_id).await.ticket.unwrap();
    assert_ne!(before.etag, after.etag);
    assert!(
        after.update_time.unwrap().nanos != before.update_time.unwrap().nanos
            || after.update_time != before.update_time
    );
}

#[tokio::test]
async fn places_in_a_conversation_are_given_once_under_concurrency() {
    let desk = Desk::open().await;
    let (customer, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&customer).await;
    let posts = (0..40).map(|n| {
        let user = if n % 2 == 0 { &customer } else { &agent };
        let (desk, ticket_id) = (&desk, &ticket_id);
        async move { desk.say(user, ticket_id, &format!("message {n}")).await }
    });
    futures_util::future::join_all(posts).await;
    let places: Vec<i32> = sqlx::query_scalar("SELECT seq FROM messages ORDER BY seq")
        .fetch_all(&desk.pool)
        .await
        .unwrap();
    assert_eq!(places, (2..=41).collect::<Vec<_>>());
    let newest = "SELECT count(*) FROM tickets t WHERE last_seq = 41 AND last_customer_seq =
        (SELECT max(seq) FROM messages WHERE author_kind = 'CUSTOMER')";
    assert_eq!(desk.count(newest).await, 1);
}

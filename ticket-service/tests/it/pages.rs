//! Pages: every item once, in order, and tokens that are good for nothing else.

use deskhand_proto::tickets::v1::{ListMessagesRequest, ListTicketsRequest};
use tonic::Code;

use crate::harness::{Desk, User, assert_refused};

async fn tickets(desk: &Desk, user: &User, page_size: i32, page_token: &str) -> (Vec<String>, String) {
    let request = ListTicketsRequest {
        page_size,
        page_token: page_token.into(),
        ..Default::default()
    };
    let page = desk
        .tickets()
        .list_tickets(user.asks(request))
        .await
        .unwrap()
        .into_inner();
    (
        page.tickets.into_iter().map(|ticket| ticket.id).collect(),
        page.next_page_token,
    )
}

#[tokio::test]
async fn every_ticket_comes_once_newest_first() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.insert(0, desk.ticket(&user).await);
    }
    let stranger = desk.customer().await;
    desk.ticket(&stranger).await;
    for size in [1, 2, 3, 6, 7, 8] {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let (page, next) = tickets(&desk, &user, size, &token).await;
            assert!(!page.is_empty() && page.len() <= usize::try_from(size).unwrap());
            seen.extend(page);
            token = next;
            if token.is_empty() {
                break;
            }
            // What is new meanwhile does not shift what comes.
        }
        assert_eq!(seen, made, "pages of {size}");
    }
}

#[tokio::test]
async fn every_message_comes_once_newest_first() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    for n in 0..5 {
        desk.say(&user, &ticket_id, &n.to_string()).await;
    }
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListMessagesRequest {
            ticket_id: ticket_id.clone(),
            page_size: 2,
            page_token,
        };
        let page = desk
            .tickets()
            .list_messages(user.asks(request))
            .await
            .unwrap()
            .into_inner();
        seen.extend(page.messages.into_iter().map(|message| message.body));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["4", "3", "2", "1", "0"]);
}

#[tokio::test]
async fn the_size_of_a_page_has_a_default_and_a_limit() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let many = "INSERT INTO tickets (id, requester_id, title, description, priority, category)
        SELECT gen_random_uuid(), requester_id, title, description, priority, category FROM tickets, generate_series(1, 120)";
    sqlx::query(many).execute(&desk.pool).await.unwrap();
    assert_eq!(tickets(&desk, &user, 0, "").await.0.len(), 20);
    assert_eq!(tickets(&desk, &user, i32::MAX, "").await.0.len(), 100);
    for page_size in [-1, i32::MIN] {
        let request = ListTicketsRequest {
            page_size,
            ..Default::default()
        };
        let answer = desk.tickets().list_tickets(user.asks(request)).await;
        assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", &["page_size"]);
        let request = ListMessagesRequest {
            ticket_id: ticket_id.clone(),
            page_size,
            ..Default::default()
        };
        let answer = desk.tickets().list_messages(user.asks(request)).await;
        assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", &["page_size"]);
    }
}

#[tokio::test]
async fn a_token_of_another_caller_list_or_making_is_refused() {
    let desk = Desk::open().await;
    let (user, other, agent) = (desk.customer().await, desk.customer().await, desk.agent().await);
    let (ticket_id, second) = (desk.ticket(&user).await, desk.ticket(&user).await);
    for n in 0..3 {
        desk.say(&user, &ticket_id, &n.to_string()).await;
    }
    let token = tickets(&desk, &user, 1, "").await.1;
    let request = ListMessagesRequest {
        ticket_id: ticket_id.clone(),
        page_size: 1,
        ..Default::default()
    };
    let messages = desk
        .tickets()
        .list_messages(user.asks(request))
        .await
        .unwrap()
        .into_inner()
        .next_page_token;
    let mut flipped = token.clone().into_bytes();
    flipped[20] ^= 1;
    let flipped = String::from_utf8(flipped).unwrap();

    let list = async |user: &User, page_token: &str| {
        let request = ListTicketsRequest {
            page_size: 1,
            page_token: page_token.into(),
            ..Default::default()
        };
        desk.tickets().list_tickets(user.asks(request)).await
    };
    for (user, token) in [
        (&other, &token),
        (&agent, &token),
        (&user, &messages),
        (&user, &flipped),
    ] {
        assert_refused(
            list(user, token).await,
            Code::InvalidArgument,
            "INVALID_FIELDS",
            &["page_token"],
        );
    }
    for token in [
        "x",
        "' OR 1=1--",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        &"A".repeat(100_000),
    ] {
        assert_refused(
            list(&user, token).await,
            Code::InvalidArgument,
            "INVALID_FIELDS",
            &["page_token"],
        );
    }
    let request = ListMessagesRequest {
        ticket_id: second,
        page_size: 1,
        page_token: messages,
    };
    let answer = desk.tickets().list_messages(user.asks(request)).await;
    assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", &["page_token"]);
}

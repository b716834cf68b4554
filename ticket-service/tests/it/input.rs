//! Input that must be refused, each with the field that it is about, and text that must be taken literally.

use deskhand_proto::replies::v1::{GetReplyRequest, StreamReplyRequest};
use deskhand_proto::tickets::v1::{CreateTicketRequest, GetTicketRequest, ListMessagesRequest, PostMessageRequest};
use tonic::Code;

use crate::harness::{Desk, assert_refused};

fn ticket() -> CreateTicketRequest {
    CreateTicketRequest {
        title: "t".into(),
        description: "d".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_ticket_s_fields() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let tags = |tags: Vec<String>| CreateTicketRequest { tags, ..ticket() };
    let cases: Vec<(CreateTicketRequest, &[&str])> = vec![
        (CreateTicketRequest::default(), &["title", "description"]),
        (
            CreateTicketRequest {
                title: " \n ".into(),
                ..ticket()
            },
            &["title"],
        ),
        (
            CreateTicketRequest {
                title: "x".repeat(201),
                ..ticket()
            },
            &["title"],
        ),
        (
            CreateTicketRequest {
                title: "two\nlines".into(),
                ..ticket()
            },
            &["title"],
        ),
        (
            CreateTicketRequest {
                title: "a\u{202E}b".into(),
                ..ticket()
            },
            &["title"],
        ),
        (
            CreateTicketRequest {
                title: "a\0b".into(),
                ..ticket()
            },
            &["title"],
        ),
        (
            CreateTicketRequest {
                description: "a\0b".into(),
                ..ticket()
            },
            &["description"],
        ),
        (
            CreateTicketRequest {
                description: "x".repeat(10_001),
                ..ticket()
            },
            &["description"],
        ),
        (
            CreateTicketRequest {
                description: "€".repeat(6_000),
                ..ticket()
            },
            &["description"],
        ),
        (
            CreateTicketRequest {
                description: "x".repeat(3_000_000),
                ..ticket()
            },
            &["description"],
        ),
        (
            CreateTicketRequest {
                priority: 99,
                ..ticket()
            },
            &["priority"],
        ),
        (
            CreateTicketRequest {
                category: -1,
                ..ticket()
            },
            &["category"],
        ),
        (
            CreateTicketRequest {
                request_id: "not a uuid".into(),
                ..ticket()
            },
            &["request_id"],
        ),
        (
            CreateTicketRequest {
                request_id: "{0199f3a0-7c1e-7a55-9c3c-2f1d8e6b4a10}".into(),
                ..ticket()
            },
            &["request_id"],
        ),
        (tags(vec!["x".into(); 21]), &["tags"]),
        (
            tags(vec!["ok".into(), " ".into(), "x".repeat(41)]),
            &["tags[1]", "tags[2]"],
        ),
    ];
    for (request, fields) in cases {
        let answer = desk.tickets().create_ticket(user.asks(request)).await;
        assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", fields);
    }
    assert_eq!(desk.count("SELECT count(*) FROM tickets").await, 0);
}

#[tokio::test]
async fn a_message_s_fields() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let message = PostMessageRequest {
        ticket_id: desk.ticket(&user).await,
        body: "b".into(),
        ..Default::default()
    };
    let cases: Vec<(PostMessageRequest, &[&str])> = vec![
        (PostMessageRequest::default(), &["ticket_id", "body"]),
        (
            PostMessageRequest {
                ticket_id: "1".into(),
                ..message.clone()
            },
            &["ticket_id"],
        ),
        (
            PostMessageRequest {
                body: "x".repeat(10_001),
                ..message.clone()
            },
            &["body"],
        ),
        (
            PostMessageRequest {
                body: "a\0".into(),
                ..message.clone()
            },
            &["body"],
        ),
        (
            PostMessageRequest {
                visibility: 7,
                ..message.clone()
            },
            &["visibility"],
        ),
        (
            PostMessageRequest {
                request_id: "x".into(),
                ..message.clone()
            },
            &["request_id"],
        ),
    ];
    for (request, fields) in cases {
        let answer = desk.tickets().post_message(user.asks(request)).await;
        assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", fields);
    }
    assert_eq!(desk.count("SELECT count(*) FROM messages").await, 0);
}

#[tokio::test]
async fn ids_are_uuids_in_one_spelling() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let id = desk.ticket(&user).await;
    for ticket_id in [
        "",
        "1",
        "' OR 1=1--",
        &id.replace('-', ""),
        &format!("urn:uuid:{id}"),
        &"9".repeat(100_000),
    ] {
        let ticket_id = ticket_id.to_owned();
        let get = desk
            .tickets()
            .get_ticket(user.asks(GetTicketRequest {
                ticket_id: ticket_id.clone(),
            }))
            .await;
        assert_refused(get, Code::InvalidArgument, "INVALID_FIELDS", &["ticket_id"]);
        let list = ListMessagesRequest {
            ticket_id: ticket_id.clone(),
            ..Default::default()
        };
        let list = desk.tickets().list_messages(user.asks(list)).await;
        assert_refused(list, Code::InvalidArgument, "INVALID_FIELDS", &["ticket_id"]);
        let reply = desk
            .replies()
            .get_reply(user.asks(GetReplyRequest {
                reply_id: ticket_id.clone(),
            }))
            .await;
        assert_refused(reply, Code::InvalidArgument, "INVALID_FIELDS", &["reply_id"]);
        let stream = desk
            .ask_as(
                &user,
                StreamReplyRequest {
                    ticket_id,
                    mode: 9,
                    ..Default::default()
                },
            )
            .await;
        assert_refused(
            stream.map(|_| ()),
            Code::InvalidArgument,
            "INVALID_FIELDS",
            &["ticket_id", "mode"],
        );
    }
}

#[tokio::test]
async fn text_is_taken_literally() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let texts = [
        "'; DROP TABLE users; --",
        "%_\\",
        "(a+)+$",
        "{{ 7 * 7 }}",
        "<script>alert(1)</script>",
        "\u{202E}evil",
        "\u{1F468}\u{200D}\u{1F469}",
    ];
    for text in texts {
        desk.say(&user, &ticket_id, text).await;
    }
    let list = ListMessagesRequest {
        ticket_id,
        ..Default::default()
    };
    let kept = desk
        .tickets()
        .list_messages(user.asks(list))
        .await
        .unwrap()
        .into_inner()
        .messages;
    let kept: Vec<_> = kept.iter().rev().map(|message| message.body.as_str()).collect();
    assert_eq!(kept, texts);
}

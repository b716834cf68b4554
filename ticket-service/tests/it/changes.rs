//! Changes of tickets: who may make which, what follows what, and what is told of them.

use deskhand_proto::feed::v1::{ActorKind, TicketEvent, TicketEventKind};
use deskhand_proto::tickets::v1::{
    AssignTicketRequest, CreateTicketRequest, ListTicketEventsRequest, MessageVisibility, PostMessageRequest, Ticket,
    TicketCategory, TicketHandler, TicketPriority, TicketStatus, UpdateTicketRequest,
};
use futures_util::future::join_all;
use prost_types::FieldMask;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::harness::{Desk, User, assert_refused, told};

const STATUSES: [TicketStatus; 5] = [
    TicketStatus::Open,
    TicketStatus::InProgress,
    TicketStatus::WaitingOnCustomer,
    TicketStatus::Resolved,
    TicketStatus::Closed,
];

fn change(ticket: Ticket, paths: &[&str]) -> UpdateTicketRequest {
    UpdateTicketRequest {
        ticket: Some(ticket),
        update_mask: Some(FieldMask {
            paths: paths.iter().map(|&path| path.into()).collect(),
        }),
        request_id: String::new(),
    }
}

async fn update(desk: &Desk, user: &User, request: UpdateTicketRequest) -> Result<Ticket, Status> {
    let answer = desk.tickets().update_ticket(user.asks(request)).await?;
    Ok(answer.into_inner().ticket.unwrap())
}

async fn set_status(desk: &Desk, user: &User, id: &str, status: TicketStatus) -> Result<Ticket, Status> {
    let ticket = Ticket {
        id: id.into(),
        status: status.into(),
        ..Default::default()
    };
    update(desk, user, change(ticket, &["status"])).await
}

async fn assign(desk: &Desk, user: &User, id: &str, assignee: &str) -> Result<Ticket, Status> {
    let request = AssignTicketRequest {
        ticket_id: id.into(),
        assignee_id: assignee.into(),
        ..Default::default()
    };
    let answer = desk.tickets().assign_ticket(user.asks(request)).await?;
    Ok(answer.into_inner().ticket.unwrap())
}

async fn events(desk: &Desk, user: &User, id: &str) -> Vec<TicketEvent> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListTicketEventsRequest {
            ticket_id: id.into(),
            page_size: 2,
            page_token,
        };
        let page = desk
            .tickets()
            .list_ticket_events(user.asks(request))
            .await
            .unwrap()
            .into_inner();
        all.extend(page.events);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// `field from→to`, joined.
fn changes(event: &TicketEvent) -> String {
    let changes = event.changes.iter().map(|c| format!("{} {}→{}", c.field, c.from, c.to));
    changes.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn who_may_change_what() {
    let desk = Desk::open().await;
    let (owner, stranger) = (desk.customer().await, desk.customer().await);
    let (agent, admin) = (desk.agent().await, desk.admin().await);
    let value = Ticket {
        title: "another".into(),
        description: "other words".into(),
        status: TicketStatus::Resolved.into(),
        priority: TicketPriority::High.into(),
        category: TicketCategory::Billing.into(),
        tags: vec!["new".into()],
        handler: TicketHandler::Human.into(),
        ..Default::default()
    };
    // Who: the requester, an agent, an admin, an agent who is the requester.
    let table = [
        ("title", [true, true, true, true]),
        ("description", [true, false, false, true]),
        ("status", [true, true, true, true]),
        ("priority", [false, true, true, true]),
        ("category", [true, true, true, true]),
        ("tags", [true, true, true, true]),
        ("handler", [false, true, true, true]),
    ];
    for (field, may) in table {
        let whose = [(&owner, &owner), (&owner, &agent), (&owner, &admin), (&agent, &agent)];
        for ((requester, user), may) in whose.into_iter().zip(may) {
            let id = desk.ticket(requester).await;
            let request = || {
                change(
                    Ticket {
                        id: id.clone(),
                        ..value.clone()
                    },
                    &[field],
                )
            };
            let hidden = update(&desk, &stranger, request()).await;
            assert_refused(hidden, Code::NotFound, "TICKET_NOT_FOUND", &[]);
            let answer = update(&desk, user, request()).await;
            if may {
                let ticket = answer.expect(field);
                let told = events(&desk, user, &id).await;
                assert_eq!(told.len(), 2, "{field}");
                assert_eq!(told[1].changes.len(), 1, "only {field}: {}", changes(&told[1]));
                assert_eq!(told[1].changes[0].field, field);
                assert_eq!(ticket.etag, "2");
            } else {
                assert_refused(answer, Code::PermissionDenied, "ROLE_NOT_ALLOWED", &[]);
                assert_eq!(events(&desk, &admin, &id).await.len(), 1);
            }
        }
    }
    // One field that is not theirs, and none is changed.
    let id = desk.ticket(&owner).await;
    let both = change(
        Ticket {
            id: id.clone(),
            ..value.clone()
        },
        &["title", "priority"],
    );
    assert_refused(
        update(&desk, &owner, both).await,
        Code::PermissionDenied,
        "ROLE_NOT_ALLOWED",
        &[],
    );
    assert_eq!(events(&desk, &owner, &id).await.len(), 1);
}

#[tokio::test]
async fn which_status_follows_which() {
    let desk = Desk::open().await;
    let (owner, agent) = (desk.customer().await, desk.agent().await);
    // Rows: from; columns: to, in the order of STATUSES. s: staff only, b: the requester too.
    let table = ["-ssbs", "s-sbs", "ss-bs", "bs--s", "-----"];
    for (from, row) in STATUSES.into_iter().zip(table) {
        for (to, may) in STATUSES.into_iter().zip(row.chars()) {
            for (user, may) in [(&owner, may == 'b'), (&agent, may != '-')] {
                let id = desk.ticket(&owner).await;
                sqlx::query("UPDATE tickets SET status = $1 WHERE id::text = $2")
                    .bind(from.as_str_name().trim_start_matches("TICKET_STATUS_"))
                    .bind(&id)
                    .execute(&desk.pool)
                    .await
                    .unwrap();
                let answer = set_status(&desk, user, &id, to).await;
                if from == TicketStatus::Closed {
                    assert_refused(answer, Code::FailedPrecondition, "TICKET_CLOSED", &[]);
                } else if may || from == to {
                    let ticket = answer.unwrap_or_else(|status| panic!("{from:?} → {to:?}: {status:?}"));
                    assert_eq!(ticket.status(), to);
                    assert_eq!(ticket.etag, if from == to { "1" } else { "2" });
                    assert_eq!(
                        ticket.resolve_time.is_some(),
                        from != to && to == TicketStatus::Resolved
                    );
                } else {
                    let status = answer.expect_err("refused");
                    assert_eq!(
                        told(&status),
                        (Code::FailedPrecondition, "STATUS_NOT_ALLOWED".into(), vec![])
                    );
                    let allowed = status.get_details_error_info().unwrap().metadata["allowed"].clone();
                    let staff = std::ptr::eq(user, &raw const agent);
                    let expected = STATUSES.iter().zip(row.chars()).filter(|(_, may)| match may {
                        '-' => false,
                        's' => staff,
                        _ => true,
                    });
                    let mut expected: Vec<_> = expected.map(|(status, _)| status.as_str_name()).collect();
                    let mut named: Vec<_> = allowed.split(',').collect();
                    expected.sort_unstable();
                    named.sort_unstable();
                    assert_eq!(named, expected, "{from:?} → {to:?}");
                    assert!(status.message().contains(named[0]));
                }
            }
        }
    }
}

#[tokio::test]
async fn the_story_of_a_ticket() {
    let desk = Desk::open().await;
    let (owner, agent) = (desk.customer().await, desk.agent().await);
    let id = desk.ticket(&owner).await;
    let assigned = assign(&desk, &agent, &id, &agent.id).await.unwrap();
    assert_eq!(
        (assigned.assignee_id.as_str(), assigned.handler()),
        (&*agent.id, TicketHandler::Human)
    );
    let note = PostMessageRequest {
        ticket_id: id.clone(),
        body: "careful".into(),
        visibility: MessageVisibility::Internal.into(),
        ..Default::default()
    };
    desk.tickets().post_message(agent.asks(note)).await.unwrap();
    desk.say(&agent, &id, "have you tried water?").await;
    set_status(&desk, &agent, &id, TicketStatus::WaitingOnCustomer)
        .await
        .unwrap();
    desk.say(&owner, &id, "it works").await;
    set_status(&desk, &owner, &id, TicketStatus::Resolved).await.unwrap();
    desk.say(&owner, &id, "it does not").await;
    let back = Ticket {
        id: id.clone(),
        handler: TicketHandler::Assistant.into(),
        tags: vec!["Fire".into(), "fire".into(), "water".into()],
        ..Default::default()
    };
    update(&desk, &agent, change(back, &["handler", "tags", "tags"]))
        .await
        .unwrap();
    assert_eq!(
        assign(&desk, &agent, &id, "").await.unwrap().handler(),
        TicketHandler::Assistant
    );
    let closed = set_status(&desk, &agent, &id, TicketStatus::Closed).await.unwrap();
    assert!(closed.resolve_time.is_none(), "closed, but not resolved");

    let all = events(&desk, &agent, &id).await;
    let by = |event: &TicketEvent| match event.actor_kind() {
        ActorKind::Customer if event.actor_id == owner.id => "owner",
        ActorKind::Agent if event.actor_id == agent.id => "agent",
        _ => "?",
    };
    let story: Vec<_> = all.iter().map(|e| format!("{} {}", by(e), changes(e))).collect();
    assert_eq!(
        story,
        [
            "owner ".to_owned(),
            format!(
                "agent assignee_id →{}; handler TICKET_HANDLER_ASSISTANT→TICKET_HANDLER_HUMAN",
                agent.id
            ),
            "agent ".into(),
            "agent ".into(),
            "agent status TICKET_STATUS_OPEN→TICKET_STATUS_WAITING_ON_CUSTOMER".into(),
            "owner status TICKET_STATUS_WAITING_ON_CUSTOMER→TICKET_STATUS_OPEN".into(),
            "owner status TICKET_STATUS_OPEN→TICKET_STATUS_RESOLVED".into(),
            "owner status TICKET_STATUS_RESOLVED→TICKET_STATUS_OPEN".into(),
            "agent tags →fire, water; handler TICKET_HANDLER_HUMAN→TICKET_HANDLER_ASSISTANT".into(),
            format!("agent assignee_id {}→", agent.id),
            "agent status TICKET_STATUS_OPEN→TICKET_STATUS_CLOSED".into(),
        ]
    );
    use TicketEventKind::{Assigned, Created, MessagePosted, Updated};
    let kinds: Vec<_> = all.iter().map(TicketEvent::kind).collect();
    assert_eq!(
        kinds,
        [
            Created,
            Assigned,
            MessagePosted,
            MessagePosted,
            Updated,
            MessagePosted,
            Updated,
            MessagePosted,
            Updated,
            Assigned,
            Updated
        ]
    );
    for event in &all {
        assert_eq!(event.message_id.is_empty(), event.kind() != MessagePosted);
        assert!(event.cursor.is_empty() && event.reply_id.is_empty() && event.create_time.is_some());
        assert_eq!(event.ticket_id, id);
    }
    let internal: Vec<_> = all
        .iter()
        .filter(|event| event.internal)
        .map(|event| event.id)
        .collect();
    assert_eq!(internal, [all[2].id]);

    let public: Vec<_> = all.iter().filter(|event| !event.internal).cloned().collect();
    assert_eq!(events(&desk, &owner, &id).await, public);
}

#[tokio::test]
async fn the_assistant_s_answer_is_an_event_of_its_own() {
    let desk = Desk::open().await;
    let owner = desk.customer().await;
    let id = desk.ticket(&owner).await;
    let reply = desk.ask(&owner, &id).await.whole().await;
    let all = events(&desk, &owner, &id).await;
    assert_eq!(all.len(), 2);
    assert_eq!(
        (all[1].actor_kind(), all[1].reply_id.as_str()),
        (ActorKind::Assistant, &*reply.reply_id)
    );
    assert!(all[1].actor_id.is_empty() && !all[1].message_id.is_empty());
}

#[tokio::test]
async fn nobody_overwrites_what_they_have_not_seen() {
    let desk = Desk::open().await;
    let (owner, agent) = (desk.customer().await, desk.agent().await);
    let id = desk.ticket(&owner).await;
    let retitle = |n: i32, etag: &str| {
        let ticket = Ticket {
            id: id.clone(),
            title: format!("title {n}"),
            etag: etag.into(),
            ..Default::default()
        };
        change(ticket, &["title"])
    };
    // Of many who saw the same, one changes it.
    let answers = join_all((0..20).map(|n| update(&desk, &agent, retitle(n, "1")))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for answer in answers.into_iter().filter(Result::is_err) {
        assert_refused(answer, Code::Aborted, "ETAG_MISMATCH", &[]);
    }
    assert_refused(
        update(&desk, &agent, retitle(1, "nonsense")).await,
        Code::Aborted,
        "ETAG_MISMATCH",
        &[],
    );
    let request = AssignTicketRequest {
        ticket_id: id.clone(),
        etag: "1".into(),
        ..Default::default()
    };
    let answer = desk.tickets().assign_ticket(agent.asks(request)).await;
    assert_refused(answer, Code::Aborted, "ETAG_MISMATCH", &[]);

    // Without an etag, changes of different fields at once are all kept, and each is told with what it found.
    let one = |field: usize, n: i32| {
        let ticket = Ticket {
            id: id.clone(),
            title: format!("t{n}"),
            tags: vec![format!("g{n}")],
            priority: if n % 2 == 0 {
                TicketPriority::Low
            } else {
                TicketPriority::High
            }
            .into(),
            ..Default::default()
        };
        change(ticket, &[["title", "tags", "priority"][field]])
    };
    let answers = join_all((0..30).map(|n| update(&desk, &agent, one((n % 3) as usize, n)))).await;
    assert!(answers.iter().all(Result::is_ok));
    let told = events(&desk, &agent, &id).await;
    for field in ["title", "tags", "priority"] {
        let of_field: Vec<_> = told
            .iter()
            .flat_map(|event| &event.changes)
            .filter(|c| c.field == field)
            .collect();
        assert!(
            of_field.windows(2).all(|pair| pair[0].to == pair[1].from),
            "{field}: {of_field:?}"
        );
    }
    let versions = i64::try_from(told.len()).unwrap();
    assert_eq!(desk.count("SELECT version::bigint FROM tickets").await, versions);
}

#[tokio::test]
async fn what_cannot_be_in_a_change() {
    let desk = Desk::open().await;
    let (owner, agent) = (desk.customer().await, desk.agent().await);
    let id = desk.ticket(&owner).await;
    let bad: Ticket = Ticket {
        id: id.clone(),
        title: "two\nlines".into(),
        description: "nul\0".into(),
        tags: vec!["x".into(); 21],
        priority: 99,
        ..Default::default()
    };
    let many: Vec<&str> = vec!["title"; 21];
    for (ticket, paths, fields) in [
        (bad.clone(), &["title"][..], &["ticket.title"][..]),
        (bad.clone(), &["description"], &["ticket.description"]),
        (
            bad.clone(),
            &["tags", "status", "priority"],
            &["ticket.tags", "ticket.status", "ticket.priority"],
        ),
        (
            bad.clone(),
            &["category", "handler"],
            &["ticket.category", "ticket.handler"],
        ),
        (bad.clone(), &[], &["update_mask"]),
        (bad.clone(), &many, &["update_mask"]),
        (
            bad.clone(),
            &["*", "titel", "ticket.title", "assignee_id", "number", "etag"],
            &[
                "update_mask.paths[0]",
                "update_mask.paths[1]",
                "update_mask.paths[2]",
                "update_mask.paths[3]",
                "update_mask.paths[4]",
                "update_mask.paths[5]",
            ],
        ),
        (
            Ticket {
                id: "1".into(),
                ..bad.clone()
            },
            &["title"],
            &["ticket.id", "ticket.title"],
        ),
        (
            Ticket {
                tags: vec!["a\u{202E}b".into()],
                ..bad.clone()
            },
            &["tags"],
            &["ticket.tags[0]"],
        ),
    ] {
        let answer = update(&desk, &agent, change(ticket, paths)).await;
        assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", fields);
    }
    let nothing = UpdateTicketRequest::default();
    let answer = update(&desk, &agent, nothing).await;
    assert_refused(
        answer,
        Code::InvalidArgument,
        "INVALID_FIELDS",
        &["ticket.id", "update_mask"],
    );
    assert_eq!(events(&desk, &agent, &id).await.len(), 1);
}

#[tokio::test]
async fn whom_a_ticket_can_be_given_to() {
    let desk = Desk::open().await;
    let (owner, agent, admin) = (desk.customer().await, desk.agent().await, desk.admin().await);
    let id = desk.ticket(&owner).await;
    // Not a customer's to do, whether or not there is such a ticket.
    for ticket in [id.as_str(), &Uuid::now_v7().to_string(), "nonsense"] {
        let answer = assign(&desk, &owner, ticket, &agent.id).await;
        assert_refused(answer, Code::PermissionDenied, "ROLE_NOT_ALLOWED", &[]);
    }
    let nobody = Uuid::now_v7().to_string();
    for assignee in [owner.id.as_str(), &nobody, "nonsense"] {
        let answer = assign(&desk, &agent, &id, assignee).await;
        assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", &["assignee_id"]);
    }
    assert_eq!(
        assign(&desk, &agent, &id, &admin.id).await.unwrap().assignee_id,
        admin.id
    );
    sqlx::query("UPDATE users SET disable_time = now() WHERE id::text = $1")
        .bind(&admin.id)
        .execute(&desk.pool)
        .await
        .unwrap();
    let other = desk.ticket(&owner).await;
    let answer = assign(&desk, &agent, &other, &admin.id).await;
    assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", &["assignee_id"]);
    let again = assign(&desk, &agent, &id, &agent.id).await.unwrap();
    let same = assign(&desk, &agent, &id, &agent.id).await.unwrap();
    assert_eq!(again, same, "what is so already is no change");
    set_status(&desk, &agent, &id, TicketStatus::Closed).await.unwrap();
    let answer = assign(&desk, &agent, &id, "").await;
    assert_refused(answer, Code::FailedPrecondition, "TICKET_CLOSED", &[]);
}

#[tokio::test]
async fn numbers_are_short_and_unique_under_concurrency() {
    let desk = Desk::open().await;
    let owner = desk.customer().await;
    let made = join_all((0..40).map(|_| {
        let new = CreateTicketRequest {
            title: "t".into(),
            description: "d".into(),
            ..Default::default()
        };
        let (mut tickets, request) = (desk.tickets(), owner.asks(new));
        async move {
            tickets
                .create_ticket(request)
                .await
                .unwrap()
                .into_inner()
                .ticket
                .unwrap()
                .number
        }
    }))
    .await;
    let unique: std::collections::BTreeSet<_> = made.iter().collect();
    assert_eq!(unique.len(), 40);
    assert!(made.iter().all(|number| (1..=40).contains(number)));
}

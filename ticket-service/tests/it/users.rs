//! `UserService`: what admins do with accounts, in force at once and on record.

use deskhand_proto::accounts::v1::{
    AuditEvent, DisableUserRequest, EnableUserRequest, GetMeRequest, GetUserRequest, ListAuditEventsRequest,
    ListUsersRequest, LogInRequest, Role, SetUserRoleRequest,
};
use deskhand_proto::tickets::v1::{GetTicketRequest, ListMessagesRequest, ListTicketsRequest};
use futures_util::future::join_all;
use tonic::Code;
use uuid::Uuid;

use crate::harness::{Desk, PASSWORD, User, assert_refused};

async fn audit(desk: &Desk, admin: &User, filter: ListAuditEventsRequest) -> Vec<AuditEvent> {
    desk.users()
        .list_audit_events(admin.asks(filter))
        .await
        .unwrap()
        .into_inner()
        .events
}

fn set_role(user: &User, role: Role) -> SetUserRoleRequest {
    SetUserRoleRequest {
        user_id: user.id.clone(),
        role: role.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_role_is_in_force_at_once_for_open_sessions_too() {
    let desk = Desk::open().await;
    let (admin, user, owner) = (desk.admin().await, desk.customer().await, desk.customer().await);
    let ticket_id = desk.ticket(&owner).await;
    let get = async || {
        let request = GetTicketRequest {
            ticket_id: ticket_id.clone(),
        };
        desk.tickets().get_ticket(user.asks(request)).await
    };
    assert_refused(get().await, Code::NotFound, "TICKET_NOT_FOUND", &[]);
    let answer = desk
        .users()
        .set_user_role(admin.asks(set_role(&user, Role::Agent)))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.user.unwrap().role(), Role::Agent);
    get().await.expect("an agent sees it, by the token of a customer");
    desk.users()
        .set_user_role(admin.asks(set_role(&user, Role::Customer)))
        .await
        .unwrap();
    assert_refused(get().await, Code::NotFound, "TICKET_NOT_FOUND", &[]);

    let events = audit(
        &desk,
        &admin,
        ListAuditEventsRequest {
            user_id: user.id.clone(),
            ..Default::default()
        },
    )
    .await;
    let told: Vec<_> = events
        .iter()
        .map(|e| {
            (
                e.action.as_str(),
                e.actor_id.as_str(),
                e.details["from"].as_str(),
                e.details["to"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("user.role_set", &*admin.id, "AGENT", "CUSTOMER"),
            ("user.role_set", &*admin.id, "CUSTOMER", "AGENT")
        ]
    );
}

#[tokio::test]
async fn a_disabled_account_is_shut_at_once_and_opened_again() {
    let desk = Desk::open().await;
    let (admin, user) = (desk.admin().await, desk.customer().await);
    let disable = DisableUserRequest {
        user_id: user.id.clone(),
        ..Default::default()
    };
    let answer = desk
        .users()
        .disable_user(admin.asks(disable.clone()))
        .await
        .unwrap()
        .into_inner();
    assert!(answer.user.unwrap().disable_time.is_some());
    assert_refused(
        desk.auth().get_me(user.asks(GetMeRequest {})).await,
        Code::Unauthenticated,
        "SESSION_ENDED",
        &[],
    );
    let log_in = LogInRequest {
        email: user.email.clone(),
        password: PASSWORD.into(),
    };
    assert_refused(
        desk.auth().log_in(log_in.clone()).await,
        Code::Unauthenticated,
        "INVALID_CREDENTIALS",
        &[],
    );

    // Once more changes nothing and records nothing.
    desk.users().disable_user(admin.asks(disable)).await.unwrap();
    let enable = EnableUserRequest {
        user_id: user.id.clone(),
        ..Default::default()
    };
    desk.users().enable_user(admin.asks(enable)).await.unwrap();
    desk.auth().log_in(log_in).await.unwrap();
    assert_refused(
        desk.auth().get_me(user.asks(GetMeRequest {})).await,
        Code::Unauthenticated,
        "SESSION_ENDED",
        &[],
    );
    let events = audit(
        &desk,
        &admin,
        ListAuditEventsRequest {
            user_id: user.id,
            ..Default::default()
        },
    )
    .await;
    assert_eq!(
        events.iter().map(|e| e.action.as_str()).collect::<Vec<_>>(),
        ["user.enabled", "user.disabled"]
    );
}

#[tokio::test]
async fn an_enabled_admin_is_always_left() {
    let desk = Desk::open().await;
    let (one, two) = (desk.admin().await, desk.admin().await);
    // Each takes the other's role away at the same moment.
    let (of_two, of_one) = (set_role(&two, Role::Agent), set_role(&one, Role::Agent));
    let (mut first, mut second) = (desk.users(), desk.users());
    let answers = tokio::join!(
        first.set_user_role(one.asks(of_two)),
        second.set_user_role(two.asks(of_one))
    );
    assert_eq!(
        desk.count("SELECT count(*) FROM users WHERE role = 'ADMIN'").await,
        1,
        "{answers:?}"
    );

    let left: Uuid = sqlx::query_scalar("SELECT id FROM users WHERE role = 'ADMIN'")
        .fetch_one(&desk.pool)
        .await
        .unwrap();
    let last = if left.to_string() == one.id { one } else { two };
    let answer = desk
        .users()
        .set_user_role(last.asks(set_role(&last, Role::Customer)))
        .await;
    assert_refused(answer, Code::FailedPrecondition, "LAST_ADMIN", &[]);
    let disable = DisableUserRequest {
        user_id: last.id.clone(),
        ..Default::default()
    };
    assert_refused(
        desk.users().disable_user(last.asks(disable)).await,
        Code::FailedPrecondition,
        "LAST_ADMIN",
        &[],
    );
}

#[tokio::test]
async fn a_hundred_repeats_change_once() {
    let desk = Desk::open().await;
    let (admin, user) = (desk.admin().await, desk.customer().await);
    let request = SetUserRoleRequest {
        request_id: Uuid::now_v7().to_string(),
        ..set_role(&user, Role::Agent)
    };
    let answers = join_all((0..100).map(|_| {
        let (mut users, request) = (desk.users(), admin.asks(request.clone()));
        async move { users.set_user_role(request).await.unwrap().into_inner() }
    }))
    .await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(
        desk.count("SELECT count(*) FROM audit_events WHERE action = 'user.role_set'")
            .await,
        1
    );
}

#[tokio::test]
async fn accounts_are_listed_filtered_and_paged() {
    let desk = Desk::open().await;
    let admin = desk.admin().await;
    let mut made = vec![admin.id.clone()];
    for _ in 0..4 {
        made.insert(0, desk.customer().await.id);
    }
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListUsersRequest {
            page_size: 2,
            page_token,
            ..Default::default()
        };
        let page = desk.users().list_users(admin.asks(request)).await.unwrap().into_inner();
        seen.extend(page.users.into_iter().map(|user| user.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, made);
    let list = async |request: ListUsersRequest| desk.users().list_users(admin.asks(request)).await;
    let admins = list(ListUsersRequest {
        role: Role::Admin.into(),
        ..Default::default()
    })
    .await
    .unwrap()
    .into_inner();
    assert_eq!(
        admins.users.iter().map(|user| user.id.as_str()).collect::<Vec<_>>(),
        [admin.id.as_str()]
    );
    let email = format!(" {} ", admin.email.to_uppercase());
    let found = list(ListUsersRequest {
        email,
        ..Default::default()
    })
    .await
    .unwrap()
    .into_inner();
    assert_eq!(found.users.len(), 1);

    let first = list(ListUsersRequest {
        page_size: 1,
        ..Default::default()
    })
    .await
    .unwrap()
    .into_inner();
    let page_token = first.next_page_token;
    let elsewhere = ListUsersRequest {
        page_token,
        role: Role::Customer.into(),
        ..Default::default()
    };
    assert_refused(
        list(elsewhere).await,
        Code::InvalidArgument,
        "INVALID_FIELDS",
        &["page_token"],
    );
    let wrong = ListUsersRequest {
        page_size: -1,
        role: 9,
        email: "x".into(),
        ..Default::default()
    };
    assert_refused(
        list(wrong).await,
        Code::InvalidArgument,
        "INVALID_FIELDS",
        &["page_size", "role", "email"],
    );
}

#[tokio::test]
async fn what_cannot_be_changed() {
    let desk = Desk::open().await;
    let (admin, user) = (desk.admin().await, desk.customer().await);
    let nobody = Uuid::now_v7().to_string();
    let unknown = SetUserRoleRequest {
        user_id: nobody.clone(),
        role: Role::Agent.into(),
        ..Default::default()
    };
    assert_refused(
        desk.users().set_user_role(admin.asks(unknown)).await,
        Code::NotFound,
        "USER_NOT_FOUND",
        &[],
    );
    let get = desk
        .users()
        .get_user(admin.asks(GetUserRequest { user_id: nobody }))
        .await;
    assert_refused(get, Code::NotFound, "USER_NOT_FOUND", &[]);
    let no_role = SetUserRoleRequest {
        role: 0,
        ..set_role(&user, Role::Agent)
    };
    let answer = desk.users().set_user_role(admin.asks(no_role)).await;
    assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", &["role"]);
    let nonsense = SetUserRoleRequest {
        user_id: "1".into(),
        role: 77,
        request_id: "x".into(),
    };
    let answer = desk.users().set_user_role(admin.asks(nonsense)).await;
    assert_refused(
        answer,
        Code::InvalidArgument,
        "INVALID_FIELDS",
        &["user_id", "request_id", "role"],
    );
    let filter = ListAuditEventsRequest {
        action: "user.anything".into(),
        actor_id: "x".into(),
        ..Default::default()
    };
    let answer = desk.users().list_audit_events(admin.asks(filter)).await;
    assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", &["actor_id", "action"]);
}

#[tokio::test]
async fn an_admin_s_reading_of_a_ticket_is_on_record_an_agent_s_is_not() {
    let desk = Desk::open().await;
    let (admin, agent, owner) = (desk.admin().await, desk.agent().await, desk.customer().await);
    let ticket_id = desk.ticket(&owner).await;
    for user in [&admin, &agent, &owner] {
        desk.tickets()
            .get_ticket(user.asks(GetTicketRequest {
                ticket_id: ticket_id.clone(),
            }))
            .await
            .unwrap();
        let list = ListMessagesRequest {
            ticket_id: ticket_id.clone(),
            ..Default::default()
        };
        desk.tickets().list_messages(user.asks(list)).await.unwrap();
    }
    for user in [&admin, &agent] {
        desk.tickets()
            .list_tickets(user.asks(ListTicketsRequest::default()))
            .await
            .unwrap();
    }
    let of = |action: &str| ListAuditEventsRequest {
        action: action.into(),
        ..Default::default()
    };
    let listed = audit(&desk, &admin, of("ticket.listed_by_admin")).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].actor_id.as_str(), listed[0].details["count"].as_str()),
        (admin.id.as_str(), "1")
    );
    let events = audit(&desk, &admin, of("ticket.read_by_admin")).await;
    assert_eq!(events.len(), 2);
    for event in events {
        assert_eq!(
            (event.actor_id.as_str(), event.user_id.as_str()),
            (admin.id.as_str(), owner.id.as_str())
        );
        assert_eq!(event.details["ticket_id"], ticket_id);
    }
}

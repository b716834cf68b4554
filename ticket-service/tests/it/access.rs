//! Who may call what: every RPC of the contracts stands in a table here, or this fails.

use std::collections::BTreeMap;

use bytes::Bytes;
use deskhand_proto::FILE_DESCRIPTOR_SET;
use deskhand_proto::accounts::v1::{
    ChangePasswordRequest, DisableUserRequest, EnableUserRequest, GetJwksRequest, GetMeRequest, GetUserRequest,
    ListAuditEventsRequest, ListSessionsRequest, ListUsersRequest, LogInRequest, LogOutRequest, RefreshTokenRequest,
    RequestPasswordResetRequest, ResetPasswordRequest, RevokeSessionRequest, Role as UserRole, SetUserRoleRequest,
    SignUpRequest,
};
use deskhand_proto::feed::v1::WatchTicketsRequest;
use deskhand_proto::replies::v1::reply_event::Event;
use deskhand_proto::replies::v1::{
    AcceptDraftRequest, AttachReplyRequest, CancelReplyRequest, DiscardDraftRequest, GetReplyRequest, GetUsageRequest,
    ListRepliesRequest, RateReplyRequest, ReplyMode, RewriteTextRequest, StreamReplyRequest, SummarizeTicketRequest,
    Tone, TriageTicketRequest, Verdict,
};
use deskhand_proto::tickets::v1::{
    AssignTicketRequest, CreateTicketRequest, GetTicketRequest, ListMessagesRequest, ListTicketEventsRequest,
    ListTicketsRequest, MessageVisibility, PostMessageRequest, Ticket, TicketPriority, UpdateTicketRequest,
};
use prost::Message as _;
use prost_types::{FieldMask, FileDescriptorSet};
use ticket_service::accounts::keys::Keys;
use ticket_service::accounts::tokens::Tokens;
use ticket_service::caller::{Caller, Role};
use time::OffsetDateTime;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::harness::{Desk, User, told, with_token};
use crate::raw;

/// What must hold for one RPC.
struct Access {
    /// A request that its rightful caller may make.
    request: Vec<u8>,
    who: Who,
}

enum Who {
    /// Anyone, with or without a token.
    Anyone,
    /// Any user, each about themselves: there is nobody else's that could be named.
    Self_,
    /// The owner of what the request names, and staff; others learn nothing.
    Owner { not_found: &'static str },
    /// The owner of what the request names, and not even staff.
    OwnerOnly { not_found: &'static str },
    /// Agents and admins; customers learn that it is not for them, and nothing of what it is about.
    Staff,
    /// Admins; others learn that it is not for them, and nothing of what it is about.
    Admin,
    /// Not served here at all.
    Elsewhere,
}

/// Requests that the role may not make, by the role's token.
struct Forbidden {
    path: &'static str,
    request: Vec<u8>,
    by_staff: bool,
    code: Code,
    reason: &'static str,
}

/// What the requests name.
struct Named<'a> {
    ticket: &'a str,
    reply: &'a str,
    /// One that was cancelled, and can be so again.
    running: &'a str,
    drafts: &'a [String; 2],
    session: &'a str,
    user: &'a str,
}

fn table(named: &Named<'_>) -> BTreeMap<String, Access> {
    const TICKET: Who = Who::Owner {
        not_found: "TICKET_NOT_FOUND",
    };
    const REPLY: Who = Who::Owner {
        not_found: "REPLY_NOT_FOUND",
    };
    const SESSION: Who = Who::OwnerOnly {
        not_found: "SESSION_NOT_FOUND",
    };
    let ticket_id = || named.ticket.to_owned();
    let user_id = || named.user.to_owned();
    let (email, password) = (|| "new@example.com".to_owned(), || "correct horse battery".to_owned());
    let mut table = BTreeMap::new();
    let mut add = |service: &str, method: &str, who: Who, request: Vec<u8>| {
        table.insert(format!("/deskhand.{service}/{method}"), Access { request, who });
    };

    let auth = "accounts.v1.AuthService";
    let new = SignUpRequest {
        email: email(),
        password: password(),
        display_name: "New".into(),
    };
    add(auth, "SignUp", Who::Anyone, new.encode_to_vec());
    add(
        auth,
        "LogIn",
        Who::Anyone,
        LogInRequest {
            email: email(),
            password: password(),
        }
        .encode_to_vec(),
    );
    add(
        auth,
        "RefreshToken",
        Who::Anyone,
        RefreshTokenRequest {
            refresh_token: "A".repeat(43),
        }
        .encode_to_vec(),
    );
    add(auth, "LogOut", Who::Self_, LogOutRequest {}.encode_to_vec());
    add(auth, "GetMe", Who::Self_, GetMeRequest {}.encode_to_vec());
    let change = ChangePasswordRequest {
        current_password: password(),
        new_password: "another long one".into(),
    };
    add(auth, "ChangePassword", Who::Self_, change.encode_to_vec());
    add(
        auth,
        "ListSessions",
        Who::Self_,
        ListSessionsRequest::default().encode_to_vec(),
    );
    add(
        auth,
        "RevokeSession",
        SESSION,
        RevokeSessionRequest {
            session_id: named.session.into(),
        }
        .encode_to_vec(),
    );
    add(
        auth,
        "RequestPasswordReset",
        Who::Anyone,
        RequestPasswordResetRequest { email: email() }.encode_to_vec(),
    );
    let reset = ResetPasswordRequest {
        token: "A".repeat(43),
        new_password: "another long one".into(),
    };
    add(auth, "ResetPassword", Who::Anyone, reset.encode_to_vec());
    add(auth, "GetJwks", Who::Anyone, GetJwksRequest {}.encode_to_vec());

    let users = "accounts.v1.UserService";
    add(
        users,
        "ListUsers",
        Who::Admin,
        ListUsersRequest::default().encode_to_vec(),
    );
    add(
        users,
        "GetUser",
        Who::Admin,
        GetUserRequest { user_id: user_id() }.encode_to_vec(),
    );
    let role = SetUserRoleRequest {
        user_id: user_id(),
        role: UserRole::Agent.into(),
        ..Default::default()
    };
    add(users, "SetUserRole", Who::Admin, role.encode_to_vec());
    let disable = DisableUserRequest {
        user_id: user_id(),
        ..Default::default()
    };
    add(users, "DisableUser", Who::Admin, disable.encode_to_vec());
    let enable = EnableUserRequest {
        user_id: user_id(),
        ..Default::default()
    };
    add(users, "EnableUser", Who::Admin, enable.encode_to_vec());
    add(
        users,
        "ListAuditEvents",
        Who::Admin,
        ListAuditEventsRequest::default().encode_to_vec(),
    );

    let tickets = "tickets.v1.TicketService";
    let create = CreateTicketRequest {
        title: "t".into(),
        description: "d".into(),
        ..Default::default()
    };
    add(tickets, "CreateTicket", Who::Self_, create.encode_to_vec());
    add(
        tickets,
        "GetTicket",
        TICKET,
        GetTicketRequest { ticket_id: ticket_id() }.encode_to_vec(),
    );
    add(
        tickets,
        "ListTickets",
        Who::Self_,
        ListTicketsRequest::default().encode_to_vec(),
    );
    let post = PostMessageRequest {
        ticket_id: ticket_id(),
        body: "hello".into(),
        ..Default::default()
    };
    add(tickets, "PostMessage", TICKET, post.encode_to_vec());
    let title = UpdateTicketRequest {
        ticket: Some(Ticket {
            id: ticket_id(),
            title: "another".into(),
            ..Default::default()
        }),
        update_mask: Some(FieldMask {
            paths: vec!["title".into()],
        }),
        ..Default::default()
    };
    add(tickets, "UpdateTicket", TICKET, title.encode_to_vec());
    let assign = AssignTicketRequest {
        ticket_id: ticket_id(),
        ..Default::default()
    };
    add(tickets, "AssignTicket", Who::Staff, assign.encode_to_vec());
    let events = ListTicketEventsRequest {
        ticket_id: ticket_id(),
        ..Default::default()
    };
    add(tickets, "ListTicketEvents", TICKET, events.encode_to_vec());
    let messages = ListMessagesRequest {
        ticket_id: ticket_id(),
        ..Default::default()
    };
    add(tickets, "ListMessages", TICKET, messages.encode_to_vec());

    let watch = WatchTicketsRequest::default();
    add("feed.v1.FeedService", "WatchTickets", Who::Self_, watch.encode_to_vec());

    let replies = "replies.v1.ReplyService";
    let stream = StreamReplyRequest {
        ticket_id: ticket_id(),
        ..Default::default()
    };
    add(replies, "StreamReply", TICKET, stream.encode_to_vec());
    add(
        replies,
        "GetReply",
        REPLY,
        GetReplyRequest {
            reply_id: named.reply.into(),
        }
        .encode_to_vec(),
    );

    let attach = AttachReplyRequest {
        reply_id: named.reply.into(),
        ..Default::default()
    };
    add(replies, "AttachReply", REPLY, attach.encode_to_vec());
    let list = ListRepliesRequest {
        ticket_id: ticket_id(),
        ..Default::default()
    };
    add(replies, "ListReplies", TICKET, list.encode_to_vec());
    let cancel = CancelReplyRequest {
        reply_id: named.running.into(),
        ..Default::default()
    };
    add(replies, "CancelReply", REPLY, cancel.encode_to_vec());
    let rate = RateReplyRequest {
        reply_id: named.reply.into(),
        verdict: Verdict::Helpful.into(),
        ..Default::default()
    };
    add(replies, "RateReply", REPLY, rate.encode_to_vec());
    let accept = AcceptDraftRequest {
        reply_id: named.drafts[0].clone(),
        ..Default::default()
    };
    add(replies, "AcceptDraft", Who::Staff, accept.encode_to_vec());
    let discard = DiscardDraftRequest {
        reply_id: named.drafts[1].clone(),
        ..Default::default()
    };
    add(replies, "DiscardDraft", Who::Staff, discard.encode_to_vec());
    let summarize = SummarizeTicketRequest {
        ticket_id: ticket_id(),
        ..Default::default()
    };
    add(replies, "SummarizeTicket", Who::Staff, summarize.encode_to_vec());
    let triage = TriageTicketRequest {
        ticket_id: ticket_id(),
        ..Default::default()
    };
    add(replies, "TriageTicket", Who::Staff, triage.encode_to_vec());
    let rewrite = RewriteTextRequest {
        text: "No.".into(),
        tone: Tone::Friendly.into(),
        ..Default::default()
    };
    add(replies, "RewriteText", Who::Staff, rewrite.encode_to_vec());
    add(
        replies,
        "GetUsage",
        Who::Admin,
        GetUsageRequest::default().encode_to_vec(),
    );

    for method in [
        "StreamReply",
        "Summarize",
        "Triage",
        "Rewrite",
        "ListPrompts",
        "RenderPrompt",
        "ListModels",
    ] {
        add("assistant.v1.AssistantService", method, Who::Elsewhere, Vec::new());
    }
    table
}

fn forbidden(ticket_id: &str) -> Vec<Forbidden> {
    let stream = |mode: ReplyMode| {
        StreamReplyRequest {
            ticket_id: ticket_id.into(),
            mode: mode.into(),
            ..Default::default()
        }
        .encode_to_vec()
    };
    vec![
        Forbidden {
            path: "/deskhand.tickets.v1.TicketService/PostMessage",
            request: PostMessageRequest {
                ticket_id: ticket_id.into(),
                body: "note".into(),
                visibility: MessageVisibility::Internal.into(),
                ..Default::default()
            }
            .encode_to_vec(),
            by_staff: false,
            code: Code::PermissionDenied,
            reason: "ROLE_NOT_ALLOWED",
        },
        Forbidden {
            path: "/deskhand.tickets.v1.TicketService/CreateTicket",
            request: CreateTicketRequest {
                title: "t".into(),
                description: "d".into(),
                priority: TicketPriority::Urgent.into(),
                ..Default::default()
            }
            .encode_to_vec(),
            by_staff: false,
            code: Code::InvalidArgument,
            reason: "INVALID_FIELDS",
        },
        Forbidden {
            path: "/deskhand.replies.v1.ReplyService/StreamReply",
            request: stream(ReplyMode::Draft),
            by_staff: false,
            code: Code::PermissionDenied,
            reason: "ROLE_NOT_ALLOWED",
        },
        Forbidden {
            path: "/deskhand.replies.v1.ReplyService/StreamReply",
            request: stream(ReplyMode::Post),
            by_staff: true,
            code: Code::PermissionDenied,
            reason: "ROLE_NOT_ALLOWED",
        },
    ]
}

/// `/package.Service/Method` of everything in our contracts.
fn all_rpcs() -> Vec<String> {
    let contracts = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut paths = Vec::new();
    for file in contracts
        .file
        .iter()
        .filter(|file| file.package().starts_with("deskhand."))
    {
        for service in &file.service {
            for method in &service.method {
                paths.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    paths.sort();
    paths
}

/// A desk with a ticket and a posted reply of one customer, and everyone who may or may not see them.
struct Scene {
    desk: Desk,
    owner: User,
    other: User,
    agent: User,
    admin: User,
    ticket_id: String,
    reply_id: String,
    cancelled_id: String,
    drafts: [String; 2],
    session_id: String,
}

impl Scene {
    async fn new() -> Self {
        let desk = Desk::open().await;
        let (owner, other) = (desk.customer().await, desk.customer().await);
        let (agent, admin) = (desk.agent().await, desk.admin().await);
        let ticket_id = desk.ticket(&owner).await;
        let mut drafts = <[String; 2]>::default();
        for draft in &mut drafts {
            *draft = desk.ask(&agent, &ticket_id).await.whole().await.reply_id;
            desk.say(&owner, &ticket_id, "and?").await;
        }
        let reply_id = desk.ask(&owner, &ticket_id).await.whole().await.reply_id;
        desk.say(&owner, &ticket_id, "[sim:silent-before-first-token] and?")
            .await;
        let mut running = desk.ask(&owner, &ticket_id).await;
        let Some(Event::Started(started)) = running.next().await else {
            panic!("it starts");
        };
        let cancelled_id = started.reply_id;
        let cancel = CancelReplyRequest {
            reply_id: cancelled_id.clone(),
            ..Default::default()
        };
        desk.replies().cancel_reply(owner.asks(cancel)).await.unwrap();
        desk.say(&owner, &ticket_id, "[sim:ok] never mind").await;
        desk.log_in(&owner.email).await;
        let sessions = desk
            .auth()
            .list_sessions(owner.asks(ListSessionsRequest::default()))
            .await
            .unwrap();
        let sessions = sessions.into_inner().sessions;
        let session_id = sessions.into_iter().find(|session| !session.current).unwrap().id;
        Self {
            desk,
            owner,
            other,
            agent,
            admin,
            ticket_id,
            reply_id,
            cancelled_id,
            drafts,
            session_id,
        }
    }

    fn table(&self) -> BTreeMap<String, Access> {
        table(&Named {
            ticket: &self.ticket_id,
            reply: &self.reply_id,
            running: &self.cancelled_id,
            drafts: &self.drafts,
            session: &self.session_id,
            user: &self.other.id,
        })
    }

    async fn call(&self, path: &str, user: &User, request: &[u8]) -> Result<Bytes, Status> {
        raw::call(&self.desk.channel, path, user.asks(Bytes::copy_from_slice(request))).await
    }
}

#[tokio::test]
async fn every_rpc_has_its_access_cases() {
    let table = table(&Named {
        ticket: "",
        reply: "",
        running: "",
        drafts: &Default::default(),
        session: "",
        user: "",
    });
    assert_eq!(all_rpcs(), table.into_keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn without_a_valid_token_nothing_but_the_open_methods_answers() {
    let scene = Scene::new().await;
    let now = OffsetDateTime::now_utc();
    let tokens = Tokens::new(Keys::from_folder(&scene.desk.keys_dir()).unwrap());
    let caller = Caller {
        user: scene.owner.id.parse().unwrap(),
        role: Role::Customer,
        session: Uuid::now_v7(),
    };
    let expired = tokens.issue(&caller, now - time::Duration::minutes(11)).unwrap().0;
    let garbled = scene.owner.token.replace('.', "-");

    for (path, access) in scene.table() {
        let request = || Bytes::from(access.request.clone());
        let anyone = matches!(access.who, Who::Anyone);
        for (reason, asked) in [
            ("TOKEN_MISSING", Request::new(request())),
            ("TOKEN_INVALID", with_token(request(), &garbled)),
            ("TOKEN_EXPIRED", with_token(request(), &expired)),
        ] {
            match raw::call(&scene.desk.channel, &path, asked).await {
                Ok(_) => assert!(anyone, "{path} answers without a valid token ({reason})"),
                Err(status) if anyone => {
                    assert!(
                        !told(&status).1.starts_with("TOKEN_"),
                        "{path} is open to anyone ({reason})"
                    );
                }
                Err(status) => {
                    assert_eq!(
                        told(&status),
                        (Code::Unauthenticated, reason.to_owned(), vec![]),
                        "{path}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_another_s_is_as_if_it_never_existed() {
    let scene = Scene::new().await;
    let nowhere = Uuid::now_v7().to_string();
    let nobody_s = table(&Named {
        ticket: &nowhere,
        reply: &nowhere,
        running: &nowhere,
        drafts: &[nowhere.clone(), nowhere.clone()],
        session: &nowhere,
        user: &nowhere,
    });
    for (path, access) in scene.table() {
        let (not_found, staff_may) = match access.who {
            Who::Owner { not_found } => (not_found, true),
            Who::OwnerOnly { not_found } => (not_found, false),
            _ => continue,
        };
        let seen = scene.call(&path, &scene.other, &access.request).await.expect_err(&path);
        let nothing = scene
            .call(&path, &scene.other, &nobody_s[&path].request)
            .await
            .expect_err(&path);
        assert_eq!(told(&seen), (Code::NotFound, not_found.to_owned(), vec![]), "{path}");
        assert_eq!(
            (seen.code(), seen.message(), seen.details()),
            (nothing.code(), nothing.message(), nothing.details())
        );
        for staff in [&scene.agent, &scene.admin] {
            let answer = scene.call(&path, staff, &access.request).await;
            assert_eq!(answer.is_ok(), staff_may, "{path}");
        }
        scene.call(&path, &scene.owner, &access.request).await.expect(&path);
    }
    assert_eq!(
        scene
            .desk
            .count("SELECT count(*) FROM messages WHERE body = 'hello'")
            .await,
        3
    );
}

#[tokio::test]
async fn what_is_for_some_tells_others_nothing() {
    let scene = Scene::new().await;
    let nowhere = Uuid::now_v7().to_string();
    let nobody_s = table(&Named {
        ticket: &nowhere,
        reply: &nowhere,
        running: &nowhere,
        drafts: &[nowhere.clone(), nowhere.clone()],
        session: &nowhere,
        user: &nowhere,
    });
    let before = scene.desk.count("SELECT count(*) FROM audit_events").await;
    for (path, access) in scene.table() {
        let others: &[&User] = match access.who {
            Who::Admin => &[&scene.owner, &scene.agent],
            Who::Staff => &[&scene.owner, &scene.other],
            _ => continue,
        };
        for user in others {
            // Not even whether the request makes sense.
            for request in [&access.request, &nobody_s[&path].request, &Vec::new()] {
                let refused = scene.call(&path, user, request).await.expect_err(&path);
                assert_eq!(
                    told(&refused),
                    (Code::PermissionDenied, "ROLE_NOT_ALLOWED".to_owned(), vec![]),
                    "{path}"
                );
            }
        }
    }
    assert_eq!(scene.desk.count("SELECT count(*) FROM audit_events").await, before);
    for (path, access) in scene.table() {
        if matches!(access.who, Who::Admin | Who::Staff) {
            scene.call(&path, &scene.admin, &access.request).await.expect(&path);
        }
        if matches!(access.who, Who::Staff) {
            scene.call(&path, &scene.agent, &access.request).await.expect(&path);
        }
    }
}

#[tokio::test]
async fn lists_hold_only_what_is_the_caller_s() {
    let scene = Scene::new().await;
    let list = async |user: &User| {
        let answer = scene
            .desk
            .tickets()
            .list_tickets(user.asks(ListTicketsRequest::default()))
            .await
            .unwrap();
        answer.into_inner().tickets.len()
    };
    assert_eq!(list(&scene.owner).await, 1);
    assert_eq!(list(&scene.other).await, 0);
    assert_eq!(list(&scene.agent).await, 1);
}

#[tokio::test]
async fn what_the_role_may_not_do_changes_nothing() {
    let scene = Scene::new().await;
    let rows =
        "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM tickets) + (SELECT count(*) FROM replies)";
    let before = scene.desk.count(rows).await;
    for case in forbidden(&scene.ticket_id) {
        let user = if case.by_staff { &scene.agent } else { &scene.owner };
        let answer = raw::call(&scene.desk.channel, case.path, user.asks(Bytes::from(case.request))).await;
        let (code, reason, _) = told(&answer.expect_err(case.path));
        assert_eq!((code, reason.as_str()), (case.code, case.reason), "{}", case.path);
    }
    assert_eq!(scene.desk.count(rows).await, before);
}

#[tokio::test]
async fn the_assistant_is_not_reached_through_this_service() {
    let scene = Scene::new().await;
    for (path, access) in scene.table() {
        if matches!(access.who, Who::Elsewhere) {
            let answer = scene.call(&path, &scene.admin, &[]).await;
            assert_eq!(told(&answer.expect_err(&path)).0, Code::Unimplemented, "{path}");
        }
    }
}

//! Who may call what: every RPC of the contracts stands in a table here, or this fails.

use std::collections::BTreeMap;

use bytes::Bytes;
use deskhand_proto::FILE_DESCRIPTOR_SET;
use deskhand_proto::accounts::v1::{GetMeRequest, LogInRequest, SignUpRequest};
use deskhand_proto::replies::v1::{GetReplyRequest, ReplyMode, StreamReplyRequest};
use deskhand_proto::tickets::v1::{
    CreateTicketRequest, GetTicketRequest, ListMessagesRequest, ListTicketsRequest, MessageVisibility,
    PostMessageRequest, TicketPriority,
};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use ticket_service::accounts::keys::Keys;
use ticket_service::accounts::tokens::Tokens;
use ticket_service::caller::{Caller, Role};
use time::OffsetDateTime;
use tonic::{Code, Request};
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

fn table(ticket_id: &str, reply_id: &str) -> BTreeMap<&'static str, Access> {
    let ticket_id = || ticket_id.to_owned();
    let owner = |request: Vec<u8>| Access {
        request,
        who: Who::Owner {
            not_found: "TICKET_NOT_FOUND",
        },
    };
    let elsewhere = || Access {
        request: Vec::new(),
        who: Who::Elsewhere,
    };
    let sign_up = SignUpRequest {
        email: "new@example.com".into(),
        password: "correct horse".into(),
        display_name: "New".into(),
    };
    let create = CreateTicketRequest {
        title: "t".into(),
        description: "d".into(),
        ..Default::default()
    };
    let post = PostMessageRequest {
        ticket_id: ticket_id(),
        body: "hello".into(),
        ..Default::default()
    };
    let messages = ListMessagesRequest {
        ticket_id: ticket_id(),
        ..Default::default()
    };
    let stream = StreamReplyRequest {
        ticket_id: ticket_id(),
        ..Default::default()
    };
    let get_reply = GetReplyRequest {
        reply_id: reply_id.to_owned(),
    };
    BTreeMap::from([
        (
            "/deskhand.accounts.v1.AuthService/SignUp",
            Access {
                request: sign_up.encode_to_vec(),
                who: Who::Anyone,
            },
        ),
        (
            "/deskhand.accounts.v1.AuthService/LogIn",
            Access {
                request: LogInRequest {
                    email: "new@example.com".into(),
                    password: "correct horse".into(),
                }
                .encode_to_vec(),
                who: Who::Anyone,
            },
        ),
        (
            "/deskhand.accounts.v1.AuthService/GetMe",
            Access {
                request: GetMeRequest {}.encode_to_vec(),
                who: Who::Self_,
            },
        ),
        (
            "/deskhand.tickets.v1.TicketService/CreateTicket",
            Access {
                request: create.encode_to_vec(),
                who: Who::Self_,
            },
        ),
        (
            "/deskhand.tickets.v1.TicketService/GetTicket",
            owner(GetTicketRequest { ticket_id: ticket_id() }.encode_to_vec()),
        ),
        (
            "/deskhand.tickets.v1.TicketService/ListTickets",
            Access {
                request: ListTicketsRequest::default().encode_to_vec(),
                who: Who::Self_,
            },
        ),
        (
            "/deskhand.tickets.v1.TicketService/PostMessage",
            owner(post.encode_to_vec()),
        ),
        (
            "/deskhand.tickets.v1.TicketService/ListMessages",
            owner(messages.encode_to_vec()),
        ),
        (
            "/deskhand.replies.v1.ReplyService/StreamReply",
            owner(stream.encode_to_vec()),
        ),
        (
            "/deskhand.replies.v1.ReplyService/GetReply",
            Access {
                request: get_reply.encode_to_vec(),
                who: Who::Owner {
                    not_found: "REPLY_NOT_FOUND",
                },
            },
        ),
        ("/deskhand.assistant.v1.AssistantService/StreamReply", elsewhere()),
        ("/deskhand.assistant.v1.AssistantService/ListPrompts", elsewhere()),
        ("/deskhand.assistant.v1.AssistantService/RenderPrompt", elsewhere()),
        ("/deskhand.assistant.v1.AssistantService/ListModels", elsewhere()),
    ])
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
    ticket_id: String,
    reply_id: String,
}

async fn scene() -> Scene {
    let desk = Desk::open().await;
    let (owner, other, agent) = (desk.customer().await, desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&owner).await;
    let reply_id = desk.ask(&owner, &ticket_id).await.whole().await.reply_id;
    Scene {
        desk,
        owner,
        other,
        agent,
        ticket_id,
        reply_id,
    }
}

#[tokio::test]
async fn every_rpc_has_its_access_cases() {
    let table = table("", "");
    assert_eq!(all_rpcs(), table.keys().map(ToString::to_string).collect::<Vec<_>>());
}

#[tokio::test]
async fn without_a_valid_token_nothing_but_the_open_methods_answers() {
    let scene = scene().await;
    let now = OffsetDateTime::now_utc();
    let tokens = Tokens::new(Keys::from_folder(&scene.desk.keys_dir()).unwrap());
    let caller = Caller {
        user: scene.owner.id.parse().unwrap(),
        role: Role::Customer,
        session: Uuid::now_v7(),
    };
    let expired = tokens.issue(&caller, now - time::Duration::minutes(11)).unwrap().0;
    let garbled = scene.owner.token.replace('.', "-");

    for (path, access) in table(&scene.ticket_id, &scene.reply_id) {
        let request = || Bytes::from(access.request.clone());
        let anyone = matches!(access.who, Who::Anyone);
        for (reason, asked) in [
            ("TOKEN_MISSING", Request::new(request())),
            ("TOKEN_INVALID", with_token(request(), &garbled)),
            ("TOKEN_EXPIRED", with_token(request(), &expired)),
        ] {
            let answer = raw::call(&scene.desk.channel, path, asked).await;
            match answer {
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
    let scene = scene().await;
    let nowhere = Uuid::now_v7().to_string();
    let theirs = table(&scene.ticket_id, &scene.reply_id);
    let nobody_s = table(&nowhere, &nowhere);
    for (path, access) in &theirs {
        let Who::Owner { not_found } = access.who else { continue };
        let call = async |user: &User, request: &[u8]| {
            raw::call(&scene.desk.channel, path, user.asks(Bytes::copy_from_slice(request))).await
        };
        let seen = call(&scene.other, &access.request).await.expect_err(path);
        let nothing = call(&scene.other, &nobody_s[path].request).await.expect_err(path);

        assert_eq!(told(&seen), (Code::NotFound, not_found.to_owned(), vec![]), "{path}");
        assert_eq!(
            (seen.code(), seen.message(), seen.details()),
            (nothing.code(), nothing.message(), nothing.details())
        );
        call(&scene.owner, &access.request).await.expect(path);
        call(&scene.agent, &access.request).await.expect(path);
    }
    assert_eq!(
        scene
            .desk
            .count("SELECT count(*) FROM messages WHERE body = 'hello'")
            .await,
        2
    );
}

#[tokio::test]
async fn lists_hold_only_what_is_the_caller_s() {
    let scene = scene().await;
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
    let scene = scene().await;
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
    let scene = scene().await;
    for (path, access) in table(&scene.ticket_id, &scene.reply_id) {
        if matches!(access.who, Who::Elsewhere) {
            let answer = raw::call(&scene.desk.channel, path, scene.agent.asks(Bytes::new())).await;
            assert_eq!(told(&answer.expect_err(path)).0, Code::Unimplemented, "{path}");
        }
    }
}

//! Clients that are browsers, or speak gRPC: pages of other hosts, gRPC-Web, and gRPC itself.

use deskhand_proto::accounts::v1::auth_service_client::AuthServiceClient;
use deskhand_proto::accounts::v1::{GetMeRequest, LogInRequest, SignUpRequest};
use deskhand_proto::replies::v1::reply_event::Event;
use deskhand_proto::replies::v1::{StreamReplyRequest, StreamReplyResponse};
use deskhand_proto::tickets::v1::ticket_service_client::TicketServiceClient;
use deskhand_proto::tickets::v1::{CreateTicketRequest, CreateTicketResponse, GetTicketRequest};
use prost::Message;
use reqwest::{Method, StatusCode};
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::client::{Client, PASSWORD};
use crate::system::System;

const PAGE: &str = "https://app.example";

/// The shared system knows no other host's pages; this one does.
async fn open_to_a_page() -> std::sync::Arc<System> {
    std::sync::Arc::new(System::with(&[("CORS_ALLOWED_ORIGINS", PAGE)]))
}

#[tokio::test]
async fn pages_of_named_origins_may_call_and_others_may_not() {
    let system = open_to_a_page().await;
    let client = Client::customer(&system).await;
    let preflight = |origin: &'static str, method: &'static str| {
        let request = Client::of(&system).request(Method::OPTIONS, "/v1/tickets");
        request
            .header("origin", origin)
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "authorization,content-type")
            .send()
    };
    let allowed = preflight(PAGE, "POST").await.unwrap();
    assert_eq!(allowed.status(), StatusCode::OK);
    assert_eq!(allowed.headers()["access-control-allow-origin"], PAGE);
    for (header, needed) in [
        ("access-control-allow-methods", "PATCH"),
        ("access-control-allow-headers", "authorization"),
        ("access-control-allow-headers", "x-grpc-web"),
    ] {
        assert!(allowed.headers()[header].to_str().unwrap().contains(needed), "{header}");
    }
    assert!(!allowed.headers().contains_key("access-control-allow-credentials"));
    for origin in [
        "https://evil.example",
        "https://app.example.evil.example",
        "http://app.example",
        "null",
    ] {
        let refused = preflight(origin, "POST").await.unwrap();
        assert!(
            !refused.headers().contains_key("access-control-allow-origin"),
            "{origin}"
        );
    }

    // Errors too can be read, whoever makes them: the gateway, the check of JSON, the service.
    for (request, status) in [
        (client.request(Method::GET, "/v1/me"), 200),
        (Client::of(&system).request(Method::GET, "/v1/me"), 401),
        (
            client
                .request(Method::POST, "/v1/tickets")
                .header("content-type", "application/json")
                .body("{"),
            400,
        ),
        (
            client.request(Method::GET, "/v1/tickets/019a4c1e-7b5a-7c3d-9e2f-0123456789ab"),
            404,
        ),
    ] {
        let answer = request.header("origin", PAGE).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["access-control-allow-origin"], PAGE, "{status}");
        assert!(
            answer.headers()["access-control-expose-headers"]
                .to_str()
                .unwrap()
                .contains("x-request-id")
        );
    }
    let stranger = client
        .request(Method::GET, "/v1/me")
        .header("origin", "https://evil.example");
    assert!(
        !stranger
            .send()
            .await
            .unwrap()
            .headers()
            .contains_key("access-control-allow-origin")
    );
}

fn frame(message: &impl Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    frame
}

/// The messages of a body, and its trailers.
fn frames(mut body: &[u8]) -> (Vec<&[u8]>, String) {
    let (mut messages, mut trailers) = (Vec::new(), String::new());
    while let [kind, a, b, c, d, rest @ ..] = body {
        let (content, after) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        match kind {
            0 => messages.push(content),
            0x80 => trailers = String::from_utf8(content.to_vec()).unwrap().to_ascii_lowercase(),
            other => panic!("a frame of kind {other}"),
        }
        body = after;
    }
    (messages, trailers)
}

async fn grpc_web(client: &Client, path: &str, message: &impl Message) -> reqwest::Response {
    let request = client.request(Method::POST, path);
    let request = request
        .header("content-type", "application/grpc-web+proto")
        .header("x-grpc-web", "1");
    request.body(frame(message)).send().await.unwrap()
}

#[tokio::test]
async fn grpc_web_calls_and_streams() {
    let system = System::shared();
    let client = Client::customer(&system).await;
    let new = CreateTicketRequest {
        title: "Fire".into(),
        description: "It burns.".into(),
        ..Default::default()
    };
    let made = grpc_web(&client, "/deskhand.tickets.v1.TicketService/CreateTicket", &new).await;
    assert_eq!(made.headers()["content-type"], "application/grpc-web+proto");
    let body = made.bytes().await.unwrap();
    let (messages, trailers) = frames(&body);
    assert!(trailers.contains("grpc-status:0"), "{trailers}");
    let ticket = CreateTicketResponse::decode(messages[0]).unwrap().ticket.unwrap();

    let ask = StreamReplyRequest {
        ticket_id: ticket.id,
        ..Default::default()
    };
    let body = grpc_web(&client, "/deskhand.replies.v1.ReplyService/StreamReply", &ask)
        .await
        .bytes()
        .await
        .unwrap();
    let (messages, trailers) = frames(&body);
    assert!(trailers.contains("grpc-status:0"), "{trailers}");
    let last = StreamReplyResponse::decode(*messages.last().unwrap()).unwrap();
    assert!(matches!(last.event.unwrap().event, Some(Event::Completed(_))));

    let wrong = grpc_web(
        &client,
        "/deskhand.tickets.v1.TicketService/CreateTicket",
        &CreateTicketRequest::default(),
    )
    .await;
    let headers = wrong.headers().clone();
    let body = wrong.bytes().await.unwrap();
    let trailers = frames(&body).1;
    let status = headers
        .get("grpc-status")
        .map(|status| status.to_str().unwrap().to_owned());
    assert!(
        status.as_deref() == Some("3") || trailers.contains("grpc-status:3"),
        "{headers:?} {trailers}"
    );

    let nobody = Client::of(&system);
    let refused = grpc_web(&nobody, "/deskhand.accounts.v1.AuthService/GetMe", &GetMeRequest {}).await;
    assert_eq!(refused.headers()["grpc-status"], "16");
    assert!(refused.headers().contains_key("grpc-status-details-bin"));
}

#[tokio::test]
async fn grpc_passes_as_it_is() {
    let system = System::shared();
    let channel = Channel::from_shared(system.url("")).unwrap().connect().await.unwrap();
    let mut accounts = AuthServiceClient::new(channel.clone());
    let email = format!("{}@example.com", uuid::Uuid::now_v7());
    let new = SignUpRequest {
        email: email.clone(),
        password: PASSWORD.into(),
        display_name: "Ada".into(),
    };
    accounts.sign_up(new).await.unwrap();
    let session = accounts
        .log_in(LogInRequest {
            email,
            password: PASSWORD.into(),
        })
        .await
        .unwrap()
        .into_inner();

    let mut tickets = TicketServiceClient::new(channel.clone());
    let mut request = Request::new(GetTicketRequest {
        ticket_id: uuid::Uuid::now_v7().to_string(),
    });
    let bearer = format!("Bearer {}", session.access_token).parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    let refused = tickets.get_ticket(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(
        refused.get_error_details().error_info().unwrap().reason,
        "TICKET_NOT_FOUND"
    );

    // The gateway's own refusal has the same form.
    let refused = accounts.get_me(GetMeRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let details = refused.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(
        (info.reason.as_str(), info.domain.as_str()),
        ("TOKEN_MISSING", "deskhand")
    );
    assert_eq!(
        refused.message(),
        "Log in, and send one `authorization: Bearer <access token>`."
    );
    let large = SignUpRequest {
        display_name: "A".repeat(200_000),
        ..Default::default()
    };
    let refused = accounts.sign_up(large).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    assert_eq!(
        refused.get_error_details().error_info().unwrap().reason,
        "MESSAGE_TOO_LARGE"
    );
}

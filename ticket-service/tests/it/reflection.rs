//! Health and reflection, as clients without our proto files use them.

use std::collections::BTreeSet;

use tokio_stream::StreamExt as _;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{Desk, assert_refused};

const SERVED: [&str; 5] = [
    "deskhand.accounts.v1.AuthService",
    "deskhand.accounts.v1.UserService",
    "deskhand.feed.v1.FeedService",
    "deskhand.replies.v1.ReplyService",
    "deskhand.tickets.v1.TicketService",
];

#[tokio::test]
async fn each_service_and_the_whole_are_healthy_without_a_token() {
    let desk = Desk::open().await;
    let mut health = HealthClient::new(desk.channel.clone());
    for service in SERVED.iter().chain(&[""]) {
        let answer = health
            .check(HealthCheckRequest {
                service: (*service).into(),
            })
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = health
        .check(HealthCheckRequest {
            service: "nothing".into(),
        })
        .await;
    assert_refused(unknown, Code::NotFound, "SERVICE_UNKNOWN", &[]);
}

#[tokio::test]
async fn who_watches_hears_that_the_service_stops() {
    let mut desk = Desk::open().await;
    let mut health = HealthClient::new(desk.channel.clone());
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let stopping = tokio::spawn(async move { desk.stop().await });
    assert_eq!(
        watch.message().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    drop(watch);
    stopping.await.unwrap();
}

macro_rules! reflection {
    ($version:ident) => {
        #[tokio::test]
        async fn $version() {
            use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
            };

            let desk = Desk::open().await;
            let asked: Vec<_> = [
                MessageRequest::ListServices(String::new()),
                MessageRequest::FileContainingSymbol("deskhand.replies.v1.ReplyService".into()),
                MessageRequest::FileContainingSymbol("google.rpc.ErrorInfo".into()),
            ]
            .map(|request| ServerReflectionRequest {
                host: String::new(),
                message_request: Some(request),
            })
            .into();
            let mut client = ServerReflectionClient::new(desk.channel.clone());
            let request = Request::new(tokio_stream::iter(asked));
            let answers = client.server_reflection_info(request).await.unwrap().into_inner();
            let answers: Vec<_> = answers
                .map(|answer| answer.unwrap().message_response.unwrap())
                .collect()
                .await;
            let MessageResponse::ListServicesResponse(listed) = &answers[0] else {
                panic!("{answers:?}")
            };
            let listed: BTreeSet<_> = listed
                .service
                .iter()
                .map(|service| service.name.as_str())
                .collect();
            let served: BTreeSet<_> = SERVED.into_iter().chain(["grpc.health.v1.Health"]).collect();
            assert_eq!(listed, served);
            for answer in &answers[1..] {
                assert!(
                    matches!(answer, MessageResponse::FileDescriptorResponse(_)),
                    "{answer:?}"
                );
            }
        }
    };
}

reflection!(v1);
reflection!(v1alpha);

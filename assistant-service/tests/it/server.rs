//! What stands around the service: health, reflection, errors that tonic makes, the drain.

use std::time::{Duration, Instant};

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::assistant_service_server::SERVICE_NAME;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::harness::{Desk, about, reason};

#[tokio::test]
async fn it_is_healthy_as_a_whole_and_by_name() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    assert_eq!(desk.health("").await, ServingStatus::Serving);
    assert_eq!(desk.health(SERVICE_NAME).await, ServingStatus::Serving);
    service_kit::probe::healthy(desk.address).await.unwrap();
}

#[tokio::test]
async fn reflection_names_it_in_both_versions() {
    use futures_util::{StreamExt as _, stream};
    use tonic_reflection::pb::{v1, v1alpha};
    let (desk, _sim) = Desk::simulated(&[]).await;

    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(desk.channel.clone());
    let mut answers = client
        .server_reflection_info(stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    assert!(format!("{:?}", answers.next().await).contains(SERVICE_NAME));

    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(desk.channel.clone());
    let mut answers = client
        .server_reflection_info(stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    assert!(format!("{:?}", answers.next().await).contains(SERVICE_NAME));
}

#[tokio::test]
async fn a_request_that_is_no_message_is_told_so() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let mut grpc = tonic::client::Grpc::new(desk.channel.clone());
    grpc.ready().await.unwrap();
    // A StreamReplyRequest whose `conversation` is a string that is no message.
    let path = "/deskhand.assistant.v1.AssistantService/RenderPrompt".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<String, proto::RenderPromptResponse>::default();
    let status = grpc
        .unary(tonic::Request::new("\u{7f}\u{7f}".to_owned()), path, codec)
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "MALFORMED_REQUEST")
    );
}

#[tokio::test]
async fn a_drain_lets_an_open_answer_end_and_takes_no_more() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let mut stream = desk
        .client
        .clone()
        .stream_reply(about("[sim:ok token_ms=20 tokens=20 reasoning=0]"))
        .await
        .unwrap()
        .into_inner();
    stream.message().await.unwrap().unwrap();
    desk.stop.send(()).unwrap();

    let mut last = None;
    while let Some(message) = stream.message().await.unwrap() {
        last = message.event;
    }
    assert!(matches!(last, Some(proto::stream_reply_response::Event::Finished(_))));
    let began = Instant::now();
    desk.served.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(service_kit::probe::healthy(desk.address).await.is_err());
}

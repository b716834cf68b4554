//! Callers that stop reading: what is written for them stays where it is, and nobody else notices.

use std::time::Duration;

use deskhand_proto::assistant::v1::assistant_service_client::AssistantServiceClient;
use futures_util::future::join_all;
use groq_sim::{Keep, Limits, Outcome, Settings};
use tonic::Request;
use tonic::transport::Channel;

use crate::harness::{Desk, PATIENCE, about};

/// Some 15 MB on the wire.
const ENDLESS: &str = "[sim:ok tokens=60000 reasoning=0]";

async fn desk() -> (Desk, groq_sim::Running) {
    let settings = Settings {
        limits: Limits {
            requests_per_day: 1_000_000_000,
            tokens_per_minute: 1_000_000_000,
            ..Limits::GENEROUS
        },
        keep: Keep { calls: 2_000 },
        ..Settings::instant()
    };
    let sim = groq_sim::start(settings).await.unwrap();
    let desk = Desk::asking(&sim.base_url(), &["--answer-tokens", "61000"]).await;
    (desk, sim)
}

/// A client that takes little before it has to read on: an answer has at most 100,000 characters.
async fn small(desk: &Desk) -> AssistantServiceClient<Channel> {
    let endpoint = Channel::from_shared(format!("http://{}", desk.address)).unwrap();
    let channel = endpoint.initial_stream_window_size(1024).connect().await.unwrap();
    AssistantServiceClient::new(channel)
}

#[tokio::test]
async fn one_that_stalls_among_a_thousand_holds_up_only_itself() {
    let (desk, sim) = desk().await;
    let mut stalled = small(&desk)
        .await
        .stream_reply(about(ENDLESS))
        .await
        .unwrap()
        .into_inner();
    stalled.message().await.unwrap();
    let calls = sim
        .control()
        .wait_for_calls(PATIENCE, |calls| calls.first().is_some_and(|call| call.chunks > 100));
    calls.await.expect("it is being written");

    let mut others = 0;
    for _ in 0..10 {
        let replies = join_all((0..100).map(|_| desk.reply(about("[sim:ok tokens=20]")))).await;
        others += replies.iter().filter(|reply| reply.finished()).count();
    }
    assert_eq!(others, 1_000);

    // What was written for it lies in buffers that do not grow: sockets and windows, no queue of ours.
    let written = |calls: &[groq_sim::Call]| calls.iter().find(|call| call.scenario.contains("60000")).cloned();
    let call = written(&sim.control().calls()).unwrap();
    assert_eq!(call.outcome, Outcome::Running, "{} bytes", call.bytes);
    assert!(call.bytes < 12 << 20, "{} bytes", call.bytes);
    println!("written for a reader that stalls: {} KiB", call.bytes >> 10);
    drop(stalled);
    let closed = sim.control().wait_for_calls(PATIENCE, |calls| {
        written(calls).is_some_and(|call| call.outcome == Outcome::ClientClosed)
    });
    closed.await.expect("the provider is cut off");
}

#[tokio::test]
async fn a_deadline_cuts_the_provider_off_though_nobody_reads() {
    let (desk, sim) = desk().await;
    let mut request = Request::new(about(ENDLESS));
    // The simulator needs a while to think of so long an answer.
    request.set_timeout(Duration::from_secs(5));
    let mut stalled = small(&desk).await.stream_reply(request).await.unwrap().into_inner();
    stalled.message().await.unwrap();
    let calls = sim
        .control()
        .wait_for_ended(1, PATIENCE)
        .await
        .expect("the provider is cut off");
    assert_eq!(calls[0].outcome, Outcome::ClientClosed);
    assert!(calls[0].ended_ms.unwrap() < 6_500.0);
    drop(stalled);
}

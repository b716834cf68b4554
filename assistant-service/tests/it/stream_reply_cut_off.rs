//! Callers that go away, and callers whose time is over: the provider is cut off at once.

use std::time::{Duration, Instant};

use deskhand_proto::assistant::v1::stream_reply_response::Event;
use groq_sim::Outcome;
use tonic::{Code, Request};

use crate::harness::{Desk, PATIENCE, about, reason};

/// In each, a call stays open for as long as one lets it.
const PHASES: [(&str, u32); 4] = [
    ("silent-before-headers", 0),
    ("silent-before-first-token", 0),
    ("silent-in-middle", 5),
    ("ok token_ms=10 tokens=3000 reasoning=0", 5),
];

#[tokio::test]
async fn a_caller_that_goes_away_closes_the_provider_s_connection() {
    let (desk, sim) = Desk::simulated(&["--answer-tokens", "4000"]).await;
    let mut fastest = [Duration::MAX; PHASES.len()];
    let mut ended = 0;
    // The machine may be busy; what matters is what the service does when it is not.
    for _ in 0..3 {
        for (phase, (scenario, chunks)) in PHASES.into_iter().enumerate() {
            let request = about(&format!("[sim:{scenario}]"));
            let mut stream = desk.client.clone().stream_reply(request).await.unwrap().into_inner();
            let begun = stream.message().await.unwrap().unwrap().event;
            assert!(matches!(begun, Some(Event::CallStarted(_))));
            let running = sim.control().wait_for_calls(PATIENCE, |calls| {
                calls.len() == ended + 1 && calls[ended].chunks >= chunks && calls[ended].outcome == Outcome::Running
            });
            running.await.expect("the call runs");

            let left = Instant::now();
            drop(stream);
            ended += 1;
            let calls = sim
                .control()
                .wait_for_ended(ended, PATIENCE)
                .await
                .expect("the connection is closed");
            fastest[phase] = fastest[phase].min(left.elapsed());
            assert_eq!(calls[ended - 1].outcome, Outcome::ClientClosed, "{scenario}");
        }
    }
    for (fastest, (scenario, _)) in fastest.into_iter().zip(PHASES) {
        assert!(fastest < Duration::from_millis(100), "{scenario}: {fastest:?}");
    }
}

#[tokio::test]
async fn a_caller_s_deadline_ends_the_stream_and_the_provider_s_call() {
    let (desk, sim) = Desk::simulated(&["--answer-tokens", "4000"]).await;
    for (at, (scenario, _)) in PHASES.into_iter().enumerate() {
        let mut request = Request::new(about(&format!("[sim:{scenario}]")));
        request.set_timeout(Duration::from_millis(300));
        let began = Instant::now();
        let status = match desk.client.clone().stream_reply(request).await {
            Err(status) => status,
            Ok(response) => {
                let mut stream = response.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => assert!(!matches!(message.event, Some(Event::Finished(_)))),
                        Ok(None) => panic!("{scenario}: ended well"),
                        Err(status) => break status,
                    }
                }
            }
        };
        assert_eq!(status.code(), Code::DeadlineExceeded, "{scenario}: {status:?}");
        assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{scenario}: {:?}",
            began.elapsed()
        );
        let calls = sim
            .control()
            .wait_for_ended(at + 1, PATIENCE)
            .await
            .expect("the connection is closed");
        assert_eq!(calls[at].outcome, Outcome::ClientClosed, "{scenario}");
    }
}

#[tokio::test]
async fn a_thousand_callers_that_go_away_leave_nothing_behind() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for _ in 0..20 {
        let callers = (0..50).map(|_| {
            let mut client = desk.client.clone();
            async move {
                let stream = client
                    .stream_reply(about("[sim:silent-in-middle]"))
                    .await
                    .unwrap()
                    .into_inner();
                drop(stream);
            }
        });
        futures_util::future::join_all(callers).await;
    }
    let open = sim.control().wait_for_calls(PATIENCE, |calls| {
        calls.iter().all(|call| call.outcome != Outcome::Running)
    });
    open.await.expect("no call is left open");
    assert!(desk.reply(about("hello")).await.finished(), "and the next is answered");
}

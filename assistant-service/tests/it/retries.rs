//! Calls that are made again, and those that are not.

use std::time::{Duration, Instant};

use deskhand_proto::assistant::v1::{CallOutcome, UsageSource};
use futures_util::future::join_all;
use tonic::{Code, Request};

use crate::harness::{Desk, about};

#[tokio::test]
async fn a_failure_that_passes_is_tried_again_and_both_calls_are_told() {
    for scenario in [
        "status code=503 first=1",
        "status code=500 first=1",
        "status code=498 first=1",
        "rate-limit wait=0.2 kind=rpm first=1",
        "status code=400 error=json_validate_failed first=1",
        // It reasons, and breaks off before a word was seen.
        "cut how=close after=0 reasoning=5 first=1",
        "cut how=reset after=0 reasoning=5 first=1",
    ] {
        let (desk, sim) = Desk::simulated(&[]).await;
        let reply = desk.reply(about(&format!("[sim:{scenario}]"))).await;
        assert!(reply.finished(), "{scenario}: {reply:?}");
        let calls = reply.calls();
        assert_eq!(calls.len(), 2, "{scenario}");
        assert_eq!(calls[0].1.outcome(), CallOutcome::Failed, "{scenario}");
        assert_eq!(calls[1].1.outcome(), CallOutcome::Completed, "{scenario}");
        let made = sim.control().calls();
        assert_eq!(made.len(), 2, "{scenario}");
        assert_eq!(reply.text(), made[1].text, "{scenario}");
        assert_eq!(calls[0].1.upstream_id, made[0].request_id, "{scenario}");
        assert_eq!(calls[1].1.upstream_id, made[1].request_id, "{scenario}");
    }
}

#[tokio::test]
async fn a_refusal_before_the_model_wrote_costs_nothing() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let reply = desk.reply(about("[sim:status code=503 first=1]")).await;
    let (_, refused) = reply.calls()[0];
    assert_eq!(refused.usage, Some(Default::default()));
    assert_eq!(
        (refused.usage_source(), refused.cost_micro_usd),
        (UsageSource::Reported, 0)
    );
}

#[tokio::test]
async fn not_earlier_than_the_provider_says() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let began = Instant::now();
    let reply = desk.reply(about("[sim:rate-limit wait=1.2 first=1]")).await;
    assert!(reply.finished(), "{reply:?}");
    assert!(began.elapsed() >= Duration::from_millis(1_200));
    let calls = sim.control().calls();
    assert!(calls[1].started_ms >= calls[0].started_ms + 1_200);
}

#[tokio::test]
async fn what_no_repetition_mends_is_not_repeated() {
    for scenario in [
        "status code=400",
        "status code=400 error=blocked_api_access",
        "status code=400 error=context_length_exceeded",
        "status code=401",
        "status code=403",
        "status code=413",
        "status code=422",
        "status code=424",
        "status code=499",
        "too-large code=413",
        "too-large code=429",
        "length",
        "length empty=true",
        "content-filter",
        "not-json",
        "end-early after=0",
        "ok tokens=0",
    ] {
        let (desk, sim) = Desk::simulated(&[]).await;
        let began = Instant::now();
        let reply = desk.reply(about(&format!("[sim:{scenario}]"))).await;
        assert!(!reply.finished(), "{scenario}");
        assert_eq!(reply.calls().len(), 1, "{scenario}");
        assert_eq!(sim.control().calls().len(), 1, "{scenario}");
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "{scenario}: nothing is waited for"
        );
    }
}

#[tokio::test]
async fn nothing_is_repeated_once_text_was_seen() {
    for scenario in [
        "cut how=reset first=1",
        "cut how=close first=1",
        "error-data first=1",
        "error-event code=over_capacity status=503 first=1",
    ] {
        let (desk, sim) = Desk::simulated(&[]).await;
        let reply = desk.reply(about(&format!("[sim:{scenario}]"))).await;
        assert_eq!(
            reply.failure(),
            (Code::Unavailable, "UPSTREAM_UNAVAILABLE".to_owned()),
            "{scenario}"
        );
        assert!(!reply.text().is_empty());
        assert_eq!(sim.control().calls().len(), 1, "{scenario}");
    }
}

#[tokio::test]
async fn an_invalid_output_is_repaired_once_at_most() {
    let (desk, sim) = Desk::simulated(&["--groq-retries", "5"]).await;
    let reply = desk.reply(about("[sim:status code=400 error=tool_use_failed]")).await;
    assert_eq!(reply.failure().1, "INVALID_OUTPUT");
    assert_eq!(sim.control().calls().len(), 2);
}

#[tokio::test]
async fn a_wait_that_cannot_end_before_the_deadline_is_not_begun() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let mut request = Request::new(about("[sim:rate-limit wait=30]"));
    request.set_timeout(Duration::from_secs(15));
    let began = Instant::now();
    let reply = desk.reply(request).await;
    assert_eq!(
        reply.failure(),
        (Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED".to_owned())
    );
    assert_eq!(reply.retry_delay(), Some(Duration::from_secs(30)));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(sim.control().calls().len(), 1);

    // The next is not even sent: the provider would refuse it too.
    let mut request = Request::new(about("hello"));
    request.set_timeout(Duration::from_secs(10));
    let reply = desk.reply(request).await;
    assert_eq!(reply.failure().1, "UPSTREAM_RATE_LIMITED");
    assert!(reply.retry_delay().unwrap() > Duration::from_secs(10));
    assert!(reply.events.is_empty());
    assert_eq!(sim.control().calls().len(), 1);
}

#[tokio::test]
async fn while_the_provider_is_down_retries_are_a_tenth_of_requests() {
    const REQUESTS: usize = 60;
    let (desk, sim) = Desk::simulated(&["--breaker-failures", "0"]).await;
    sim.control().set_scenario("status code=503".parse().unwrap());
    let replies = join_all((0..REQUESTS).map(|_| desk.reply(about("hello")))).await;
    assert!(replies.iter().all(|reply| reply.failure().1 == "UPSTREAM_UNAVAILABLE"));
    let calls = sim.control().calls().len();
    println!("{calls} calls for {REQUESTS} requests");
    assert!(calls > REQUESTS, "{calls} calls: some are repeated");
    assert!(
        10 * calls <= 11 * REQUESTS + 30,
        "{calls} calls for {REQUESTS} requests"
    );
}

#[tokio::test]
async fn a_provider_that_is_down_is_left_alone_and_found_again() {
    const REQUESTS: usize = 60;
    let flags = ["--groq-fallback-model", "", "--breaker-cool-down", "1s"];
    let (desk, sim) = Desk::simulated(&flags).await;
    sim.control().set_scenario("status code=503".parse().unwrap());
    let mut refused = 0;
    for _ in 0..REQUESTS {
        let reply = desk.reply(about("hello")).await;
        assert_eq!(reply.failure(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE".to_owned()));
        if reply.events.is_empty() {
            refused += 1;
            assert!(reply.retry_delay().unwrap() <= Duration::from_secs(1));
        }
    }
    let calls = sim.control().calls().len();
    println!("with a breaker: {calls} calls for {REQUESTS} requests");
    assert!(calls < REQUESTS / 2, "{calls} calls");
    assert!(refused > REQUESTS / 2, "{refused} refused at once");

    sim.control().set_scenario("ok".parse().unwrap());
    let began = Instant::now();
    while !desk.reply(about("hello")).await.finished() {
        assert!(began.elapsed() < Duration::from_secs(10), "it is never tried again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

//! Replies that fail: each with the reason that is its, what came before, and no word of the provider's.

use std::time::{Duration, Instant};

use deskhand_proto::assistant::v1::CallOutcome;
use tonic::Code;

use crate::harness::{Desk, KEY, ONE_CALL, about};

#[tokio::test]
async fn every_failure_has_its_reason() {
    let sim = groq_sim::start(groq_sim::Settings::instant()).await.unwrap();
    let unavailable = (Code::Unavailable, "UPSTREAM_UNAVAILABLE");
    let protocol = (Code::Unavailable, "UPSTREAM_PROTOCOL");
    let rejected = (Code::FailedPrecondition, "UPSTREAM_REJECTED");
    let unauthenticated = (Code::FailedPrecondition, "UPSTREAM_UNAUTHENTICATED");
    let gone = (Code::FailedPrecondition, "MODEL_UNAVAILABLE");
    let limited = (Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED");
    let too_long = (Code::InvalidArgument, "CONVERSATION_TOO_LONG");
    let invalid = (Code::Aborted, "INVALID_OUTPUT");
    let truncated = (Code::Aborted, "ANSWER_TRUNCATED");
    // The scenario, how it ends, whether text has come before.
    let rows = [
        ("end-early", protocol, true),
        ("no-done", protocol, true),
        ("error-event", invalid, true),
        ("error-event after=0", invalid, false),
        ("error-event code=over_capacity status=503", unavailable, true),
        ("error-data", unavailable, true),
        ("error-x-groq", unavailable, true),
        ("error-x-groq done=true", unavailable, true),
        ("cut how=reset", unavailable, true),
        ("cut how=close", unavailable, true),
        ("cut how=close after=0", unavailable, false),
        ("huge-line", protocol, true),
        ("length", truncated, true),
        ("length empty=true", truncated, false),
        ("content-filter", (Code::FailedPrecondition, "CONTENT_FILTERED"), true),
        ("ok tokens=0", (Code::Aborted, "EMPTY_ANSWER"), false),
        ("status code=400", rejected, false),
        ("status code=400 error=json_validate_failed", invalid, false),
        ("status code=400 error=tool_use_failed", invalid, false),
        ("status code=400 error=model_decommissioned", gone, false),
        ("status code=400 error=blocked_api_access", rejected, false),
        ("status code=400 error=context_length_exceeded", too_long, false),
        ("status code=401", unauthenticated, false),
        ("status code=403", unauthenticated, false),
        ("status code=404", gone, false),
        ("status code=413", too_long, false),
        ("status code=422", rejected, false),
        ("status code=424", rejected, false),
        ("status code=498", unavailable, false),
        ("status code=499", unavailable, false),
        ("status code=500", unavailable, false),
        ("status code=502", unavailable, false),
        ("status code=503", unavailable, false),
        ("rate-limit", limited, false),
        ("rate-limit kind=tpd", limited, false),
        ("too-large code=413", too_long, false),
        ("too-large code=429", too_long, false),
        ("html-error", unavailable, false),
        ("html-error code=403", unauthenticated, false),
        ("not-json", protocol, false),
        ("not-json body=\"\"", protocol, false),
    ];
    for (scenario, (code, reason), has_text) in rows {
        // Each has a service of its own, which no failure before it taught anything.
        let desk = Desk::asking(&sim.base_url(), &ONE_CALL).await;
        let reply = desk.reply(about(&format!("[sim:{scenario}]"))).await;
        assert_eq!(reply.failure(), (code, reason.to_owned()), "{scenario}");
        assert_eq!(reply.started().call_no, 1, "{scenario}");
        assert_eq!(reply.ended().outcome(), CallOutcome::Failed, "{scenario}");
        assert_eq!(!reply.text().is_empty(), has_text, "{scenario}");
        assert_eq!(reply.ended().time_to_first_token.is_some(), has_text, "{scenario}");
        let call = sim.control().calls().pop().unwrap();
        assert!(call.text.starts_with(&reply.text()), "{scenario}: what came came whole");
        // What is not of the provider's making names no call.
        let named = !scenario.starts_with("html-error") && !scenario.starts_with("not-json");
        assert_eq!(
            reply.ended().upstream_id,
            if named { &call.request_id } else { "" },
            "{scenario}"
        );
    }
    assert_eq!(sim.control().calls().len(), rows.len(), "nothing was asked twice");
}

#[tokio::test]
async fn what_a_failed_answer_cost_is_told_where_the_provider_said_it() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for scenario in ["length", "content-filter", "no-done", "ok tokens=0"] {
        let reply = desk.reply(about(&format!("[sim:{scenario}]"))).await;
        let billed = sim.control().calls().pop().unwrap().billed.unwrap();
        let usage = reply.ended().usage.unwrap();
        assert_eq!(usage.output_tokens, i64::from(billed.completion_tokens), "{scenario}");
    }
}

#[tokio::test]
async fn a_rate_limit_says_how_long_to_wait() {
    let sim = groq_sim::start(groq_sim::Settings::instant()).await.unwrap();
    for (scenario, wait) in [
        ("rate-limit", Some(6_353)),
        ("rate-limit wait=0.5775", Some(578)),
        ("rate-limit wait=3 retry_after=none reset_tokens=1m2.5s", Some(62_500)),
        ("rate-limit kind=rpm wait=3.25 retry_after=none", Some(3_250)),
        ("rate-limit kind=tpd wait=1033.344", Some(1_033_344)),
        ("rate-limit retry_after=nonsense kind=rpm wait=2", Some(2_000)),
        ("too-large code=429", None),
    ] {
        let desk = Desk::asking(&sim.base_url(), &ONE_CALL).await;
        let reply = desk.reply(about(&format!("[sim:{scenario}]"))).await;
        assert_eq!(reply.retry_delay(), wait.map(Duration::from_millis), "{scenario}");
    }
}

#[tokio::test]
async fn nothing_that_the_provider_wrote_and_no_secret_reaches_a_caller() {
    let sim = groq_sim::start(groq_sim::Settings::instant()).await.unwrap();
    for scenario in [
        "status code=400 message=\"canary org_01\"",
        "status code=500 message=\"canary org_01\"",
        "status code=401 message=\"canary org_01\"",
        "status code=429 message=\"canary org_01\"",
        "not-json body=\"canary org_01\"",
        "error-event code=canary",
        "html-error",
        "rate-limit",
        "error-x-groq",
        "cut",
    ] {
        let desk = Desk::asking(&sim.base_url(), &ONE_CALL).await;
        let reply = desk.reply(about(&format!("[sim:{scenario}]"))).await;
        let status = reply.status.unwrap();
        let details = String::from_utf8_lossy(status.details()).into_owned();
        let told = format!("{} {details} {:?}", status.message(), status.metadata());
        for secret in [
            "canary",
            "org_",
            "groq",
            "127.0.0.1",
            "over capacity",
            KEY,
            "gsk_",
            "html",
            "TPM",
            "reset",
        ] {
            assert!(!told.contains(secret), "{scenario} tells {secret}: {told}");
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let desk = Desk::asking(&format!("http://127.0.0.1:{port}"), &ONE_CALL).await;
    let reply = desk.reply(about("hello")).await;
    assert_eq!(reply.failure(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE".to_owned()));
    assert_eq!(reply.ended().upstream_id, "");
}

#[tokio::test]
async fn silence_ends_at_the_limit_of_its_phase() {
    let phases = [
        ("silent-before-headers", ["--first-token-limit", "250ms"]),
        ("silent-before-first-token", ["--first-token-limit", "250ms"]),
        ("silent-in-middle", ["--chunk-limit", "250ms"]),
        ("ok token_ms=20 tokens=1000", ["--total-limit", "250ms"]),
    ];
    for (scenario, flags) in phases {
        let (desk, sim) = Desk::simulated(&flags).await;
        let began = Instant::now();
        let reply = desk.reply(about(&format!("[sim:{scenario}]"))).await;
        let took = began.elapsed();
        assert_eq!(
            reply.failure(),
            (Code::Unavailable, "UPSTREAM_TIMED_OUT".to_owned()),
            "{scenario}"
        );
        assert_eq!(reply.ended().outcome(), CallOutcome::CutShort);
        assert!(
            took >= Duration::from_millis(250) && took < Duration::from_secs(5),
            "{scenario}: {took:?}"
        );
        let calls = sim
            .control()
            .wait_for_ended(1, Duration::from_secs(5))
            .await
            .expect("the connection was closed");
        assert_eq!(calls[0].outcome, groq_sim::Outcome::ClientClosed, "{scenario}");
    }
}

//! Every row of the provider's table of failures, and what is done about it: by a stream, by an answer in one piece, and
//! where the failure comes inside a stream that began well.
//!
//! What else is known of the provider: `every_scenario.rs` (whatever the simulator can do), `stream_reply.rs` and
//! `stream_reply_wire.rs` (in which pieces bytes may come, usage in three places, endings that are no end, what is sent),
//! `stream_reply_failures.rs` (silences, waits), `retries.rs` (how often, never after text), `cut_off.rs` (a caller that left
//! is asked for no more), `slow_reader.rs` (nothing piles up), `quota.rs` and `requests_a_minute.rs` (limits), `costs.rs` and
//! `books.rs` (what calls cost, the cache's half price), `readiness.rs` (401, 403), `models_gone.rs` (a look at the list).

use std::time::{Duration, Instant};

use deskhand_proto::assistant::v1::CallOutcome;
use deskhand_proto::assistant::v1::stream_reply_response::{CallEnded, CallStarted};
use futures_util::stream::{self, StreamExt as _};
use groq_sim::Running;
use tonic::{Code, Status};

use crate::harness::{Asked, Desk, Whole, about, reason};

const FIRST: &str = "openai/gpt-oss-120b";
const OTHER: &str = "openai/gpt-oss-20b";

/// What helps.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Helps {
    /// Asking again, not before this.
    Again(Duration),
    /// One repair.
    Repair,
    /// The fallback model; the list of models is looked at where the model is gone.
    OtherModel { gone: bool },
    /// Asking again, on another tier.
    OtherTier,
    /// Nothing: this is told, after one call, at once.
    Nothing(Code, &'static str),
}

const JITTERED: Helps = Helps::Again(Duration::from_millis(250));
const UNAUTHENTICATED: Helps = Helps::Nothing(Code::FailedPrecondition, "UPSTREAM_UNAUTHENTICATED");
const REJECTED: Helps = Helps::Nothing(Code::FailedPrecondition, "UPSTREAM_REJECTED");
const TOO_LARGE: Helps = Helps::Nothing(Code::InvalidArgument, "CONVERSATION_TOO_LONG");

fn after(milliseconds: u64) -> Helps {
    Helps::Again(Duration::from_millis(milliseconds))
}

fn rows() -> Vec<(&'static str, Helps)> {
    vec![
        // 400 `json_validate_failed`, `tool_use_failed`: one bounded repair.
        ("status code=400 error=json_validate_failed", Helps::Repair),
        ("status code=400 error=tool_use_failed", Helps::Repair),
        // 400 `model_decommissioned`, 404 `model_not_found`: the fallback model, and a look at the list.
        (
            "status code=400 error=model_decommissioned",
            Helps::OtherModel { gone: true },
        ),
        ("status code=404", Helps::OtherModel { gone: true }),
        // 400 `blocked_api_access`, the spend cap: nothing.
        ("status code=400 error=blocked_api_access", REJECTED),
        // 401, 403: nothing, and not ready (readiness.rs).
        ("status code=401", UNAUTHENTICATED),
        ("status code=403", UNAUTHENTICATED),
        // 413 or 429 "Request too large": waiting never helps.
        ("too-large code=413", TOO_LARGE),
        ("too-large code=429", TOO_LARGE),
        ("status code=400 error=context_length_exceeded", TOO_LARGE),
        // 429 of a minute: the wait that is told, in the header, or else in the text, as `577.5ms` or `1.25s`.
        ("rate-limit wait=0.5775", after(578)),
        ("rate-limit wait=1.25", after(1_250)),
        ("rate-limit kind=rpm wait=0.5775 retry_after=none", after(578)),
        ("rate-limit kind=rpm wait=1.25 retry_after=none", after(1_250)),
        ("rate-limit wait=0.6 retry_after=none", after(600)),
        // 429 of a day: the other model, for the first one's breaker opens.
        ("rate-limit kind=tpd", Helps::OtherModel { gone: false }),
        ("rate-limit kind=rpd", Helps::OtherModel { gone: false }),
        // 422, 424: nothing.
        ("status code=422", REJECTED),
        ("status code=424", REJECTED),
        // A request that is wrong in itself.
        ("status code=400", REJECTED),
        // 498 `capacity_exceeded`: again, on another tier.
        ("status code=498", Helps::OtherTier),
        // 499: nothing.
        (
            "status code=499",
            Helps::Nothing(Code::Unavailable, "UPSTREAM_UNAVAILABLE"),
        ),
        // 500, 502, 503: again, with jitter.
        ("status code=500", JITTERED),
        ("status code=502", JITTERED),
        ("status code=503", JITTERED),
        ("html-error code=502", JITTERED),
        // What the provider's own client asks again after, too.
        ("status code=408", JITTERED),
        ("status code=409", JITTERED),
        ("cut how=reset after=0", JITTERED),
    ]
}

/// The same failures where they come after HTTP 200, before a word was written.
fn rows_inside_a_stream() -> Vec<(&'static str, Helps)> {
    vec![
        ("error-event after=0", Helps::Repair),
        ("error-event after=0 code=json_validate_failed", Helps::Repair),
        (
            "error-event after=0 code=model_decommissioned",
            Helps::OtherModel { gone: true },
        ),
        (
            "error-event after=0 code=model_not_found status=404",
            Helps::OtherModel { gone: true },
        ),
        ("error-event after=0 code=blocked_api_access", REJECTED),
        ("error-event after=0 code=invalid_api_key status=401", UNAUTHENTICATED),
        ("error-event after=0 code=none status=403", UNAUTHENTICATED),
        ("error-event after=0 code=none status=413", TOO_LARGE),
        ("error-event after=0 code=none status=422", REJECTED),
        ("error-event after=0 code=none status=424", REJECTED),
        (
            "error-event after=0 code=capacity_exceeded status=498",
            Helps::OtherTier,
        ),
        (
            "error-event after=0 code=none status=499",
            Helps::Nothing(Code::Unavailable, "UPSTREAM_UNAVAILABLE"),
        ),
        ("error-event after=0 code=none status=500", JITTERED),
        ("error-event after=0 code=over_capacity status=503", JITTERED),
        ("error-data after=0", JITTERED),
        ("error-data after=0 code=over_capacity", JITTERED),
        ("error-data after=0 code=503", JITTERED),
        ("error-x-groq after=0", JITTERED),
        ("error-x-groq after=0 object=true", JITTERED),
        ("error-x-groq after=0 done=true", JITTERED),
    ]
}

/// The failure, once where asking again is to go well.
fn marker(scenario: &str, helps: Helps) -> String {
    match helps {
        Helps::Nothing(..) => format!("[sim:{scenario}]"),
        Helps::OtherModel { .. } => format!("[sim:{scenario} model={FIRST}]"),
        _ => format!("[sim:{scenario} first=1]"),
    }
}

fn lists_asked_for(sim: &Running) -> usize {
    let requests = sim.control().requests();
    requests
        .iter()
        .filter(|request| request.path.ends_with("/models"))
        .count()
}

/// Checks what came of a failure: the calls that were told, against those that were made.
async fn check(
    scenario: &str,
    helps: Helps,
    sim: &Running,
    calls: &[(CallStarted, CallEnded)],
    status: Option<&Status>,
    took: Duration,
) {
    let made = sim.control().calls();
    assert_eq!(made.len(), calls.len(), "{scenario}: every call is told");
    assert_eq!(calls[0].1.outcome(), CallOutcome::Failed, "{scenario}");
    if let Helps::Nothing(code, why) = helps {
        let status = status.unwrap_or_else(|| panic!("{scenario}: it went well"));
        assert_eq!((status.code(), reason(status).as_str()), (code, why), "{scenario}");
        assert_eq!(calls.len(), 1, "{scenario}: nothing is asked again");
        assert!(took < Duration::from_secs(4), "{scenario}: nothing is waited for");
        return;
    }
    assert!(status.is_none(), "{scenario}: {status:?}");
    assert_eq!(calls.len(), 2, "{scenario}");
    assert_eq!(calls[1].1.outcome(), CallOutcome::Completed, "{scenario}");
    let models: Vec<_> = calls.iter().map(|(started, _)| started.model.as_str()).collect();
    let other = if matches!(helps, Helps::OtherModel { .. }) {
        OTHER
    } else {
        FIRST
    };
    assert_eq!(models, [FIRST, other], "{scenario}");
    let apart = Duration::from_millis(made[1].started_ms.saturating_sub(made[0].started_ms));
    let bodies: Vec<_> = sim
        .control()
        .requests()
        .into_iter()
        .map(|request| request.body)
        .collect();
    let bodies: Vec<_> = bodies.iter().filter(|body| body["model"].is_string()).collect();
    match helps {
        // The clock of the books has whole milliseconds.
        Helps::Again(least) => assert!(apart + Duration::from_millis(2) >= least, "{scenario}: {apart:?}"),
        Helps::OtherTier => assert_eq!(bodies[1]["service_tier"], "on_demand", "{scenario}"),
        Helps::OtherModel { gone } => {
            let began = Instant::now();
            while gone && lists_asked_for(sim) == 0 {
                assert!(
                    began.elapsed() < Duration::from_secs(5),
                    "{scenario}: nobody looks at the list"
                );
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(lists_asked_for(sim), usize::from(gone), "{scenario}");
        }
        Helps::Repair | Helps::Nothing(..) => {}
    }
    assert!(bodies[0].get("service_tier").is_none(), "{scenario}: the account's own");
}

async fn check_stream(scenario: &str, helps: Helps) {
    let (desk, sim) = Desk::simulated(&[]).await;
    let began = Instant::now();
    let reply = desk.reply(about(&marker(scenario, helps))).await;
    let calls: Vec<_> = reply
        .calls()
        .into_iter()
        .map(|(one, other)| (one.clone(), other.clone()))
        .collect();
    check(scenario, helps, &sim, &calls, reply.status.as_ref(), began.elapsed()).await;
}

async fn check_whole(task: Whole, scenario: &str, helps: Helps) {
    let (desk, sim) = Desk::simulated(&[]).await;
    let began = Instant::now();
    let (calls, status) = desk.whole(task, &marker(scenario, helps), Asked::default()).await;
    let calls: Vec<_> = calls
        .into_iter()
        .map(|call| (call.started.unwrap(), call.ended.unwrap()))
        .collect();
    check(scenario, helps, &sim, &calls, status.as_ref(), began.elapsed()).await;
}

/// A few at a time: most of it is waiting.
async fn each<F: Future<Output = ()>>(checks: impl Iterator<Item = F>) {
    stream::iter(checks).buffer_unordered(6).collect::<()>().await;
}

#[tokio::test]
async fn a_stream_does_what_helps() {
    each(
        rows()
            .into_iter()
            .map(|(scenario, helps)| check_stream(scenario, helps)),
    )
    .await;
}

#[tokio::test]
async fn so_it_does_where_the_stream_had_begun() {
    let rows = rows_inside_a_stream().into_iter();
    each(rows.map(|(scenario, helps)| check_stream(scenario, helps))).await;
}

#[tokio::test]
async fn an_answer_in_one_piece_does_what_helps() {
    for task in [Whole::Summary, Whole::Triage] {
        each(
            rows()
                .into_iter()
                .map(|(scenario, helps)| check_whole(task, scenario, helps)),
        )
        .await;
    }
}

/// The third form of a duration, `17m13.344s`, and any that ends after the deadline: not waited for, but told.
#[tokio::test]
async fn a_wait_that_is_too_long_is_told() {
    for (scenario, milliseconds) in [
        ("rate-limit wait=1033.344", 1_033_344),
        ("rate-limit kind=rpm wait=1033.344 retry_after=none", 1_033_344),
        ("rate-limit", 6_353),
        ("rate-limit retry_after=none kind=rpm wait=6.3525", 6_353),
    ] {
        let (desk, sim) = Desk::simulated(&[]).await;
        let mut request = tonic::Request::new(about(&format!("[sim:{scenario}]")));
        request.set_timeout(Duration::from_secs(5));
        let began = Instant::now();
        let reply = desk.reply(request).await;
        assert_eq!(
            reply.failure(),
            (Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED".to_owned())
        );
        assert_eq!(
            reply.retry_delay(),
            Some(Duration::from_millis(milliseconds)),
            "{scenario}"
        );
        assert!(began.elapsed() < Duration::from_secs(4), "{scenario}");
        assert_eq!(sim.control().calls().len(), 1);
    }
}

/// A spend cap that is reached is said to be that.
#[tokio::test]
async fn the_spend_cap_is_named() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let reply = desk
        .reply(about("[sim:status code=400 error=blocked_api_access]"))
        .await;
    assert!(reply.status.unwrap().message().contains("spend limit"));
}

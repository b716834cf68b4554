//! Everything that the simulator can do, and what becomes of it: of an answer that is streamed, and of one in one piece. A
//! scenario without a row here fails the test.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use groq_sim::Outcome;

use crate::harness::{Asked, Desk, ONE_CALL, PATIENCE, Whole, about, reason};

/// With these a silence ends soon.
const SHORT: [&str; 6] = [
    "--first-token-limit",
    "1500ms",
    "--chunk-limit",
    "1500ms",
    "--total-limit",
    "4s",
];

const WELL: &str = "";

/// Why it fails, or that it goes well: streamed, and in one piece.
fn expected(name: &str) -> (&'static str, &'static str) {
    let both = |reason| (reason, reason);
    match name {
        "ok" | "slow" => both(WELL),
        // How bytes come makes no difference, and some things there are in a stream only.
        "byte-at-a-time" | "split-utf8" | "one-write" | "crlf" | "no-space" | "comments" | "multi-line-data"
        | "created-changes" | "usage" => both(WELL),
        "silent-before-headers" | "silent-before-first-token" | "silent-in-middle" => both("UPSTREAM_TIMED_OUT"),
        "end-early" | "huge-line" | "finish" | "not-json" => both("UPSTREAM_PROTOCOL"),
        "no-done" => ("UPSTREAM_PROTOCOL", WELL),
        "error-event" => both("INVALID_OUTPUT"),
        "error-data" | "error-x-groq" | "cut" | "status" | "html-error" => both("UPSTREAM_UNAVAILABLE"),
        "length" => both("ANSWER_TRUNCATED"),
        "content-filter" => both("CONTENT_FILTERED"),
        // Text is text; and a judgement that is none is mended.
        "bad-json" | "verdict" => both(WELL),
        // A hand-off; of a judgement no tool was offered.
        "tool-calls" => (WELL, "UPSTREAM_PROTOCOL"),
        "rate-limit" => both("UPSTREAM_RATE_LIMITED"),
        "too-large" => both("CONVERSATION_TOO_LONG"),
        // It writes a stream, whatever was asked for.
        "script" => (WELL, "UPSTREAM_PROTOCOL"),
        unknown => panic!("no row for scenario {unknown}"),
    }
}

/// Quick ones of the slow.
fn marker(name: &str) -> String {
    match name {
        "slow" => "Help [sim:slow ttft_ms=80 token_ms=5 tokens=10]".to_owned(),
        name => format!("Help [sim:{name}]"),
    }
}

#[tokio::test]
async fn everything_the_simulator_can_do_ends_as_it_must() {
    // A few at a time: most of it is waiting.
    let checks = groq_sim::catalog().iter().map(|entry| check(entry.name));
    stream::iter(checks).buffer_unordered(4).collect::<()>().await;
}

async fn check(name: &str) {
    let (streamed, whole) = expected(name);
    let (desk, sim) = Desk::simulated(&[&ONE_CALL[..], &SHORT].concat()).await;
    let began = Instant::now();
    let reply = desk.reply(about(&marker(name))).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{}", name);
    match streamed {
        WELL => assert!(reply.finished() && reply.status.is_none(), "{}: {reply:?}", name),
        why => assert_eq!(reply.failure().1, why, "{}", name),
    }
    let call = sim.control().wait_for_ended(1, PATIENCE).await.unwrap().pop().unwrap();
    // What was told is what was sent, but for the line that is refused.
    if name != "huge-line" {
        assert!(call.text.starts_with(&reply.text()), "{}", name);
    }
    assert_eq!(reply.calls().len(), 1, "{}", name);

    // A service of its own: nothing is learned from the one before.
    let (desk, sim) = Desk::simulated(&[&ONE_CALL[..], &SHORT].concat()).await;
    let (calls, status) = desk.whole(Whole::Triage, &marker(name), Asked::default()).await;
    match (whole, status) {
        (WELL, status) => assert!(status.is_none(), "{}: {status:?}", name),
        (why, Some(status)) => assert_eq!(reason(&status), why, "{}", name),
        (_, None) => panic!("{}: it goes well", name),
    }
    let made = sim.control().wait_for_ended(calls.len(), PATIENCE).await.unwrap();
    assert_eq!(made.len(), calls.len(), "{}: every call is told", name);
    assert!(made.iter().all(|call| call.outcome != Outcome::Running));
}

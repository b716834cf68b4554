//! Answers in one piece whose caller's time is over: the calls that were made are told all the same.

use std::time::{Duration, Instant};

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::{CallOutcome, UsageSource};
use groq_sim::Running;
use tonic::{Code, Status};

use crate::harness::{Asked, Desk, PATIENCE, Whole, reason};

const ALL: [Whole; 3] = [Whole::Summary, Whole::Triage, Whole::Rewrite];

fn within(milliseconds: u64) -> Asked {
    Asked {
        limit: Some(Duration::from_millis(milliseconds)),
        ..Asked::default()
    }
}

/// Asks with a limit. Where a busy machine lets the caller's own clock be the first to ring, that says nothing of the service;
/// then it asks anew.
async fn timed_out(task: Whole, scenario: &str, milliseconds: u64) -> (Vec<proto::ModelCall>, Status, Running) {
    for _ in 0..3 {
        let (desk, sim) = Desk::simulated(&[]).await;
        let marked = format!("[sim:{scenario}]");
        let (calls, status) = desk.whole(task, &marked, within(milliseconds)).await;
        let status = status.unwrap();
        if status.code() != Code::Cancelled {
            return (calls, status, sim);
        }
    }
    panic!("{task:?} {scenario}: the caller's clock always rings first");
}

#[tokio::test]
async fn a_call_that_the_deadline_cuts_off_is_told_and_charged() {
    for task in ALL {
        for scenario in [
            "silent-before-headers",
            "silent-before-first-token",
            "silent-in-middle",
            "ok ttft_ms=60000",
            "byte-at-a-time ttft_ms=5000",
        ] {
            let began = Instant::now();
            let (calls, status, sim) = timed_out(task, scenario, 1_000).await;
            assert_eq!(status.code(), Code::DeadlineExceeded, "{task:?} {scenario}: {status:?}");
            assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
            assert!(began.elapsed() < PATIENCE);
            assert_eq!(calls.len(), 1, "{task:?} {scenario}: the call is told");
            let ended = calls[0].ended.as_ref().unwrap();
            assert_eq!(ended.outcome(), CallOutcome::CutShort);
            assert_eq!(ended.usage_source(), UsageSource::Estimated);
            assert!(ended.cost_micro_usd > 0 && ended.usage.as_ref().unwrap().input_tokens > 0);
            assert_eq!(sim.control().calls().len(), 1);
        }
    }
}

#[tokio::test]
async fn calls_before_a_wait_are_told_where_the_wait_cannot_end_in_time() {
    for task in ALL {
        for scenario in [
            "status code=503",
            "rate-limit wait=0.3",
            "rate-limit wait=30",
            "cut how=reset",
        ] {
            let (calls, status, sim) = timed_out(task, scenario, 1_000).await;
            let made = sim.control().calls().len();
            assert_eq!(calls.len(), made, "{task:?} {scenario}: {status:?}");
            assert!(!calls.is_empty());
        }
    }
}

/// Whenever the deadline comes, what was sent is told, for as long as there is time to tell anything.
#[tokio::test]
async fn at_every_moment() {
    for task in ALL {
        let mut untold = Vec::new();
        for limit in (30..330).step_by(10) {
            let (desk, sim) = Desk::simulated(&["--breaker-failures", "0"]).await;
            let text = "[sim:status code=404 model=openai/gpt-oss-120b ttft_ms=60]";
            let (calls, status) = desk.whole(task, text, within(limit)).await;
            let made = sim.control().calls().len();
            // What the caller's own clock ends first says nothing of us.
            let ours = status.is_none_or(|status| status.code() == Code::DeadlineExceeded);
            if ours && calls.len() != made {
                untold.push((limit, calls.len(), made));
            }
        }
        println!("{task:?}: untold {untold:?}");
        assert!(untold.len() <= 1, "{task:?}: {untold:?}");
    }
}

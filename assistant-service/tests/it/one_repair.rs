//! Output that is not of the form is asked for anew once in all, whoever sees it first: the provider, or we.

use tonic::Code;

use crate::harness::{Asked, Desk, Whole, about, reason};

/// What the provider refuses, and what it lets pass and we refuse.
const REFUSED: &str = "status code=400 error=json_validate_failed";
const WRONG: &str = "bad-json kind=wrong-enum";

#[tokio::test]
async fn a_judgement_takes_two_calls_at_most() {
    for scenarios in [
        [REFUSED, REFUSED, REFUSED, REFUSED],
        [REFUSED, WRONG, WRONG, WRONG],
        [WRONG, REFUSED, WRONG, REFUSED],
        [WRONG, WRONG, WRONG, WRONG],
    ] {
        let (desk, sim) = Desk::simulated(&["--groq-retries", "5"]).await;
        for scenario in scenarios {
            sim.control().next(1, scenario.parse().unwrap());
        }
        let (calls, status) = desk.whole(Whole::Triage, "hello", Asked::default()).await;
        let status = status.unwrap();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Aborted, "INVALID_OUTPUT"),
            "{scenarios:?}"
        );
        assert_eq!((calls.len(), sim.control().calls().len()), (2, 2), "{scenarios:?}");
    }
}

#[tokio::test]
async fn a_reply_takes_two_calls_at_most() {
    let refused = "status code=400 error=tool_use_failed";
    let unknown = "tool-calls tool=refund arguments=\"{}\"";
    let wrong = "tool-calls tool=hand_off arguments=\"{}\"";
    for first in [refused, unknown, wrong] {
        for second in [refused, unknown, wrong] {
            let (desk, sim) = Desk::simulated(&["--groq-retries", "5"]).await;
            for scenario in [first, second, refused, wrong] {
                sim.control().next(1, scenario.parse().unwrap());
            }
            let reply = desk.reply(about("hello")).await;
            assert_eq!(
                reply.failure(),
                (Code::Aborted, "INVALID_OUTPUT".to_owned()),
                "{first}, {second}"
            );
            assert_eq!(reply.calls().len(), 2, "{first}, {second}");
        }
    }
}

#[tokio::test]
async fn the_repair_does_not_use_up_what_helps_against_other_failures() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for scenario in ["status code=503", REFUSED, "status code=503"] {
        sim.control().next(1, scenario.parse().unwrap());
    }
    // Two repetitions and a repair are more than may be repeated; with three it goes well.
    let (calls, status) = desk.whole(Whole::Triage, "hello", Asked::default()).await;
    assert_eq!(
        (calls.len(), reason(&status.unwrap()).as_str()),
        (3, "UPSTREAM_UNAVAILABLE")
    );
    let (desk, sim) = Desk::simulated(&["--groq-retries", "3"]).await;
    for scenario in ["status code=503", REFUSED, "status code=503"] {
        sim.control().next(1, scenario.parse().unwrap());
    }
    let (calls, status) = desk.whole(Whole::Triage, "hello", Asked::default()).await;
    assert!(status.is_none() && calls.len() == 4, "{status:?}");
}

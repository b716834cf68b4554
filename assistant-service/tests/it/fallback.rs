//! The model that is asked where the first cannot be.

use std::time::Instant;

use deskhand_proto::assistant::v1::{CallOutcome, ListModelsRequest};
use tonic::Code;

use crate::harness::{Desk, PATIENCE, about};

const FIRST: &str = "openai/gpt-oss-120b";
const OTHER: &str = "openai/gpt-oss-20b";

#[tokio::test]
async fn another_model_answers_for_one_that_is_gone_or_has_used_up_its_day() {
    for scenario in [
        "status code=404",
        "status code=400 error=model_decommissioned",
        "rate-limit kind=tpd",
        "rate-limit kind=rpd",
    ] {
        let (desk, sim) = Desk::simulated(&[]).await;
        let began = Instant::now();
        let request = || about(&format!("[sim:{scenario} model={FIRST}]"));
        let reply = desk.reply(request()).await;
        assert!(reply.finished(), "{scenario}: {reply:?}");
        let calls = reply.calls();
        let models: Vec<_> = calls.iter().map(|(started, _)| started.model.as_str()).collect();
        assert_eq!(models, [FIRST, OTHER], "{scenario}");
        assert_eq!(calls[0].1.outcome(), CallOutcome::Failed);
        assert!(began.elapsed() < PATIENCE / 4, "{scenario}: nothing is waited for");

        // From now on the first is left alone.
        let reply = desk.reply(request()).await;
        assert!(reply.finished());
        assert_eq!(reply.started().model, OTHER, "{scenario}");
        assert_eq!(sim.control().calls().len(), 3, "{scenario}");
    }
}

#[tokio::test]
async fn another_model_answers_for_one_that_keeps_failing() {
    let (desk, sim) = Desk::simulated(&["--breaker-failures", "2"]).await;
    let scenario = format!("status code=503 model={FIRST}");
    sim.control().set_scenario(scenario.parse().unwrap());
    let reply = desk.reply(about("hello")).await;
    assert!(reply.finished(), "{reply:?}");
    let calls = reply.calls();
    let models: Vec<_> = calls.iter().map(|(started, _)| started.model.as_str()).collect();
    assert_eq!(models, [FIRST, FIRST, OTHER]);
    assert_eq!(desk.reply(about("hello")).await.started().model, OTHER);
}

#[tokio::test]
async fn where_there_is_no_other_the_reason_is_the_first_s() {
    for (flags, scenario, reason) in [
        (
            ["--groq-fallback-model", ""],
            format!("status code=404 model={FIRST}"),
            "MODEL_UNAVAILABLE",
        ),
        (
            ["--groq-fallback-model", OTHER],
            "status code=404".to_owned(),
            "MODEL_UNAVAILABLE",
        ),
        (
            ["--groq-fallback-model", OTHER],
            "rate-limit kind=tpd".to_owned(),
            "UPSTREAM_RATE_LIMITED",
        ),
    ] {
        let (desk, sim) = Desk::simulated(&flags).await;
        sim.control().set_scenario(scenario.parse().unwrap());
        for _ in 0..3 {
            assert_eq!(desk.reply(about("hello")).await.failure().1, reason, "{scenario}");
        }
        let calls = sim.control().calls().len();
        assert!(calls <= 2, "{scenario}: each is asked once, not {calls}");
    }
}

#[tokio::test]
async fn a_day_s_limit_says_when_it_ends() {
    let (desk, sim) = Desk::simulated(&["--groq-fallback-model", ""]).await;
    sim.control()
        .set_scenario("rate-limit kind=tpd wait=1033.344".parse().unwrap());
    desk.reply(about("hello")).await;
    let reply = desk.reply(about("hello")).await;
    assert_eq!(reply.failure().0, Code::ResourceExhausted);
    let wait = reply.retry_delay().unwrap().as_secs();
    assert!((1_000..=1_034).contains(&wait), "{wait}");
    assert!(reply.events.is_empty(), "no call was made");
}

#[tokio::test]
async fn the_list_of_models_says_which_it_is() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let models = desk
        .client
        .clone()
        .list_models(ListModelsRequest {})
        .await
        .unwrap()
        .into_inner()
        .models;
    let fallbacks: Vec<_> = models
        .iter()
        .filter(|model| model.fallback)
        .map(|model| model.id.as_str())
        .collect();
    assert_eq!(fallbacks, [OTHER]);
}

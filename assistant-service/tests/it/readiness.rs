//! Whether the service says that it is ready: not while the provider refuses its key.

use std::time::{Duration, Instant};

use deskhand_proto::assistant::v1::ListModelsRequest;
use deskhand_proto::assistant::v1::assistant_service_server::SERVICE_NAME;
use groq_sim::Running;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::harness::{Asked, Desk, PATIENCE, Whole, about};

const NEVER_LOOKS: [&str; 2] = ["--groq-look-interval", "100s"];
const LOOKS_OFTEN: [&str; 2] = ["--groq-look-interval", "200ms"];

async fn becomes(desk: &Desk, status: ServingStatus) {
    let began = Instant::now();
    for name in ["", SERVICE_NAME] {
        while desk.health(name).await != status {
            assert!(began.elapsed() < PATIENCE, "it never becomes {status:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn looks(sim: &Running) -> usize {
    let requests = sim.control().requests();
    requests
        .iter()
        .filter(|request| request.path == "/openai/v1/models")
        .count()
}

#[tokio::test]
async fn a_refused_key_takes_it_out_and_a_call_that_is_accepted_brings_it_back() {
    for code in [401, 403] {
        for task in [None, Some(Whole::Summary), Some(Whole::Triage)] {
            let (desk, sim) = Desk::simulated(&NEVER_LOOKS).await;
            becomes(&desk, ServingStatus::Serving).await;
            let refused = format!("[sim:status code={code}]");
            match task {
                None => drop(desk.reply(about(&refused)).await),
                Some(task) => drop(desk.whole(task, &refused, Asked::default()).await),
            }
            becomes(&desk, ServingStatus::NotServing).await;
            // It goes on serving those who ask all the same, and that shows that it can.
            assert!(desk.reply(about("hello")).await.finished());
            becomes(&desk, ServingStatus::Serving).await;
            assert_eq!(looks(&sim), 0);
        }
    }
}

#[tokio::test]
async fn what_does_not_concern_the_key_does_not_concern_readiness() {
    for scenario in [
        "status code=503",
        "status code=400",
        "status code=404",
        "status code=400 error=blocked_api_access",
        "rate-limit wait=0.01",
        "cut",
    ] {
        let (desk, _sim) = Desk::simulated(&NEVER_LOOKS).await;
        desk.reply(about(&format!("[sim:{scenario}]"))).await;
        assert_eq!(desk.health("").await, ServingStatus::Serving, "{scenario}");
    }
    // And a failure of another kind does not bring it back.
    let (desk, _sim) = Desk::simulated(&NEVER_LOOKS).await;
    desk.reply(about("[sim:status code=401]")).await;
    becomes(&desk, ServingStatus::NotServing).await;
    desk.reply(about("[sim:status code=503]")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(desk.health("").await, ServingStatus::NotServing);
}

#[tokio::test]
async fn it_comes_back_by_itself_once_the_list_of_models_can_be_had() {
    let (desk, sim) = Desk::simulated(&LOOKS_OFTEN).await;
    for list in ["status code=401", "status code=503", "silent-before-headers ttft_ms=0"] {
        sim.control().reset();
        sim.control().set_scenario("status code=401".parse().unwrap());
        sim.control().set_list_scenario(Some(list.parse().unwrap()));
        assert_eq!(desk.reply(about("hello")).await.failure().1, "UPSTREAM_UNAUTHENTICATED");
        becomes(&desk, ServingStatus::NotServing).await;
        let began = Instant::now();
        while looks(&sim) == 0 {
            assert!(began.elapsed() < PATIENCE, "nobody looks");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(desk.health(SERVICE_NAME).await, ServingStatus::NotServing, "{list}");
        sim.control().set_list_scenario(None);
        becomes(&desk, ServingStatus::Serving).await;
        assert_eq!(sim.control().calls().len(), 1, "no call was made to find out");
    }
}

#[tokio::test]
async fn looks_are_bounded_however_many_calls_are_refused() {
    let (desk, sim) = Desk::simulated(&LOOKS_OFTEN).await;
    sim.control().set_scenario("status code=401".parse().unwrap());
    sim.control()
        .set_list_scenario(Some("status code=401".parse().unwrap()));
    let began = Instant::now();
    let mut calls = 0;
    while began.elapsed() < Duration::from_secs(2) {
        desk.reply(about("hello")).await;
        calls += 1;
    }
    let most = began.elapsed().as_millis() as usize / 200 + 1;
    let looks = looks(&sim);
    println!("{calls} calls, {looks} looks");
    // Each refusal says what a look would, and puts it off.
    assert!(calls > 40 && looks <= most, "{looks} looks for {calls} calls");
}

#[tokio::test]
async fn asking_for_the_list_tells_as_much_as_a_call() {
    let (desk, sim) = Desk::simulated(&NEVER_LOOKS).await;
    let list = async || desk.client.clone().list_models(ListModelsRequest {}).await;
    sim.control()
        .set_list_scenario(Some("status code=401".parse().unwrap()));
    list().await.unwrap_err();
    becomes(&desk, ServingStatus::NotServing).await;
    sim.control().set_list_scenario(None);
    list().await.unwrap();
    becomes(&desk, ServingStatus::Serving).await;
}

//! Models that the provider has no longer: the list is looked at, not for each call, and shows when one is back.

use std::time::{Duration, Instant};

use groq_sim::{Availability, Running};

use crate::harness::{Desk, PATIENCE, about};

const FIRST: &str = "openai/gpt-oss-120b";
const OTHER: &str = "openai/gpt-oss-20b";
const OFTEN: [&str; 2] = ["--groq-look-interval", "100ms"];

fn looks(sim: &Running) -> usize {
    let requests = sim.control().requests();
    requests
        .iter()
        .filter(|request| request.path == "/openai/v1/models")
        .count()
}

async fn looked(sim: &Running, times: usize) {
    let began = Instant::now();
    while looks(sim) < times {
        assert!(began.elapsed() < PATIENCE, "{} of {times} looks", looks(sim));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_refused_model_is_looked_up_at_once_and_no_more_than_once() {
    for availability in [Availability::Missing, Availability::Decommissioned] {
        let (desk, sim) = Desk::simulated(&[]).await;
        sim.control().set_availability(FIRST, Some(availability));
        for _ in 0..20 {
            assert!(desk.reply(about("hello")).await.finished());
        }
        looked(&sim, 1).await;
        assert_eq!(looks(&sim), 1, "not for each call");
        let asked: Vec<_> = sim.control().calls().into_iter().map(|call| call.model).collect();
        assert_eq!(asked.iter().filter(|model| *model == FIRST).count(), 1);
    }
}

#[tokio::test]
async fn it_is_asked_again_soon_after_the_list_has_it_again() {
    let (desk, sim) = Desk::simulated(&OFTEN).await;
    sim.control()
        .set_availability(FIRST, Some(Availability::Decommissioned));
    let reply = desk.reply(about("hello")).await;
    assert_eq!(reply.calls().last().unwrap().0.model, OTHER);
    looked(&sim, 2).await;
    assert_eq!(
        desk.reply(about("hello")).await.started().model,
        OTHER,
        "it is not there yet"
    );
    sim.control().set_availability(FIRST, None);
    let began = Instant::now();
    while desk.reply(about("hello")).await.started().model != FIRST {
        assert!(began.elapsed() < PATIENCE, "it is never asked again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let calls = sim.control().calls();
    let refused = calls.iter().filter(|call| call.status != Some(200)).count();
    assert_eq!(refused, 1, "no customer's call was refused to find out");
}

#[tokio::test]
async fn a_model_that_is_listed_and_refused_is_left_alone_all_the_same() {
    let (desk, sim) = Desk::simulated(&OFTEN).await;
    sim.control()
        .set_scenario(format!("status code=404 model={FIRST}").parse().unwrap());
    assert!(desk.reply(about("hello")).await.finished());
    looked(&sim, 1).await;
    for _ in 0..10 {
        assert_eq!(desk.reply(about("hello")).await.started().model, OTHER);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(looks(&sim), 1, "the list has said all that it can");
}

#[tokio::test]
async fn a_list_that_cannot_be_had_is_asked_for_again_in_time() {
    let (desk, sim) = Desk::simulated(&OFTEN).await;
    sim.control().set_availability(FIRST, Some(Availability::Missing));
    sim.control()
        .set_list_scenario(Some("status code=500".parse().unwrap()));
    let began = Instant::now();
    assert!(desk.reply(about("hello")).await.finished());
    looked(&sim, 3).await;
    assert!(began.elapsed() >= Duration::from_millis(200));
}

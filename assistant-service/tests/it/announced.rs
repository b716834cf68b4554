//! A call that is not its request's first is announced before it is made, so that whoever keeps books has entered it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use deskhand_proto::assistant::v1::stream_reply_response::Event;
use groq_sim::Outcome;

use crate::harness::{Asked, Desk, Whole, about};

const FIRST: &str = "openai/gpt-oss-120b";
/// What the contract promises.
const AHEAD: f64 = 20.0;

fn unix_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1_000.0
}

/// When each call was announced, as its caller sees it.
async fn announced(desk: &Desk, newest: &str) -> Vec<f64> {
    let mut stream = desk
        .client
        .clone()
        .stream_reply(about(newest))
        .await
        .unwrap()
        .into_inner();
    let mut announced = Vec::new();
    while let Ok(Some(message)) = stream.message().await {
        if let Some(Event::CallStarted(_)) = message.event {
            announced.push(unix_ms());
        }
    }
    announced
}

#[tokio::test]
async fn a_second_call_is_made_no_sooner_than_20_ms_after_it_was_announced() {
    for scenario in [
        // The fallback model, at once.
        format!("status code=404 model={FIRST}"),
        format!("rate-limit kind=tpd model={FIRST}"),
        // Output that is asked for anew, at once: by the provider's word, and by ours.
        "status code=400 error=tool_use_failed first=1".to_owned(),
        "tool-calls tool=hand_off arguments=\"{}\" first=1".to_owned(),
        // A repetition with a delay of its own.
        "status code=503 first=1".to_owned(),
        "rate-limit wait=0.01 kind=rpm first=1".to_owned(),
    ] {
        let (desk, sim) = Desk::simulated(&[]).await;
        let mut ahead = f64::MIN;
        // That the caller sees it late, on a busy machine, is not the service's doing: the best of some tries.
        for _ in 0..5 {
            sim.control().reset();
            let desk = Desk::asking(&sim.base_url(), &[]).await;
            let announced = announced(&desk, &format!("Help [sim:{scenario}]")).await;
            let made = sim.control().calls();
            assert_eq!((announced.len(), made.len()), (2, 2), "{scenario}");
            // Whole milliseconds there: what it shows may be almost one too little.
            ahead = ahead.max(made[1].started_ms as f64 + 1.0 - announced[1]);
        }
        println!("{scenario}: {ahead:.1} ms ahead");
        assert!(ahead >= AHEAD, "{scenario}: {ahead} ms ahead");
        drop(desk);
    }
}

#[tokio::test]
async fn a_first_call_is_not_delayed_and_neither_is_one_that_nobody_hears_of() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let mut fastest = f64::MAX;
    for _ in 0..10 {
        sim.control().reset();
        let announced = announced(&desk, "hello").await;
        fastest = fastest.min(sim.control().calls()[0].started_ms as f64 - announced[0]);
    }
    assert!(fastest < AHEAD / 2.0, "{fastest} ms");
    // An answer in one piece tells of its calls at the end.
    let mut fastest = u64::MAX;
    for _ in 0..10 {
        let (desk, sim) = Desk::simulated(&[]).await;
        let gone = format!("[sim:status code=404 model={FIRST}]");
        assert!(desk.whole(Whole::Summary, &gone, Asked::default()).await.1.is_none());
        let made = sim.control().calls();
        fastest = fastest.min(made[1].started_ms - made[0].started_ms);
    }
    assert!(fastest < 20, "{fastest} ms");
}

#[tokio::test]
async fn a_caller_that_leaves_upon_the_announcement_has_no_call_made() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let gone = format!("status code=404 model={FIRST}");
    let mut stopped = 0;
    for round in 0..20 {
        sim.control().reset();
        let desk = Desk::asking(&sim.base_url(), &[]).await;
        let request = about(&format!("round {round} [sim:{gone}]"));
        let mut stream = desk.client.clone().stream_reply(request).await.unwrap().into_inner();
        let mut announced = 0;
        while announced < 2 {
            let event = stream.message().await.unwrap().unwrap().event;
            announced += usize::from(matches!(event, Some(Event::CallStarted(_))));
        }
        drop(stream);
        // Longer than the announcement: that nothing happens takes time to see.
        tokio::time::sleep(Duration::from_millis(80)).await;
        stopped += usize::from(sim.control().calls().len() == 1);
    }
    println!("{stopped} of 20 were stopped in time");
    // A busy machine may take longer than the announcement lasts to hear that the caller left.
    assert!(stopped >= 10, "{stopped} of 20");
    drop(desk);
}

#[tokio::test]
async fn a_call_that_its_deadline_would_cut_off_at_once_is_not_announced() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let began = Instant::now();
    let mut announced_in_vain = 0;
    for limit in (20..120).step_by(2) {
        sim.control().reset();
        let desk = Desk::asking(&sim.base_url(), &[]).await;
        let request = about(&format!("[sim:status code=404 model={FIRST}]"));
        let reply = desk
            .reply(crate::harness::within(request, Some(Duration::from_millis(limit))))
            .await;
        let started = |event: &&Event| matches!(event, Event::CallStarted(_));
        let announced = reply.events.iter().filter(started).count();
        let made = sim.control().calls();
        assert!(announced >= made.len(), "{limit} ms: every call is announced");
        announced_in_vain += announced - made.len();
        assert!(
            made.iter()
                .all(|call| call.outcome != Outcome::Running || call.status.is_none())
        );
    }
    println!("{announced_in_vain} announced in vain, {:?}", began.elapsed());
    assert!(announced_in_vain <= 5, "{announced_in_vain}");
    drop(desk);
}

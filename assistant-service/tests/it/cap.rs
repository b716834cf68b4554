//! `tokens_at_most`: all calls for one request together never take more, whatever goes wrong.

use std::collections::HashMap;

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::tickets::v1::AuthorKind;
use futures_util::stream::{self, StreamExt as _};
use groq_sim::{Keep, Limits, Settings};
use tonic::Code;

use crate::books::Numbers;
use crate::harness::{Asked, Desk, ONE_CALL, PATIENCE, Whole, about, conversation, reason, turn, violated_fields};

const WHOLES: [Whole; 3] = [Whole::Summary, Whole::Triage, Whole::Rewrite];

fn capped(newest: &str, tokens_at_most: i64) -> proto::StreamReplyRequest {
    proto::StreamReplyRequest {
        tokens_at_most,
        ..about(newest)
    }
}

fn at_most(tokens_at_most: i64) -> Asked {
    Asked {
        tokens_at_most,
        ..Asked::default()
    }
}

fn announced(started: &proto::stream_reply_response::CallStarted) -> i64 {
    started.input_tokens_at_most + started.output_tokens_at_most
}

/// What one call of a task takes at most.
async fn one_call(desk: &Desk, task: Option<Whole>, text: &str) -> i64 {
    match task {
        None => announced(desk.reply(about(text)).await.started()),
        Some(task) => {
            let (calls, _) = desk.whole(task, text, Asked::default()).await;
            announced(calls[0].started.as_ref().unwrap())
        }
    }
}

#[tokio::test]
async fn less_than_one_call_needs_is_refused_by_field_and_nothing_is_sent() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for tokens_at_most in [i64::MIN, -1, 1, 100, 3_072, 4_000] {
        let reply = desk.reply(capped("hello", tokens_at_most)).await;
        assert_eq!(
            violated_fields(&reply.status.unwrap()),
            ["tokens_at_most"],
            "{tokens_at_most}"
        );
        assert!(reply.events.is_empty());
        for task in WHOLES {
            let (calls, status) = desk.whole(task, "hello", at_most(tokens_at_most)).await;
            assert_eq!(
                violated_fields(&status.unwrap()),
                ["tokens_at_most"],
                "{task:?} {tokens_at_most}"
            );
            assert!(calls.is_empty());
        }
    }
    assert!(sim.control().requests().is_empty());
}

#[tokio::test]
async fn exactly_what_one_call_needs_is_enough_and_one_token_less_is_not() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for task in [None, Some(WHOLES[0]), Some(WHOLES[1]), Some(WHOLES[2])] {
        let needs = one_call(&desk, task, "hello").await;
        for (tokens_at_most, goes_well) in [(needs, true), (needs - 1, false), (i64::MAX, true)] {
            sim.control().reset();
            let status = match task {
                None => desk.reply(capped("hello", tokens_at_most)).await.status,
                Some(task) => desk.whole(task, "hello", at_most(tokens_at_most)).await.1,
            };
            assert_eq!(status.is_none(), goes_well, "{task:?} {tokens_at_most}: {status:?}");
            assert_eq!(sim.control().calls().len(), usize::from(goes_well), "{task:?}");
        }
    }
}

fn long() -> proto::Conversation {
    let turns = (0..120).map(|at| {
        turn(
            AuthorKind::Customer,
            &format!("message {at}: {}", "it broke again ".repeat(20)),
        )
    });
    proto::Conversation {
        turns: turns.collect(),
        ..conversation("")
    }
}

#[tokio::test]
async fn a_prompt_is_cut_to_fit() {
    let (desk, sim) = Desk::simulated(&["--prompt-tokens", "12000"]).await;
    // Nothing is learned of the length of tokens meanwhile, which would cut prompts too.
    sim.control().set_scenario("usage times=0".parse().unwrap());
    let asked = async |tokens_at_most: i64| {
        let request = proto::StreamReplyRequest {
            conversation: Some(long()),
            tokens_at_most,
            ..Default::default()
        };
        let reply = desk.reply(request).await;
        assert!(reply.finished(), "{tokens_at_most}: {reply:?}");
        let messages = sim.control().requests().pop().unwrap().body["messages"]
            .as_array()
            .unwrap()
            .clone();
        (announced(reply.started()), messages)
    };
    let (whole, all) = asked(0).await;
    let mut before = all.len() + 1;
    let mut least = whole;
    for tokens_at_most in (11_000..=whole).rev().step_by(4_000) {
        let (at_most, messages) = asked(tokens_at_most).await;
        assert!(at_most <= tokens_at_most, "{at_most} of {tokens_at_most}");
        assert!(
            at_most > tokens_at_most - 1_000,
            "{at_most} of {tokens_at_most}: what is allowed is used"
        );
        assert!(messages.len() < before, "{} messages after {before}", messages.len());
        assert_eq!(messages[0], all[0], "the instructions stay");
        assert_eq!(messages.last(), all.last(), "and so does the newest message");
        before = messages.len();
        least = at_most;
    }
    assert!(least < whole / 2, "{least} of {whole}");
    // What is shown is what is sent without a cap.
    let request = proto::RenderPromptRequest {
        conversation: Some(long()),
        ..Default::default()
    };
    let rendered = desk.client.clone().render_prompt(request).await.unwrap().into_inner();
    assert_eq!(rendered.messages.len(), all.len());
}

#[tokio::test]
async fn a_later_call_is_made_only_where_it_fits_in_what_is_left() {
    for (scenario, more, calls) in [
        // What is allowed beyond one call, or else that much once more.
        //
        // Refused, so nothing is billed: all of it is still there.
        ("status code=503 first=1", Some(0), 2),
        ("status code=404 model=openai/gpt-oss-120b", Some(0), 2),
        // Cut off, so it counts as all that was announced.
        ("cut how=reset after=0 reasoning=5 first=1", Some(0), 1),
        ("cut how=reset after=0 reasoning=5 first=1", Some(4_000), 1),
        ("cut how=reset after=0 reasoning=5 first=1", None, 2),
        // The provider said what it took.
        ("tool-calls tool=refund arguments=\"{}\" first=1", Some(0), 1),
        ("tool-calls tool=refund arguments=\"{}\" first=1", Some(4_000), 2),
        ("tool-calls tool=hand_off arguments=\"{}\" first=1", Some(0), 1),
        ("tool-calls tool=hand_off arguments=\"{}\" first=1", Some(6_000), 2),
    ] {
        let text = format!("hello [sim:{scenario}]");
        let needs = one_call(&Desk::simulated(&[]).await.0, None, &text).await;
        let tokens_at_most = needs + more.unwrap_or(needs);
        let (desk, sim) = Desk::simulated(&[]).await;
        let reply = desk.reply(capped(&text, tokens_at_most)).await;
        assert_eq!(
            reply.calls().len(),
            calls,
            "{scenario} {tokens_at_most} of {needs}: {reply:?}"
        );
        assert_eq!(sim.control().calls().len(), calls);
        assert_eq!(reply.finished(), calls == 2, "{scenario}");
        if calls == 1 {
            let tool = scenario.starts_with("tool");
            let why = if tool { "INVALID_OUTPUT" } else { "UPSTREAM_UNAVAILABLE" };
            assert_eq!(reply.failure().1, why, "{scenario}: as it would be told without a cap");
        }
    }
}

#[tokio::test]
async fn a_mending_that_does_not_fit_is_not_tried() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let text = "hello [sim:bad-json kind=wrong-enum]";
    let needs = one_call(&desk, Some(Whole::Triage), text).await;
    sim.control().reset();
    let (calls, status) = desk.whole(Whole::Triage, text, at_most(needs)).await;
    let status = status.unwrap();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Aborted, "INVALID_OUTPUT")
    );
    assert_eq!((calls.len(), sim.control().calls().len()), (1, 1));
}

#[tokio::test]
async fn a_fallback_that_needs_more_than_the_first_is_not_asked() {
    let flags = [
        "--groq-model",
        "qwen/qwen3.8-27b",
        "--groq-fallback-model",
        "openai/gpt-oss-20b",
    ];
    let (desk, sim) = Desk::simulated(&flags).await;
    // Qwen does not reason here, so its answers have less room, and the other's do not fit.
    let needs = one_call(&desk, None, "hello").await;
    sim.control().reset();
    sim.control()
        .set_scenario("status code=404 model=qwen/qwen3.8-27b".parse().unwrap());
    let reply = desk.reply(capped("hello", needs)).await;
    assert_eq!(
        (reply.failure().1.as_str(), reply.calls().len()),
        ("MODEL_UNAVAILABLE", 1)
    );
    // It is left alone now; that is why nothing is asked, not the cap.
    let reply = desk.reply(capped("hello", needs)).await;
    assert_eq!(
        (reply.failure().1.as_str(), reply.events.len()),
        ("MODEL_UNAVAILABLE", 0)
    );
    assert!(desk.reply(capped("hello", needs + 2_048)).await.finished());
    let (small, _sim) = Desk::simulated(&ONE_CALL).await;
    assert!(small.reply(capped("hello", needs + 2_048)).await.finished());
}

/// What the provider does about one request: often more than one thing.
fn scenario(random: &mut Numbers) -> String {
    let tokens = 1 + random.below(200);
    let after = random.below(4);
    let scenario = match random.below(16) {
        0..3 => format!("ok tokens={tokens}"),
        3 => "usage times=0".to_owned(),
        4 => "length after=30".to_owned(),
        5 => "status code=503 first=1".to_owned(),
        6 => "status code=404 model=openai/gpt-oss-120b".to_owned(),
        7 => format!("cut how=reset after={after} reasoning=40 first=2"),
        8 => format!("cut how=close after={after} first=1"),
        9 => "error-event after=0 reasoning=30 first=1".to_owned(),
        10 => "error-data after=0 reasoning=60 first=2".to_owned(),
        11 => "tool-calls tool=refund arguments=\"{}\" first=1".to_owned(),
        12 => "tool-calls tool=hand_off arguments=\"{}\" first=1".to_owned(),
        13 => "bad-json kind=wrong-enum".to_owned(),
        14 => "status code=400 error=tool_use_failed first=1".to_owned(),
        _ => format!("end-early after={after}"),
    };
    format!("[sim:{scenario}]")
}

const ASKS: u64 = 400;

#[tokio::test]
async fn by_the_provider_s_books_no_request_takes_more() {
    let sim = groq_sim::start(Settings {
        limits: Limits {
            tokens_per_minute: 1_000_000_000,
            requests_per_day: 1_000_000_000,
            ..Limits::GENEROUS
        },
        keep: Keep { calls: 4_000 },
        ..Settings::instant()
    })
    .await
    .unwrap();
    let desk = Desk::asking(&sim.base_url(), &["--breaker-failures", "0", "--groq-retries", "5"]).await;
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    println!("seed {seed}");
    let mut random = Numbers(seed);
    let asks: Vec<_> = (0..ASKS)
        .map(|number| {
            let filler = "日本 and so on ".repeat(random.below(60) as usize);
            // The number comes where it is neither cut nor joined with the next.
            let text = format!("<<{number}>> {filler}{}", scenario(&mut random));
            (number, text, 5_500 + random.below(14_000) as i64, random.below(5))
        })
        .collect();
    let mut caps = HashMap::new();
    let (mut refused, mut answered, mut failed) = (0, 0, 0);
    let mut results = stream::iter(asks)
        .map(|(number, text, cap, task)| {
            let desk = &desk;
            async move {
                let status = match task {
                    0..2 => desk.reply(capped(&text, cap)).await.status,
                    task => desk.whole(WHOLES[task as usize - 2], &text, at_most(cap)).await.1,
                };
                (number, cap, status)
            }
        })
        .buffer_unordered(16);
    while let Some((number, cap, status)) = results.next().await {
        caps.insert(number, cap);
        match status {
            None => answered += 1,
            Some(status) if status.code() == Code::InvalidArgument => {
                assert_eq!(violated_fields(&status), ["tokens_at_most"]);
                refused += 1;
            }
            Some(_) => failed += 1,
        }
    }
    let made = sim.control().calls().len();
    assert!(sim.control().wait_for_ended(made, PATIENCE).await.is_some());

    let bodies: HashMap<u64, String> = sim
        .control()
        .requests()
        .into_iter()
        .map(|request| (request.id, request.body["messages"].to_string()))
        .collect();
    let (mut taken, mut calls): (HashMap<u64, i64>, HashMap<u64, usize>) = Default::default();
    for call in sim.control().calls() {
        let body = &bodies[&call.id];
        let (_, rest) = body.rsplit_once("<<").unwrap();
        let number: u64 = rest.split_once(">>").unwrap().0.parse().unwrap();
        *taken.entry(number).or_default() += call.billed.map_or(0, |usage| i64::from(usage.total_tokens));
        *calls.entry(number).or_default() += 1;
    }
    for (number, taken) in &taken {
        let cap = caps[number];
        assert!(*taken <= cap, "seed {seed}: ask {number} took {taken} of {cap}");
    }
    let several = calls.values().filter(|calls| **calls > 1).count();
    println!("{answered} answered, {failed} failed, {refused} refused; {several} took several of {made} calls");
    assert!(answered > 100 && refused > 20 && several > 20);
}

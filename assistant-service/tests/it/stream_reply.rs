//! A reply that goes well.

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::stream_reply_response::Event;
use deskhand_proto::tickets::v1::{AuthorKind, TicketCategory};
use groq_sim::Pace;

use crate::harness::{Desk, about, conversation, turn, violated_fields, wrong_conversations};

#[tokio::test]
async fn a_whole_answer_comes_in_order_and_says_what_it_cost() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let reply = desk.reply(about("My printer is on fire")).await;

    assert!(reply.status.is_none() && reply.finished(), "{reply:?}");
    let started = reply.started();
    assert_eq!((started.call_no, started.model.as_str()), (1, "openai/gpt-oss-120b"));
    assert_eq!(
        (started.prompt_id.as_str(), started.prompt_version.len()),
        ("reply/general", 12)
    );
    assert!(reply.deltas().iter().all(|text| !text.is_empty()));

    let call = sim.control().calls().pop().unwrap();
    assert_eq!(reply.text(), call.text);
    assert!(reply.text().contains("My printer is on fire"));
    let ended = reply.ended();
    assert_eq!((ended.call_no, ended.outcome()), (1, proto::CallOutcome::Completed));
    assert_eq!(ended.upstream_id, call.request_id);
    let (usage, billed) = (ended.usage.as_ref().unwrap(), call.billed.unwrap());
    assert_eq!(usage.input_tokens, i64::from(billed.prompt_tokens));
    assert_eq!(usage.output_tokens, i64::from(billed.completion_tokens));
    assert!(usage.reasoning_tokens > 0 && usage.reasoning_tokens < usage.output_tokens);
    assert_eq!(
        call.usage_sent, 3,
        "the simulator sends it as often as the provider does"
    );
    let seconds = |time: &Option<prost_types::Duration>| {
        let time = time.as_ref().unwrap();
        time.seconds as f64 + f64::from(time.nanos) / 1e9
    };
    let (first, all) = (seconds(&ended.time_to_first_token), seconds(&ended.duration));
    assert!(first > 0.0 && first <= all, "{first} {all}");
}

#[tokio::test]
async fn usage_counts_once_however_often_it_comes() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for times in 0..=3 {
        let reply = desk.reply(about(&format!("[sim:usage times={times}]"))).await;
        assert!(reply.finished());
        let call = sim.control().calls().pop().unwrap();
        let billed = call.billed.map(|usage| i64::from(usage.completion_tokens)).unwrap();
        let told = reply.ended().usage.unwrap().output_tokens;
        if times == 0 {
            assert_eq!(reply.ended().usage_source(), proto::UsageSource::Estimated);
            assert!(told >= billed);
        } else {
            assert_eq!(reply.ended().usage_source(), proto::UsageSource::Reported);
            assert_eq!(told, billed, "{times}");
        }
    }
}

#[tokio::test]
async fn the_category_picks_the_prompt() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    for (category, id) in [
        (TicketCategory::Unspecified, "reply/general"),
        (TicketCategory::Billing, "reply/billing"),
        (TicketCategory::Technical, "reply/technical"),
        (TicketCategory::Account, "reply/account"),
    ] {
        let conversation = proto::Conversation {
            category: category.into(),
            ..conversation("hello")
        };
        let reply = desk
            .reply(proto::StreamReplyRequest {
                conversation: Some(conversation),
                ..Default::default()
            })
            .await;
        assert!(reply.finished());
        assert_eq!(reply.started().prompt_id, id);
    }
}

#[tokio::test]
async fn a_ticket_without_messages_is_answered_by_its_description() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let conversation = proto::Conversation {
        turns: Vec::new(),
        ..conversation("")
    };
    let reply = desk
        .reply(proto::StreamReplyRequest {
            conversation: Some(conversation),
            ..Default::default()
        })
        .await;
    assert!(reply.finished());
    assert!(reply.text().contains("Since this morning."));
}

#[tokio::test]
async fn no_piece_waits_for_the_next() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let mut stream = desk
        .client
        .clone()
        .stream_reply(about("[sim:ok tokens=20 reasoning=0 ttft_ms=0 token_ms=40]"))
        .await
        .unwrap()
        .into_inner();
    let mut deltas = 0;
    while let Some(message) = stream.message().await.unwrap() {
        deltas += usize::from(matches!(message.event, Some(Event::Delta(_))));
    }
    assert!(deltas >= 15, "{deltas} deltas of 20 tokens that came one by one");
}

#[tokio::test]
async fn pieces_that_come_together_go_together() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let reply = desk.reply(about("[sim:one-write tokens=64]")).await;
    assert!(reply.finished());
    // The HTTP client hands on what it has read, which may be less than all.
    assert!(
        reply.deltas().len() <= 4,
        "{} deltas of 64 tokens that came at once",
        reply.deltas().len()
    );
}

#[tokio::test]
async fn however_the_bytes_are_cut_and_dressed_the_text_is_the_same() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for scenario in [
        "byte-at-a-time",
        "split-utf8",
        "one-write",
        "crlf",
        "no-space",
        "comments",
        "multi-line-data",
        "ok",
    ] {
        let reply = desk.reply(about(&format!("Grüße [sim:{scenario}]"))).await;
        let call = sim.control().calls().pop().unwrap();
        assert!(call.scenario.starts_with(scenario));
        assert!(reply.finished(), "{scenario}: {reply:?}");
        assert_eq!(reply.text(), call.text, "{scenario}");
        assert!(reply.ended().usage.is_some(), "{scenario}");
    }
}

#[tokio::test]
async fn a_slow_model_that_shows_signs_of_life_is_waited_for() {
    // Each wait is shorter than its limit. The first text comes after 1.5 s: it is reasoning that came before.
    let flags = ["--first-token-limit", "1s", "--chunk-limit", "700ms"];
    let (desk, sim) = Desk::simulated(&flags).await;
    sim.control().set_pace(Pace {
        ttft_ms: 300.0,
        token_ms: 60.0,
    });
    let reply = desk.reply(about("[sim:ok tokens=5 reasoning=20]")).await;
    assert!(reply.finished(), "{reply:?}");
}

#[tokio::test]
async fn many_at_once_do_not_mix() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let replies = (0..50).map(|number| {
        let (request, client) = (about(&format!("question {number} of many")), &desk);
        async move { (number, client.reply(request).await) }
    });
    for (number, reply) in futures_util::future::join_all(replies).await {
        assert!(reply.finished(), "{reply:?}");
        assert!(reply.text().contains(&format!("question {number} of many")));
    }
}

#[tokio::test]
async fn the_longest_conversation_that_is_allowed_is_answered() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let turns = (0..1_000).map(|at| {
        turn(
            if at % 2 == 0 {
                AuthorKind::Agent
            } else {
                AuthorKind::Customer
            },
            &"語".repeat(100),
        )
    });
    let conversation = proto::Conversation {
        description: "x".repeat(10_000),
        turns: turns.collect(),
        ..conversation("")
    };
    let reply = desk
        .reply(proto::StreamReplyRequest {
            conversation: Some(conversation),
            ..Default::default()
        })
        .await;
    assert!(reply.finished(), "{reply:?}");
    let body = sim.control().requests().pop().unwrap().body;
    let bytes: usize = body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["content"].as_str().unwrap().len())
        .sum();
    assert!(bytes <= 4_800 * 3);
}

#[tokio::test]
async fn wrong_requests_are_refused_by_field_and_nothing_is_sent() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for (conversation, fields) in wrong_conversations() {
        let reply = desk
            .reply(proto::StreamReplyRequest {
                conversation,
                ..Default::default()
            })
            .await;
        assert!(reply.events.is_empty());
        assert_eq!(violated_fields(&reply.status.unwrap()), fields);
    }
    assert!(sim.control().requests().is_empty());
}

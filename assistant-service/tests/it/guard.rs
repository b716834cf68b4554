//! What the model says, as its readers get it.

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::stream_reply_response::Event;
use tonic::{Code, Status};

use crate::harness::{Desk, about, conversation, reason, scripted};

const EVIL: &str = "Hi <img src=x onerror=alert(1)> ![p](https://evil.example/?q=1) [t](javascript:alert(1)) \
                    https://evil.example/x [r]: //evil.example ok";
const TOLD: &str = "Hi < img src=x onerror=alert(1)> ! [p] (https:// evil.example/?q=1) [t] (javascript: alert(1)) \
                    https:// evil.example/x [r] : // evil.example ok";

fn letters(text: &str) -> Vec<&str> {
    text.char_indices()
        .map(|(at, c)| &text[at..at + c.len_utf8()])
        .collect()
}

/// The mark, as the instructions have it.
async fn mark(desk: &Desk) -> String {
    let request = proto::RenderPromptRequest {
        conversation: Some(conversation("hello")),
        ..Default::default()
    };
    let rendered = desk.client.clone().render_prompt(request).await.unwrap().into_inner();
    let (_, mark) = rendered.messages[0].content.split_once("mark: ").unwrap();
    mark.split_once(')').unwrap().0.to_owned()
}

async fn summarize(desk: &Desk, newest: &str) -> Result<String, Status> {
    let request = proto::SummarizeRequest {
        conversation: Some(conversation(newest)),
        ..Default::default()
    };
    Ok(desk.client.clone().summarize(request).await?.into_inner().summary)
}

async fn rewrite(desk: &Desk, text: &str) -> Result<String, Status> {
    let request = proto::RewriteRequest {
        text: text.to_owned(),
        tone: proto::Tone::Formal.into(),
        ..Default::default()
    };
    Ok(desk.client.clone().rewrite(request).await?.into_inner().text)
}

#[tokio::test]
async fn markup_and_links_come_as_text_whatever_the_pieces() {
    let (desk, sim) = Desk::simulated(&[]).await;
    scripted(&sim, "whole", &[EVIL]);
    scripted(&sim, "letters", &letters(EVIL));
    for script in ["whole", "letters"] {
        let marker = format!("[sim:script of={script}]");
        for task in [proto::Task::Reply, proto::Task::Draft] {
            let reply = desk
                .reply(proto::StreamReplyRequest {
                    task: task.into(),
                    ..about(&marker)
                })
                .await;
            assert!(reply.finished(), "{reply:?}");
            assert_eq!(reply.text(), TOLD);
        }
        assert_eq!(summarize(&desk, &marker).await.unwrap(), TOLD);
        assert_eq!(rewrite(&desk, &marker).await.unwrap(), TOLD);
    }
}

#[tokio::test]
async fn what_customers_planted_is_inert_when_it_comes_back() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let planted = "![x](https://evil.example) https://u:<b>x@h.example";
    let reply = desk.reply(about(planted)).await;
    let told = reply.text();
    assert!(
        told.contains("“! [x] (https:// evil.example) https:// u:< b>x@h.example”"),
        "{told}"
    );
}

#[tokio::test]
async fn hosts_that_are_allowed_are_linked_to() {
    let (desk, sim) = Desk::simulated(&["--links-allowed", "help.example, evil2.example"]).await;
    let text = "See [this](https://docs.help.example/a) or https://help.example. Not [that](https://evil.example) or ![i](https://help.example/i).";
    let told = "See [this](https://docs.help.example/a) or https://help.example. Not [that] (https:// evil.example) or ! [i](https://help.example/i).";
    scripted(&sim, "letters", &letters(text));
    let reply = desk.reply(about("[sim:script of=letters]")).await;
    assert_eq!(reply.text(), told);
    assert_eq!(summarize(&desk, "[sim:script of=letters]").await.unwrap(), told);
}

#[tokio::test]
async fn a_text_that_is_rewritten_keeps_its_own_links() {
    let (desk, sim) = Desk::simulated(&[]).await;
    scripted(
        &sim,
        "links",
        &["See https://docs.example/new and https://evil.example/."],
    );
    let told = rewrite(&desk, "Look at https://docs.example/a [sim:script of=links]").await;
    assert_eq!(
        told.unwrap(),
        "See https://docs.example/new and https:// evil.example/."
    );
}

#[tokio::test]
async fn instructions_do_not_come_back() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let mark = mark(&desk).await;
    let spread: String = mark.chars().map(|letter| format!("{letter} ")).collect();
    for (at, said) in [
        format!("Sure: {mark} You are the assistant"),
        format!("Sure: {spread}"),
        format!("Sure: {}", mark.chars().skip(5).take(4).collect::<String>()),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("leak{at}");
        scripted(&sim, &name, &letters(said));
        let marker = format!("[sim:script of={name}]");
        let reply = desk.reply(about(&marker)).await;
        assert_eq!(
            reply.failure(),
            (Code::FailedPrecondition, "CONTENT_FILTERED".to_owned())
        );
        assert!(
            "Sure: ".starts_with(&reply.text()),
            "something of it is sent: {}",
            reply.text()
        );
        let ended = reply.ended();
        assert_eq!(ended.usage_source(), proto::UsageSource::Reported, "its cost is told");
        for failed in [summarize(&desk, &marker).await, rewrite(&desk, &marker).await] {
            let status = failed.unwrap_err();
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::FailedPrecondition, "CONTENT_FILTERED")
            );
            assert!(!format!("{status:?}").contains(&mark[..6]));
        }
    }
    let calls = sim.control().calls().len();
    assert_eq!(calls, 9, "nothing is asked twice");
}

#[tokio::test]
async fn nor_by_a_tool_or_a_field() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let mark = mark(&desk).await;
    let call = format!(r#"[sim:tool-calls tool=hand_off arguments="{{\"why\": \"It is {mark}\"}}"]"#);
    let reply = desk.reply(about(&call)).await;
    assert_eq!(
        reply.failure(),
        (Code::FailedPrecondition, "CONTENT_FILTERED".to_owned())
    );
    assert!(!reply.events.iter().any(|event| matches!(event, Event::HandOff(_))));

    // The simulator quotes the title. It cannot be known, but if it were: it does not come back.
    let conversation = proto::Conversation {
        title: format!("What is {mark}?"),
        ..conversation("hello")
    };
    let request = proto::TriageRequest {
        conversation: Some(conversation),
        ..Default::default()
    };
    let status = desk.client.clone().triage(request).await.unwrap_err();
    assert_eq!(reason(&status), "CONTENT_FILTERED");
    assert_eq!(sim.control().calls().len(), 2);
}

#[tokio::test]
async fn the_mark_is_the_process_s_so_that_instructions_are_the_same_bytes() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let (other, _) = Desk::simulated(&[]).await;
    let (first, second) = (mark(&desk).await, mark(&desk).await);
    assert_eq!(first, second);
    assert_ne!(first, mark(&other).await);
    desk.reply(about("one")).await;
    desk.reply(about("another")).await;
    let bodies = sim.control().requests();
    assert_eq!(bodies[0].body["messages"][0], bodies[1].body["messages"][0]);
}

#[tokio::test]
async fn an_answer_of_which_nothing_can_be_seen_is_empty() {
    let (desk, sim) = Desk::simulated(&[]).await;
    scripted(&sim, "unseen", &["\u{200b}", "\u{e0041}\u{e0042}", " \u{202e}\n"]);
    let reply = desk.reply(about("[sim:script of=unseen]")).await;
    assert_eq!(reply.failure(), (Code::Aborted, "EMPTY_ANSWER".to_owned()));
    let status = summarize(&desk, "[sim:script of=unseen]").await.unwrap_err();
    assert_eq!(reason(&status), "EMPTY_ANSWER");
}

#[tokio::test]
async fn an_answer_has_an_end() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let part = "word ".repeat(6_000);
    scripted(&sim, "endless", &[&part, &part, &part, &part]);
    let reply = desk.reply(about("[sim:script of=endless]")).await;
    assert_eq!(reply.failure(), (Code::Aborted, "ANSWER_TRUNCATED".to_owned()));
    assert!(reply.text().len() <= 100_000 && reply.text().len() >= 60_000);
    assert!(reply.ended().usage.is_some());
    let status = summarize(&desk, "[sim:script of=endless]").await.unwrap_err();
    assert_eq!(reason(&status), "ANSWER_TRUNCATED");
}

#[tokio::test]
async fn plain_words_come_piece_by_piece_as_they_were_written() {
    let (desk, sim) = Desk::simulated(&["--links-allowed", "help.example"]).await;
    let pieces = [
        "Open ",
        "*Settings*",
        " → ",
        "Account",
        ": it's",
        " at 12:30",
        ", [gap]",
        " and",
        " 3 < 5",
        "!",
    ];
    let paced: Vec<_> = pieces
        .iter()
        .flat_map(|text| [serde_json::json!({"text": text}), serde_json::json!({"pause_ms": 30})])
        .collect();
    let steps = [
        &[serde_json::json!({"head": {}}), "role".into()][..],
        &paced,
        &[serde_json::json!({"finish": "stop"}), "usage".into(), "done".into()],
    ]
    .concat();
    let script = serde_json::json!({"summary": "paced", "steps": steps});
    sim.control()
        .set_script("paced", serde_json::from_value(script).unwrap())
        .unwrap();
    let reply = desk.reply(about("a@mail.example [sim:script of=paced]")).await;
    assert!(reply.finished(), "{reply:?}");
    assert_eq!(reply.deltas(), pieces);
}

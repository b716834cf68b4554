//! Replies that leave the ticket to a person, and drafts, which cannot.

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::stream_reply_response::Event;
use tonic::Code;

use crate::harness::{Desk, Reply, about, violated_fields};

/// What of a stream is no text: `started`, `hand_off`, `ended`, `finished`.
fn outline(reply: &Reply) -> Vec<String> {
    let events = reply.events.iter().filter_map(|event| match event {
        Event::CallStarted(started) => Some(format!("started {}", started.call_no)),
        Event::Delta(_) => None,
        Event::HandOff(hand_off) => Some(format!("hand_off {}", hand_off.why)),
        Event::CallEnded(ended) => Some(format!("ended {} {:?}", ended.call_no, ended.outcome())),
        Event::Finished(_) => Some("finished".to_owned()),
        Event::Continuation(_) => Some("continuation".to_owned()),
    });
    events.collect()
}

fn call(arguments: &str, after: u32) -> String {
    let arguments = arguments.replace('\\', "\\\\").replace('"', "\\\"");
    format!("I want a person [sim:tool-calls after={after} tool=hand_off arguments=\"{arguments}\"]")
}

#[tokio::test]
async fn a_hand_off_is_a_typed_event_before_the_call_s_end() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let reply = desk.reply(about(&call(r#"{"why":" Asked for a person. "}"#, 0))).await;
    assert!(reply.status.is_none(), "{reply:?}");
    let expected = [
        "started 1",
        "hand_off Asked for a person.",
        "ended 1 Completed",
        "finished",
    ];
    assert_eq!(outline(&reply), expected);
    assert_eq!(reply.text(), "");
    let body = sim.control().requests().pop().unwrap().body;
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(body["tools"][0]["function"]["parameters"]["required"][0], "why");
}

#[tokio::test]
async fn it_stands_whatever_was_written_before() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let reply = desk.reply(about(&call(r#"{"why":"x"}"#, 4))).await;
    assert!(reply.finished() && !reply.text().is_empty());
    assert!(outline(&reply).contains(&"hand_off x".to_owned()));
}

#[tokio::test]
async fn words_about_a_hand_off_are_words() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let reply = desk.reply(about(r#"hand_off {"why":"x"}"#)).await;
    assert!(reply.finished() && reply.text().contains("hand_off"));
    assert_eq!(outline(&reply), ["started 1", "ended 1 Completed", "finished"]);
}

#[tokio::test]
async fn a_reason_is_cleaned_and_bounded() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let long = format!(r#"{{"why":"\u202ea\u0000{}"}}"#, "ö".repeat(700));
    let reply = desk.reply(about(&call(&long, 0))).await;
    let why = reply.events.iter().find_map(|event| match event {
        Event::HandOff(hand_off) => Some(hand_off.why.clone()),
        _ => None,
    });
    let why = why.unwrap();
    assert!(why.starts_with("aö") && why.chars().count() == 500, "{why}");
}

#[tokio::test]
async fn a_call_that_is_none_is_mended_once_while_nothing_was_written() {
    for (scenario, complaint) in [
        ("tool-calls tool=hand_off arguments=\"{}\"", "`why`, a string"),
        (
            "tool-calls tool=hand_off arguments=\"{\\\"why\\\": \"",
            "must be a JSON object",
        ),
    ] {
        let (desk, sim) = Desk::simulated(&[]).await;
        let reply = desk.reply(about(&format!("Help [sim:{scenario}]"))).await;
        assert!(reply.finished(), "{reply:?}");
        let expected = [
            "started 1",
            "ended 1 Completed",
            "started 2",
            "ended 2 Completed",
            "finished",
        ];
        assert_eq!(outline(&reply), expected);
        assert!(!reply.text().is_empty());

        let requests = sim.control().requests();
        let messages = |at: usize| requests[at].body["messages"].as_array().unwrap().clone();
        let (first, second) = (messages(0), messages(1));
        assert_eq!(
            second[..first.len()],
            first,
            "the beginning is the same, so it is cached"
        );
        let last = second.last().unwrap();
        assert_eq!(last["role"], "user");
        let content = last["content"].as_str().unwrap();
        assert!(
            content.starts_with("<answer-") && content.contains(complaint),
            "{content}"
        );
    }
}

#[tokio::test]
async fn a_tool_that_there_is_not_is_mended_once_too() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let unknown = "tool-calls tool=refund arguments=\"{}\"";
    let reply = desk.reply(about(&format!("Help [sim:{unknown} first=1]"))).await;
    assert!(reply.finished() && !reply.text().is_empty(), "{reply:?}");
    assert_eq!(sim.control().calls().len(), 2);

    sim.control().set_scenario(unknown.parse().unwrap());
    let reply = desk.reply(about("Help")).await;
    assert_eq!(reply.failure(), (Code::Aborted, "INVALID_OUTPUT".to_owned()));
    assert_eq!(sim.control().calls().len(), 4);
}

#[tokio::test]
async fn twice_wrong_or_wrong_after_text_is_a_typed_failure() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let wrong = "tool-calls tool=hand_off arguments=\"{}\"";
    sim.control().set_scenario(wrong.parse().unwrap());
    let reply = desk.reply(about("Help")).await;
    assert_eq!(reply.failure(), (Code::Aborted, "INVALID_OUTPUT".to_owned()));
    assert_eq!(
        outline(&reply),
        ["started 1", "ended 1 Completed", "started 2", "ended 2 Completed"]
    );

    let reply = desk.reply(about(&format!("Help [sim:{wrong} after=3]"))).await;
    assert_eq!(reply.failure(), (Code::Aborted, "INVALID_OUTPUT".to_owned()));
    assert_eq!(outline(&reply), ["started 1", "ended 1 Completed"]);
    assert_eq!(sim.control().calls().len(), 3);
}

#[tokio::test]
async fn several_calls_are_one_hand_off() {
    for apart in [true, false] {
        let (desk, _sim) = Desk::simulated(&[]).await;
        let marked = format!("Help [sim:tool-calls tool=hand_off count=2 apart={apart}]");
        let reply = desk.reply(about(&marked)).await;
        assert!(reply.finished(), "{reply:?}");
        let handed_off = outline(&reply).into_iter().filter(|line| line.starts_with("hand_off"));
        assert_eq!(handed_off.count(), 1);
    }
}

#[tokio::test]
async fn a_draft_is_offered_no_tool_and_none_is_taken() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let draft = |newest: &str| proto::StreamReplyRequest {
        task: proto::Task::Draft.into(),
        ..about(newest)
    };
    let reply = desk.reply(draft("hello")).await;
    assert!(reply.finished());
    assert_eq!(reply.started().prompt_id, "draft/general");
    assert!(sim.control().requests().pop().unwrap().body.get("tools").is_none());

    let reply = desk.reply(draft(&call(r#"{"why":"x"}"#, 0))).await;
    assert_eq!(reply.failure(), (Code::Unavailable, "UPSTREAM_PROTOCOL".to_owned()));
}

#[tokio::test]
async fn a_stream_is_a_reply_or_a_draft() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for task in [3, 4, 5, 99, -1] {
        let reply = desk.reply(proto::StreamReplyRequest { task, ..about("hello") }).await;
        assert_eq!(violated_fields(&reply.status.unwrap()), ["task"]);
    }
    assert!(sim.control().requests().is_empty());
}

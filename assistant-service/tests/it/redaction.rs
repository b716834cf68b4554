//! What of a conversation does not leave, and comes back.

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::stream_reply_response::Event;
use deskhand_proto::tickets::v1::AuthorKind;

use crate::harness::{Desk, about, conversation, scripted, sent_texts, turn};

/// One of each kind; made up, or from documentation.
const VALUES: [(&str, &str); 6] = [
    ("[EMAIL_1]", "jane.doe@mail.example"),
    ("[PHONE_1]", "+49 30 1234567"),
    ("[CARD_1]", "4111 1111 1111 1111"),
    ("[IBAN_1]", "DE89 3704 0044 0532 0130 00"),
    ("[IP_1]", "203.0.113.77"),
    ("[SECRET_1]", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
];

fn planted() -> proto::Conversation {
    let all = VALUES.map(|(_, value)| value).join(", ");
    proto::Conversation {
        title: format!("I am {}", VALUES[0].1),
        description: format!("Here: {all}."),
        turns: vec![
            turn(AuthorKind::Customer, &format!("Again: {all}")),
            turn(AuthorKind::Assistant, &format!("You said {all}")),
            turn(AuthorKind::Agent, &all),
            turn(AuthorKind::Customer, &format!("{} it is [TEXT_1]", VALUES[1].1)),
        ],
        ..conversation("")
    }
}

fn check(sent: &[String]) {
    let all = sent.concat();
    for (placeholder, value) in VALUES {
        assert!(!all.contains(value), "{value} left: {all}");
        assert!(all.contains(placeholder), "{placeholder} did not: {all}");
    }
}

#[tokio::test]
async fn no_task_sends_a_value_and_every_answer_has_them_back() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let mut client = desk.client.clone();
    for task in [proto::Task::Reply, proto::Task::Draft] {
        let reply = desk
            .reply(proto::StreamReplyRequest {
                conversation: Some(planted()),
                task: task.into(),
                ..Default::default()
            })
            .await;
        check(&sent_texts(&sim));
        // The simulator quotes what it was told.
        let model = sim.control().calls().pop().unwrap().text;
        assert!(model.contains("“[PHONE_1] it is [TEXT_1]”"), "{model}");
        assert!(
            reply.finished() && reply.text().contains("“+49 30 1234567 it is [TEXT_1]”"),
            "{reply:?}"
        );
    }
    let request = proto::SummarizeRequest {
        conversation: Some(planted()),
        ..Default::default()
    };
    let summary = client.summarize(request).await.unwrap().into_inner().summary;
    check(&sent_texts(&sim));
    assert!(summary.contains("Title: I am jane.doe@mail.example"), "{summary}");

    let request = proto::TriageRequest {
        conversation: Some(planted()),
        ..Default::default()
    };
    let why = client.triage(request).await.unwrap().into_inner().why;
    check(&sent_texts(&sim));
    assert!(why.contains("Title: I am jane.doe@mail.example"), "{why}");

    let text = VALUES.map(|(_, value)| value).join(" and ");
    let request = proto::RewriteRequest {
        text: text.clone(),
        tone: proto::Tone::Formal.into(),
        ..Default::default()
    };
    let rewritten = client.rewrite(request).await.unwrap().into_inner().text;
    check(&sent_texts(&sim));
    assert!(rewritten.contains(&text[..60]), "{rewritten}");
}

#[tokio::test]
async fn placeholders_come_back_across_every_border() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let values = VALUES.map(|(_, value)| value).join(" ");
    let said = format!("Write {} ok [EMAIL_2] [EMAIL_", VALUES.map(|(name, _)| name).join("! "));
    let told = format!(
        "Write {} ok [EMAIL_2] [EMAIL_",
        VALUES.map(|(_, value)| value).join("! ")
    );
    let letters: Vec<_> = said
        .char_indices()
        .map(|(at, c)| &said[at..at + c.len_utf8()])
        .collect();
    let halves: Vec<_> = (1..said.len()).map(|at| [&said[..at], &said[at..]]).collect();
    scripted(&sim, "letters", &letters);
    let reply = desk.reply(about(&format!("{values} [sim:script of=letters]"))).await;
    assert!(reply.finished(), "{reply:?}");
    assert_eq!(reply.text(), told);
    for halves in halves.iter().step_by(7) {
        scripted(&sim, "halves", halves);
        let reply = desk.reply(about(&format!("{values} [sim:script of=halves]"))).await;
        assert_eq!(reply.text(), told, "{halves:?}");
    }
    for scenario in ["byte-at-a-time", "split-utf8", "one-write", "crlf"] {
        let reply = desk
            .reply(about(&format!("Größe: a@mail.example, [EMAIL_1] [sim:{scenario}]")))
            .await;
        assert!(reply.text().contains("“Größe: a@mail.example, [EMAIL_1]”"), "{reply:?}");
    }
}

#[tokio::test]
async fn a_hand_off_s_reason_has_them_back() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let call = r#"[sim:tool-calls tool=hand_off arguments="{\"why\": \"Call [PHONE_1] about [TEXT_1].\"}"]"#;
    let reply = desk
        .reply(about(&format!("Call me: +49 30 1234567, [CARD_3] {call}")))
        .await;
    let why = reply.events.iter().find_map(|event| match event {
        Event::HandOff(hand_off) => Some(hand_off.why.as_str()),
        _ => None,
    });
    assert_eq!(why, Some("Call +49 30 1234567 about [CARD_3]."), "{reply:?}");
}

#[tokio::test]
async fn what_is_sent_back_to_be_mended_holds_no_value_either() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let conversation = proto::Conversation {
        title: "I am jane.doe@mail.example".to_owned(),
        ..conversation("[sim:bad-json kind=fenced]")
    };
    let request = proto::TriageRequest {
        conversation: Some(conversation),
        ..Default::default()
    };
    desk.client.clone().triage(request).await.unwrap();
    let sent = sent_texts(&sim);
    let last = sent.last().unwrap();
    assert!(
        last.starts_with("<answer-") && last.contains("[EMAIL_1]") && !last.contains("jane.doe"),
        "{last}"
    );
}

#[tokio::test]
async fn rendering_tells_what_stands_for_what_and_is_what_leaves() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let request = proto::RenderPromptRequest {
        conversation: Some(planted()),
        ..Default::default()
    };
    let rendered = desk.client.clone().render_prompt(request).await.unwrap().into_inner();
    desk.reply(proto::StreamReplyRequest {
        conversation: Some(planted()),
        ..Default::default()
    })
    .await;
    let contents: Vec<_> = rendered
        .messages
        .iter()
        .map(|message| message.content.clone())
        .collect();
    assert_eq!(contents, sent_texts(&sim));
    check(&contents);
    let told: Vec<_> = rendered
        .placeholders
        .iter()
        .map(|one| (one.placeholder.as_str(), one.original.as_str()))
        .collect();
    assert_eq!(told[..VALUES.len()], VALUES);
    assert_eq!(told[VALUES.len()..], [("[TEXT_1]", "[TEXT_1]")]);

    let request = proto::RenderPromptRequest {
        task: proto::Task::Rewrite.into(),
        rewrite_text: "a@mail.example".to_owned(),
        tone: proto::Tone::Formal.into(),
        ..Default::default()
    };
    let rendered = desk.client.clone().render_prompt(request).await.unwrap().into_inner();
    assert_eq!(rendered.placeholders[0].original, "a@mail.example");
    assert!(rendered.messages[1].content.contains(">\n[EMAIL_1]\n</text-"));
}

#[tokio::test]
async fn a_conversation_that_grew_begins_with_the_same_bytes_and_is_cached() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let ask = |conversation: proto::Conversation| {
        let request = proto::StreamReplyRequest {
            conversation: Some(conversation),
            ..Default::default()
        };
        desk.reply(request)
    };
    ask(planted()).await;
    let before = sent_texts(&sim);
    let mut grown = planted();
    grown.turns.push(turn(AuthorKind::Assistant, "Thank you."));
    grown.turns.push(turn(
        AuthorKind::Customer,
        "And new@mail.example, jane.doe@mail.example, [EMAIL_1]",
    ));
    let reply = ask(grown).await;
    let after = sent_texts(&sim);
    assert_eq!(after[..before.len()], before);
    assert!(after.last().unwrap().contains("And [EMAIL_2], [EMAIL_1], [TEXT_2]"));
    let usage = reply.ended().usage.unwrap();
    let least: usize = before.iter().map(|text| text.split_whitespace().count()).sum();
    assert!(usage.cached_input_tokens as usize > least, "{usage:?}, {least} words");
}

#[tokio::test]
async fn kinds_that_are_switched_off_leave() {
    let text = "jane.doe@mail.example 203.0.113.77";
    for (kinds, left) in [
        ("all", "[EMAIL_1] [IP_1]"),
        ("ip", "jane.doe@mail.example [IP_1]"),
        ("email,card", "[EMAIL_1] 203.0.113.77"),
        ("none", text),
        ("", text),
    ] {
        let (desk, sim) = Desk::simulated(&["--redact", kinds]).await;
        let reply = desk.reply(about(text)).await;
        assert!(
            sent_texts(&sim).last().unwrap().contains(&format!("\n{left}\n")),
            "{kinds}"
        );
        assert!(reply.text().contains(text));
    }
}

#[tokio::test]
async fn the_longest_conversation_is_searched_whole() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let letters = "0123456789 a.b ".repeat(600);
    let turns = (1..1_000).map(|at| turn(AuthorKind::Agent, &format!("{letters} jane{at}@mail.example")));
    let newest = turn(AuthorKind::Customer, "jane999@mail.example or jane1000@mail.example?");
    let long = proto::Conversation {
        turns: turns.chain([newest]).collect(),
        ..conversation("")
    };
    let reply = desk
        .reply(proto::StreamReplyRequest {
            conversation: Some(long),
            ..Default::default()
        })
        .await;
    let newest = sent_texts(&sim).pop().unwrap();
    assert!(newest.contains("\n[EMAIL_999] or [EMAIL_1000]?\n"), "{newest}");
    assert!(
        reply
            .text()
            .contains("“jane999@mail.example or jane1000@mail.example?”"),
        "{reply:?}"
    );
}

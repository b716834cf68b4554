//! The language of an answer, where the desk knows it.

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::tickets::v1::AuthorKind;

use crate::harness::{Desk, conversation, sent_texts, turn};

fn spoken(language: &str, newest: &str) -> proto::Conversation {
    proto::Conversation {
        language: language.to_owned(),
        turns: vec![turn(AuthorKind::Customer, newest)],
        ..conversation("")
    }
}

#[tokio::test]
async fn it_is_said_behind_the_ticket_to_whoever_writes_an_answer() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for task in [proto::Task::Reply, proto::Task::Draft] {
        for (language, line) in [("pt-br", Some("\n\n(Answer language: pt-BR)")), ("", None)] {
            let reply = desk
                .reply(proto::StreamReplyRequest {
                    conversation: Some(spoken(language, "Olá")),
                    task: task.into(),
                    ..Default::default()
                })
                .await;
            assert!(reply.finished(), "{reply:?}");
            let sent = sent_texts(&sim);
            assert!(
                sent[0].contains("`(Answer language: …)`"),
                "the instructions say what the line means"
            );
            assert_eq!(line.is_some_and(|line| sent[1].ends_with(line)), line.is_some());
            assert_eq!(sent.concat().contains("(Answer language: pt"), line.is_some());
        }
    }
    let request = proto::SummarizeRequest {
        conversation: Some(spoken("pt-BR", "Olá")),
        ..Default::default()
    };
    desk.client.clone().summarize(request).await.unwrap();
    assert!(!sent_texts(&sim).concat().contains("pt-BR"), "a summary is for staff");
}

#[tokio::test]
async fn the_line_itself_is_in_no_language() {
    // The simulator answers in the language of the last user message, which here holds the line.
    let (desk, _sim) = Desk::simulated(&[]).await;
    for (description, opening) in [
        ("Wo ist meine Bestellung?", "Sie haben geschrieben"),
        ("¿Dónde está mi pedido?", "Usted escribió"),
        ("Où est ma commande ?", "Vous avez écrit"),
        ("Where is my order?", "You wrote"),
    ] {
        let conversation = proto::Conversation {
            title: "?".to_owned(),
            description: format!("{description} [sim:ok language=auto]"),
            turns: Vec::new(),
            ..spoken("de", "")
        };
        let reply = desk
            .reply(proto::StreamReplyRequest {
                conversation: Some(conversation),
                ..Default::default()
            })
            .await;
        assert!(reply.text().starts_with(opening), "{description}: {}", reply.text());
    }
}

//! How many tokens a prompt is taken for, learned from what the provider reports.

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::tickets::v1::AuthorKind;

use crate::harness::{Desk, conversation, turn};

fn ticket(number: usize) -> proto::Conversation {
    let words = "The printer in room 12 says “paper jam”, though there is none; I opened it twice. ";
    proto::Conversation {
        language: String::new(),
        title: format!("Ticket {number}"),
        description: words.repeat(1 + number % 7),
        category: (number % 5) as i32,
        turns: vec![
            turn(AuthorKind::Customer, &words.repeat(number % 3 + 1)),
            turn(AuthorKind::Agent, "Have you tried to turn it off and on again?"),
            turn(AuthorKind::Customer, "Yes."),
        ],
    }
}

/// By how much the estimate is off, as a part of the truth; and what came before the call.
async fn error(desk: &Desk, sim: &groq_sim::Running, number: usize) -> f64 {
    let request = proto::RenderPromptRequest {
        conversation: Some(ticket(number)),
        ..Default::default()
    };
    let rendered = desk.client.clone().render_prompt(request).await.unwrap().into_inner();
    let reply = desk
        .reply(proto::StreamReplyRequest {
            conversation: Some(ticket(number)),
            ..Default::default()
        })
        .await;
    assert!(reply.finished());
    assert!(reply.started().input_tokens_at_most >= rendered.estimated_tokens);
    let truth = sim.control().calls().pop().unwrap().billed.unwrap().prompt_tokens;
    (rendered.estimated_tokens as f64 - f64::from(truth)) / f64::from(truth)
}

#[tokio::test]
async fn estimates_close_in_on_what_the_provider_counts_and_stay_above_it() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let mut errors = Vec::new();
    for number in 0..40 {
        errors.push(error(&desk, &sim, number).await);
    }
    println!("{errors:.3?}");
    let mean = |errors: &[f64]| errors.iter().map(|error| error.abs()).sum::<f64>() / errors.len() as f64;
    let (before, after) = (mean(&errors[..5]), mean(&errors[35..]));
    assert!(after < before / 3.0 && after < 0.1, "{before} {after}");
    let under = errors.iter().filter(|error| **error < 0.0).count();
    assert!(under <= 4, "{under} of 40 were below the truth: {errors:?}");
}

#[tokio::test]
async fn cached_prompts_teach_the_same() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for _ in 0..40 {
        error(&desk, &sim, 1).await;
    }
    let last = sim.control().calls().pop().unwrap().billed.unwrap();
    let cached = last.prompt_tokens_details.as_ref().unwrap().cached_tokens;
    assert!(
        cached > last.prompt_tokens / 2,
        "the same prompt again is cached: {last:?}"
    );
    let off = error(&desk, &sim, 1).await;
    assert!(off.abs() < 0.03, "{off}");
}

#[tokio::test]
async fn a_provider_that_counts_nonsense_does_not_bend_it() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    for _ in 0..10 {
        assert!(
            desk.reply(crate::harness::about("[sim:usage times=0]"))
                .await
                .finished()
        );
    }
    let request = proto::RenderPromptRequest {
        conversation: Some(ticket(1)),
        ..Default::default()
    };
    let rendered = desk.client.clone().render_prompt(request).await.unwrap().into_inner();
    let bytes: usize = rendered.messages.iter().map(|message| message.content.len()).sum();
    let per_token = bytes as f64 / rendered.estimated_tokens as f64;
    assert!(
        (2.5..3.0).contains(&per_token),
        "nothing was reported, nothing learned: {per_token}"
    );
}

#[tokio::test]
async fn the_longer_the_tokens_turn_out_to_be_the_more_of_a_ticket_is_told() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let long = proto::Conversation {
        turns: (0..200)
            .map(|at| {
                turn(
                    AuthorKind::Customer,
                    &format!("message {at}: {}", "something happened again ".repeat(12)),
                )
            })
            .collect(),
        ..conversation("")
    };
    let mut told = Vec::new();
    for _ in 0..30 {
        let reply = desk
            .reply(proto::StreamReplyRequest {
                conversation: Some(long.clone()),
                ..Default::default()
            })
            .await;
        assert!(reply.finished());
        let body = sim.control().requests().pop().unwrap().body;
        told.push(body["messages"].as_array().unwrap().len());
        let billed = sim.control().calls().pop().unwrap().billed.unwrap();
        assert!(billed.prompt_tokens <= 4_800, "the budget holds: {billed:?}");
    }
    println!("{told:?}");
    assert!(told.last() > told.first(), "{told:?}");
}

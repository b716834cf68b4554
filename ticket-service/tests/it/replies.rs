//! `ReplyService`: an answer that was asked for is posted once, whoever listens; or not at all, and said so.

use std::time::Duration;

use deskhand_proto::replies::v1::reply_event::{Completed, Event, Failed};
use deskhand_proto::replies::v1::{FailureReason, GetReplyRequest, Reply, ReplyMode, ReplyState, StreamReplyRequest};
use deskhand_proto::tickets::v1::{AuthorKind, GetTicketRequest, MessageVisibility, PostMessageRequest};
use tonic::Code;

use crate::harness::{Desk, PATIENCE, User, Whole, assert_refused};

const POSTED: &str = "SELECT count(*) FROM messages WHERE author_kind = 'ASSISTANT'";

async fn get(desk: &Desk, user: &User, reply_id: &str) -> Reply {
    let request = GetReplyRequest {
        reply_id: reply_id.into(),
    };
    desk.replies()
        .get_reply(user.asks(request))
        .await
        .unwrap()
        .into_inner()
        .reply
        .unwrap()
}

#[track_caller]
fn completed(whole: &Whole) -> &Completed {
    match &whole.end {
        Event::Completed(completed) => completed,
        other => panic!("not completed: {other:?}"),
    }
}

#[track_caller]
fn failed(whole: &Whole) -> &Failed {
    match &whole.end {
        Event::Failed(failed) => failed,
        other => panic!("not failed: {other:?}"),
    }
}

#[tokio::test]
async fn what_was_streamed_is_what_is_posted() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.say(&user, &ticket_id, "Where is the extinguisher?").await;
    let whole = desk.ask(&user, &ticket_id).await.whole().await;

    assert!(whole.text.contains("Where is the extinguisher?"), "{}", whole.text);
    let message = completed(&whole).message.clone().unwrap();
    assert_eq!(message.body, whole.text);
    assert_eq!(
        (message.author_kind(), message.visibility()),
        (AuthorKind::Assistant, MessageVisibility::Public)
    );
    assert_eq!(
        (message.reply_id.as_str(), message.author_id.as_str()),
        (whole.reply_id.as_str(), "")
    );

    let ticket = desk
        .tickets()
        .get_ticket(user.asks(GetTicketRequest {
            ticket_id: ticket_id.clone(),
        }))
        .await
        .unwrap();
    let ticket = ticket.into_inner();
    assert_eq!(ticket.messages[0], message);
    assert!(ticket.ticket.unwrap().first_response_time.is_some());

    let reply = get(&desk, &user, &whole.reply_id).await;
    assert_eq!(
        (reply.state(), reply.mode(), reply.attempt),
        (ReplyState::Completed, ReplyMode::Post, 1)
    );
    assert_eq!(
        (reply.message.as_ref(), reply.ticket_id.as_str()),
        (Some(&message), ticket_id.as_str())
    );
    assert_eq!(reply.answers_message_id, ticket.messages[1].id);
    assert_eq!(reply.usage, completed(&whole).usage);

    // To the token: what the provider billed is what is told and kept.
    let billed = desk.sim.control().calls()[0].billed.clone().unwrap();
    let usage = reply.usage.unwrap();
    assert_eq!(usage.model, "openai/gpt-oss-120b");
    assert_eq!(usage.input_tokens, i64::from(billed.prompt_tokens));
    assert_eq!(usage.output_tokens, i64::from(billed.completion_tokens));
    assert_eq!(
        desk.count("SELECT count(*) FROM model_calls WHERE outcome = 'COMPLETED'")
            .await,
        1
    );
}

#[tokio::test]
async fn the_description_alone_can_be_answered() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let whole = desk.ask(&user, &ticket_id).await.whole().await;
    completed(&whole);
    assert_eq!(get(&desk, &user, &whole.reply_id).await.answers_message_id, "");
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_does_not_lose_the_reply() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.say(&user, &ticket_id, "[sim:slow ttft_ms=0 token_ms=10] hello")
        .await;
    let mut stream = desk.ask(&user, &ticket_id).await;
    while !matches!(stream.next().await.unwrap(), Event::Delta(_)) {}
    drop(stream);
    assert_eq!(desk.count(POSTED).await, 0, "it went away in the middle");

    desk.until_count(POSTED, 1).await;
    let call = &desk.sim.control().calls()[0];
    let body: String = sqlx::query_scalar("SELECT body FROM messages WHERE author_kind = 'ASSISTANT'")
        .fetch_one(&desk.pool)
        .await
        .unwrap();
    assert_eq!(body, call.text);
}

#[tokio::test]
async fn who_asks_again_while_it_runs_hears_it_from_the_beginning() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.say(&user, &ticket_id, "[sim:slow ttft_ms=0 token_ms=10] hello")
        .await;
    let mut first = desk.ask(&user, &ticket_id).await;
    while !matches!(first.next().await.unwrap(), Event::Delta(_)) {}
    let second = desk.ask(&user, &ticket_id).await.whole().await;
    completed(&second);
    let third = desk.ask(&user, &ticket_id).await.whole().await;
    assert_eq!(
        (&third.reply_id, &third.text),
        (&second.reply_id, &second.text),
        "answered already: replayed"
    );
    assert_eq!(desk.count(POSTED).await, 1);
    assert_eq!(desk.sim.control().calls().len(), 1);
}

#[tokio::test]
async fn a_new_question_is_a_new_reply() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let first = desk.ask(&user, &ticket_id).await.whole().await;
    desk.say(&user, &ticket_id, "And now?").await;
    let second = desk.ask(&user, &ticket_id).await.whole().await;
    assert_ne!(first.reply_id, second.reply_id);
    assert!(second.text.contains("And now?"));
    assert_eq!(desk.count(POSTED).await, 2);
}

#[tokio::test]
async fn a_newer_question_takes_the_place_of_the_running_one() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.say(&user, &ticket_id, "[sim:slow ttft_ms=60000] old").await;
    let old = desk.ask(&user, &ticket_id).await;
    desk.say(&user, &ticket_id, "new").await;
    let new = desk.ask(&user, &ticket_id).await;
    let (old, new) = tokio::join!(old.whole(), new.whole());
    assert!(matches!(old.end, Event::Superseded(_)), "{:?}", old.end);
    assert!(completed(&new).message.as_ref().unwrap().body.contains("new"));
    assert_eq!(get(&desk, &user, &old.reply_id).await.state(), ReplyState::Superseded);
    assert_eq!(desk.count(POSTED).await, 1);
    // Its call is cut off, and stands in the ledger.
    let calls = desk.sim.control().wait_for_ended(2, PATIENCE).await.unwrap();
    assert!(calls.iter().any(|call| call.outcome == groq_sim::Outcome::ClientClosed));
    desk.until_count("SELECT count(*) FROM model_calls WHERE outcome = 'CUT_SHORT'", 1)
        .await;
}

#[tokio::test]
async fn a_newer_message_or_a_person_s_answer_keeps_a_whole_reply_from_being_posted() {
    for by_agent in [false, true] {
        let desk = Desk::open().await;
        let (user, agent) = (desk.customer().await, desk.agent().await);
        let ticket_id = desk.ticket(&user).await;
        desk.say(&user, &ticket_id, "[sim:slow ttft_ms=0 token_ms=10] hello")
            .await;
        let mut stream = desk.ask(&user, &ticket_id).await;
        let reply_id = match stream.next().await.unwrap() {
            Event::Started(started) => started.reply_id,
            other => panic!("{other:?}"),
        };
        desk.say(if by_agent { &agent } else { &user }, &ticket_id, "I was faster")
            .await;
        let end = loop {
            match stream.next().await.unwrap() {
                Event::Delta(_) => {}
                end => break end,
            }
        };
        assert!(matches!(end, Event::Superseded(_)), "{end:?}");
        assert_eq!(get(&desk, &user, &reply_id).await.state(), ReplyState::Superseded);
        assert_eq!(desk.count(POSTED).await, 0);
        assert_eq!(
            desk.count("SELECT count(*) FROM model_calls WHERE output_tokens > 0")
                .await,
            1,
            "its cost is kept"
        );
    }
}

#[tokio::test]
async fn every_failure_of_the_provider_is_typed_and_posts_nothing() {
    let cases = [
        ("status code=500", FailureReason::UpstreamUnavailable),
        ("status code=503", FailureReason::UpstreamUnavailable),
        ("html-error code=502", FailureReason::UpstreamUnavailable),
        ("cut after=5", FailureReason::UpstreamUnavailable),
        ("rate-limit kind=tpm", FailureReason::UpstreamRateLimited),
        ("rate-limit kind=tpd", FailureReason::UpstreamRateLimited),
        ("too-large code=413", FailureReason::ConversationTooLong),
        ("status code=401", FailureReason::UpstreamRejected),
        (
            "status code=400 error=blocked_api_access",
            FailureReason::UpstreamRejected,
        ),
        ("length after=20", FailureReason::AnswerTruncated),
        ("content-filter after=5", FailureReason::ContentFiltered),
        ("end-early after=5", FailureReason::UpstreamProtocol),
        ("no-done", FailureReason::UpstreamProtocol),
        ("not-json", FailureReason::UpstreamProtocol),
    ];
    for (scenario, reason) in cases {
        // What the assistant learns of the provider from one failure must not colour the next.
        let desk = Desk::asking_once().await;
        let user = desk.customer().await;
        let ticket_id = desk.ticket(&user).await;
        desk.sim.control().next(1, scenario.parse().unwrap());
        let whole = desk.ask(&user, &ticket_id).await.whole().await;
        let failed = failed(&whole);
        assert_eq!(failed.reason(), reason, "{scenario}");
        assert_eq!(failed.partial_text, whole.text, "{scenario}");
        assert!(failed.message.ends_with('.'), "{}", failed.message);

        let reply = get(&desk, &user, &whole.reply_id).await;
        assert_eq!(reply.state(), ReplyState::Failed, "{scenario}");
        assert_eq!(reply.failure.as_ref(), Some(failed), "{scenario}");
        assert_eq!(reply.message, None);
        assert_eq!(desk.count(POSTED).await, 0);
        assert_eq!(desk.count("SELECT count(*) FROM model_calls").await, 1);
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_not_the_customer_s_to_see() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.sim.control().next(1, "status code=503".parse().unwrap());
    let whole = desk.ask(&user, &ticket_id).await.whole().await;
    completed(&whole);
    assert_eq!(desk.count(POSTED).await, 1);
    let ledger =
        "SELECT count(*) FROM model_calls WHERE outcome = CASE call_no WHEN 1 THEN 'FAILED' ELSE 'COMPLETED' END";
    assert_eq!(desk.count(ledger).await, 2);
    assert_eq!(
        desk.count("SELECT cost_micro_usd FROM model_calls WHERE call_no = 1")
            .await,
        0
    );
    assert!(
        desk.count("SELECT cost_micro_usd FROM model_calls WHERE call_no = 2")
            .await
            > 0
    );
}

#[tokio::test]
async fn after_a_failure_one_can_ask_again() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.sim.control().next(1, "end-early after=5".parse().unwrap());
    let first = desk.ask(&user, &ticket_id).await.whole().await;
    assert!(!failed(&first).partial_text.is_empty());
    let second = desk.ask(&user, &ticket_id).await.whole().await;
    completed(&second);
    assert_eq!(desk.count(POSTED).await, 1);
}

#[tokio::test]
async fn an_assistant_that_is_not_there_is_a_typed_failure() {
    let desk = Desk::with(&["--assistant-url", "http://127.0.0.1:1"]).await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let whole = desk.ask(&user, &ticket_id).await.whole().await;
    assert_eq!(failed(&whole).reason(), FailureReason::UpstreamUnavailable);
}

#[tokio::test]
async fn staff_get_drafts_that_the_owner_never_sees() {
    let desk = Desk::open().await;
    let (user, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&user).await;
    let whole = desk.ask(&agent, &ticket_id).await.whole().await;
    assert!(matches!(whole.end, Event::Drafted(_)), "{:?}", whole.end);
    assert_eq!(desk.count(POSTED).await, 0);

    let draft = get(&desk, &agent, &whole.reply_id).await;
    assert_eq!(
        (draft.state(), draft.draft_text.as_str()),
        (ReplyState::Drafted, whole.text.as_str())
    );
    let theirs = desk
        .replies()
        .get_reply(user.asks(GetReplyRequest {
            reply_id: whole.reply_id,
        }))
        .await;
    assert_refused(theirs, Code::NotFound, "REPLY_NOT_FOUND", &[]);
}

#[tokio::test]
async fn a_person_s_ticket_gets_no_answer_and_costs_no_call() {
    let desk = Desk::open().await;
    let (user, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&user).await;
    desk.say(&agent, &ticket_id, "I take this.").await;
    let request = StreamReplyRequest {
        ticket_id: ticket_id.clone(),
        ..Default::default()
    };
    let answer = desk.ask_as(&user, request.clone()).await.map(|_| ());
    assert_refused(answer, Code::FailedPrecondition, "HANDLED_BY_HUMAN", &[]);
    sqlx::query("UPDATE tickets SET status = 'CLOSED'")
        .execute(&desk.pool)
        .await
        .unwrap();
    let answer = desk.ask_as(&user, request).await.map(|_| ());
    assert_refused(answer, Code::FailedPrecondition, "TICKET_CLOSED", &[]);
    assert!(desk.sim.control().calls().is_empty());
}

#[tokio::test]
async fn internal_notes_and_other_tickets_never_reach_the_provider() {
    let desk = Desk::open().await;
    let (user, other, agent) = (desk.customer().await, desk.customer().await, desk.agent().await);
    let (ticket_id, elsewhere) = (desk.ticket(&user).await, desk.ticket(&other).await);
    desk.say(&other, &elsewhere, "canary-other-ticket").await;
    let note = PostMessageRequest {
        ticket_id: ticket_id.clone(),
        body: "canary-internal-note".into(),
        visibility: MessageVisibility::Internal.into(),
        ..Default::default()
    };
    desk.tickets().post_message(agent.asks(note)).await.unwrap();
    desk.say(&user, &ticket_id, "canary-own-message").await;
    completed(&desk.ask(&user, &ticket_id).await.whole().await);

    let sent = desk.sim.control().requests()[0].body.to_string();
    assert!(sent.contains("canary-own-message"));
    for canary in [
        "canary-other-ticket",
        "canary-internal-note",
        &user.email,
        &user.id,
        "Ann Example",
        "gsk_test",
    ] {
        assert!(!sent.contains(canary), "{canary}");
    }
}

#[tokio::test]
async fn a_server_that_stops_lets_a_reply_end() {
    let mut desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.say(&user, &ticket_id, "[sim:slow ttft_ms=0 token_ms=10] hello")
        .await;
    let mut stream = desk.ask(&user, &ticket_id).await;
    stream.next().await.unwrap();
    let (whole, ()) = tokio::join!(
        async {
            loop {
                match stream.next().await.unwrap() {
                    Event::Delta(_) => {}
                    end => break end,
                }
            }
        },
        desk.stop()
    );
    assert!(matches!(whole, Event::Completed(_)), "{whole:?}");
    assert_eq!(desk.count(POSTED).await, 1);
}

#[tokio::test]
async fn a_hand_off_makes_the_ticket_a_person_s_and_says_why() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let asks = r#"[sim:tool-calls after=5 tool=hand_off arguments="{\"why\": \"asked for it\"}"] a person, please"#;
    desk.say(&user, &ticket_id, asks).await;
    let whole = desk.ask(&user, &ticket_id).await.whole().await;
    assert!(
        matches!(&whole.end, Event::HandedOff(told) if told.why == "asked for it"),
        "{:?}",
        whole.end
    );
    assert_eq!(desk.count(POSTED).await, 0, "what was written before it is no answer");
    let reply = get(&desk, &user, &whole.reply_id).await;
    assert_eq!(
        (reply.state(), reply.hand_off_why.as_str()),
        (ReplyState::HandedOff, "asked for it")
    );
    let told = "SELECT count(*) FROM ticket_events WHERE kind = 'HANDED_OFF' AND actor_kind = 'ASSISTANT' AND reply_id IS NOT NULL
        AND changes = '[{\"field\": \"handler\", \"from\": \"TICKET_HANDLER_ASSISTANT\", \"to\": \"TICKET_HANDLER_HUMAN\"}]'";
    assert_eq!(desk.count(told).await, 1);
    let request = StreamReplyRequest {
        ticket_id,
        ..Default::default()
    };
    let again = desk.ask_as(&user, request).await.map(|_| ());
    assert_refused(again, Code::FailedPrecondition, "HANDLED_BY_HUMAN", &[]);
}

#[tokio::test]
async fn a_slow_listener_slows_nobody() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let _stalled = desk.ask(&user, &ticket_id).await;
    let whole = tokio::time::timeout(Duration::from_secs(10), desk.ask(&user, &ticket_id).await.whole())
        .await
        .unwrap();
    completed(&whole);
}

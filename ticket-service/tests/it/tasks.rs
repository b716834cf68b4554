//! Summaries, judgements and texts written anew.

use deskhand_proto::replies::v1::{
    GetReplyRequest, ListRepliesRequest, ReplyMode, ReplyState, RewriteTextRequest, SummarizeTicketRequest,
    SummarizeTicketResponse, Tone, TriageTicketRequest, TriageTicketResponse,
};
use deskhand_proto::tickets::v1::{
    GetTicketRequest, ListTicketEventsRequest, MessageVisibility, PostMessageRequest, Ticket, TicketCategory,
    TicketHandler, TicketPriority,
};
use serde_json::json;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::harness::{Desk, User, assert_refused};

async fn summarize(
    desk: &Desk,
    user: &User,
    ticket_id: &str,
    request_id: &str,
) -> Result<SummarizeTicketResponse, Status> {
    let request = SummarizeTicketRequest {
        ticket_id: ticket_id.into(),
        request_id: request_id.into(),
    };
    Ok(desk.replies().summarize_ticket(user.asks(request)).await?.into_inner())
}

async fn triage(desk: &Desk, user: &User, ticket_id: &str) -> Result<TriageTicketResponse, Status> {
    let request = TriageTicketRequest {
        ticket_id: ticket_id.into(),
        ..Default::default()
    };
    Ok(desk.replies().triage_ticket(user.asks(request)).await?.into_inner())
}

async fn ticket(desk: &Desk, user: &User, ticket_id: &str) -> Ticket {
    let request = GetTicketRequest {
        ticket_id: ticket_id.into(),
    };
    let answer = desk.tickets().get_ticket(user.asks(request)).await.unwrap();
    answer.into_inner().ticket.unwrap()
}

#[tokio::test]
async fn a_summary_is_made_once_for_a_request() {
    let desk = Desk::open().await;
    let (owner, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&owner).await;
    let note = PostMessageRequest {
        ticket_id: ticket_id.clone(),
        body: "They rang twice already.".into(),
        visibility: MessageVisibility::Internal.into(),
        ..Default::default()
    };
    desk.tickets().post_message(agent.asks(note)).await.unwrap();
    let request_id = Uuid::now_v7().to_string();
    let asked = (0..10).map(|_| summarize(&desk, &agent, &ticket_id, &request_id));
    let answers = futures_util::future::join_all(asked).await;
    let first = answers[0].as_ref().unwrap().clone();
    assert!(!first.summary.is_empty());
    for answer in answers {
        assert_eq!(answer.unwrap(), first);
    }
    let requests = desk.sim.control().requests();
    assert_eq!(requests.len(), 1);
    assert!(
        requests[0].body.to_string().contains("They rang twice already."),
        "staff read it, so notes are told"
    );

    let get = GetReplyRequest {
        reply_id: first.reply_id.clone(),
    };
    let reply = desk
        .replies()
        .get_reply(agent.asks(get))
        .await
        .unwrap()
        .into_inner()
        .reply
        .unwrap();
    assert_eq!((reply.mode(), reply.state()), (ReplyMode::Summary, ReplyState::Drafted));
    assert_eq!(reply.draft_text, first.summary);
    assert!(reply.usage.unwrap().output_tokens > 0);
    // Another request is another summary.
    assert_ne!(
        summarize(&desk, &agent, &ticket_id, "").await.unwrap().reply_id,
        first.reply_id
    );
}

#[tokio::test]
async fn a_judgement_sets_the_ticket_as_a_person_would() {
    let desk = Desk::open().await;
    let (owner, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&owner).await;
    let verdict = json!({"category": "billing", "priority": "urgent", "sentiment": "angry", "language": "de",
        "confidence": 0.9, "needs_human": true, "why": "Two charges."});
    let body = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": verdict.to_string()}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 50, "total_tokens": 950}, "x_groq": {"id": "req_1"}});
    let script = json!({"steps": [{"head": {"headers": {"content-type": "application/json"}}}, {"body": body}]});
    let script = serde_json::from_value(script).unwrap();
    desk.sim.control().set_script("judgement", script).unwrap();
    desk.sim.control().next(1, "script of=judgement".parse().unwrap());
    let answer = triage(&desk, &agent, &ticket_id).await.unwrap();
    assert!(answer.applied);
    let judged = answer.triage.unwrap();
    assert_eq!(
        (judged.category(), judged.priority()),
        (TicketCategory::Billing, TicketPriority::Urgent)
    );
    assert_eq!((judged.language.as_str(), judged.why.as_str()), ("de", "Two charges."));
    let after = ticket(&desk, &owner, &ticket_id).await;
    assert_eq!(answer.ticket.unwrap(), after);
    assert_eq!(
        (after.category(), after.priority()),
        (TicketCategory::Billing, TicketPriority::Urgent)
    );
    assert_eq!((after.handler(), after.language.as_str()), (TicketHandler::Human, "de"));

    let list = ListTicketEventsRequest {
        ticket_id: ticket_id.clone(),
        ..Default::default()
    };
    let events = desk
        .tickets()
        .list_ticket_events(owner.asks(list))
        .await
        .unwrap()
        .into_inner()
        .events;
    let kinds: Vec<_> = events
        .iter()
        .map(|event| (event.kind().as_str_name(), event.actor_kind().as_str_name()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("TICKET_EVENT_KIND_CREATED", "ACTOR_KIND_CUSTOMER"),
            ("TICKET_EVENT_KIND_UPDATED", "ACTOR_KIND_ASSISTANT"),
            ("TICKET_EVENT_KIND_HANDED_OFF", "ACTOR_KIND_ASSISTANT"),
        ]
    );
    let mut fields: Vec<_> = events[1].changes.iter().map(|change| change.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["category", "language", "priority"]);
}

#[tokio::test]
async fn a_ticket_that_changed_meanwhile_is_left_alone() {
    let desk = Desk::open().await;
    let (owner, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&owner).await;
    // Slow enough for the customer to be heard before it.
    desk.sim
        .control()
        .next(1, "slow ttft_ms=1500 token_ms=0".parse().unwrap());
    let (answer, ()) = tokio::join!(triage(&desk, &agent, &ticket_id), async {
        desk.until_count("SELECT count(*) FROM replies WHERE state = 'RUNNING'", 1)
            .await;
        desk.say(&owner, &ticket_id, "By the way: it is about money.").await;
    });
    let answer = answer.unwrap();
    assert!(!answer.applied);
    assert_eq!(ticket(&desk, &owner, &ticket_id).await.language, "");
    assert_eq!(
        desk.count("SELECT count(*) FROM ticket_events WHERE actor_kind = 'ASSISTANT'")
            .await,
        0
    );
}

#[tokio::test]
async fn the_language_that_was_found_is_answered_in() {
    let desk = Desk::open().await;
    let (owner, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&owner).await;
    sqlx::query("UPDATE tickets SET language = 'pt-BR'")
        .execute(&desk.pool)
        .await
        .unwrap();
    desk.ask(&owner, &ticket_id).await.whole().await;
    desk.ask(&agent, &ticket_id).await.whole().await;
    let requests = desk.sim.control().requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert!(request.body.to_string().contains("pt-BR"));
    }
}

#[tokio::test]
async fn a_text_is_written_anew_and_not_kept_for_long() {
    let desk = Desk::open().await;
    let agent = desk.agent().await;
    let request = RewriteTextRequest {
        text: "Not our fault.".into(),
        tone: Tone::Friendly.into(),
        request_id: Uuid::now_v7().to_string(),
    };
    let first = desk
        .replies()
        .rewrite_text(agent.asks(request.clone()))
        .await
        .unwrap()
        .into_inner();
    let again = desk
        .replies()
        .rewrite_text(agent.asks(request))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first, again);
    assert_eq!(desk.sim.control().requests().len(), 1);
    let get = GetReplyRequest {
        reply_id: first.reply_id,
    };
    let reply = desk
        .replies()
        .get_reply(agent.asks(get))
        .await
        .unwrap()
        .into_inner()
        .reply
        .unwrap();
    assert_eq!((reply.mode(), reply.ticket_id.as_str()), (ReplyMode::Rewrite, ""));

    sqlx::query("UPDATE replies SET end_time = now() - interval '26 hours'")
        .execute(&desk.pool)
        .await
        .unwrap();
    let restarted = desk.replica().await;
    restarted
        .until_count("SELECT count(*) FROM replies WHERE text IS NOT NULL", 0)
        .await;
    let bad = RewriteTextRequest::default();
    let refused = desk.replies().rewrite_text(agent.asks(bad)).await;
    assert_refused(refused, Code::InvalidArgument, "INVALID_FIELDS", &["text", "tone"]);
}

#[tokio::test]
async fn a_failure_is_an_error_with_its_reason_and_a_repeat_asks_anew() {
    let desk = Desk::asking_once().await;
    let (owner, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&owner).await;
    let request_id = Uuid::now_v7().to_string();
    desk.sim.control().next(1, "status code=503".parse().unwrap());
    let failed = summarize(&desk, &agent, &ticket_id, &request_id).await;
    assert_refused(failed, Code::Unavailable, "UPSTREAM_UNAVAILABLE", &[]);
    assert_eq!(
        desk.count("SELECT count(*) FROM model_calls WHERE outcome = 'FAILED'")
            .await,
        1
    );
    summarize(&desk, &agent, &ticket_id, &request_id).await.unwrap();
    // The customer sees none of it.
    let list = ListRepliesRequest {
        ticket_id: ticket_id.clone(),
        ..Default::default()
    };
    let seen = desk
        .replies()
        .list_replies(owner.asks(list.clone()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(seen.replies, []);
    let seen = desk
        .replies()
        .list_replies(agent.asks(list))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(seen.replies.len(), 2);
}

#[tokio::test]
async fn an_admin_s_summary_is_on_record() {
    let desk = Desk::open().await;
    let (owner, admin) = (desk.customer().await, desk.admin().await);
    let ticket_id = desk.ticket(&owner).await;
    let read = "SELECT count(*) FROM audit_events WHERE action = 'ticket.read_by_admin'";
    let before = desk.count(read).await;
    summarize(&desk, &admin, &ticket_id, "").await.unwrap();
    assert_eq!(desk.count(read).await, before + 1);
}

//! Drafts: written for staff, decided on once, and never seen by the customer.

use deskhand_proto::feed::v1::{TicketEvent, WatchTicketsRequest, WatchTicketsResponse};
use deskhand_proto::replies::v1::reply_event::Event;
use deskhand_proto::replies::v1::{
    AcceptDraftRequest, AttachReplyRequest, DiscardDraftRequest, DraftDecision, GetReplyRequest, ListRepliesRequest,
    RateReplyRequest, Reply, Verdict,
};
use deskhand_proto::tickets::v1::{
    AuthorKind, GetTicketRequest, ListTicketEventsRequest, Ticket, TicketHandler, TicketStatus, UpdateTicketRequest,
};
use prost_types::FieldMask;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use crate::harness::{Desk, PATIENCE, User, assert_refused};

struct Scene {
    desk: Desk,
    owner: User,
    agent: User,
    ticket_id: String,
    draft_id: String,
    text: String,
}

impl Scene {
    async fn new() -> Self {
        let desk = Desk::open().await;
        let (owner, agent) = (desk.customer().await, desk.agent().await);
        let ticket_id = desk.ticket(&owner).await;
        let whole = desk.ask(&agent, &ticket_id).await.whole().await;
        assert!(matches!(whole.end, Event::Drafted(_)), "{:?}", whole.end);
        Self {
            desk,
            owner,
            agent,
            ticket_id,
            draft_id: whole.reply_id,
            text: whole.text,
        }
    }

    async fn accept(&self, user: &User, body: &str, request_id: &str) -> Result<Reply, Status> {
        let request = AcceptDraftRequest {
            reply_id: self.draft_id.clone(),
            body: body.into(),
            request_id: request_id.into(),
        };
        let answer = self.desk.replies().accept_draft(user.asks(request)).await?;
        Ok(answer.into_inner().reply.unwrap())
    }

    async fn discard(&self, user: &User) -> Result<Reply, Status> {
        let request = DiscardDraftRequest {
            reply_id: self.draft_id.clone(),
            ..Default::default()
        };
        let answer = self.desk.replies().discard_draft(user.asks(request)).await?;
        Ok(answer.into_inner().reply.unwrap())
    }

    async fn messages(&self) -> i64 {
        self.desk.count("SELECT count(*) FROM messages").await
    }
}

#[tokio::test]
async fn a_draft_is_posted_as_it_is_once() {
    let scene = Scene::new().await;
    let reply = scene.accept(&scene.agent, "", "").await.unwrap();
    let message = reply.message.clone().unwrap();
    assert_eq!(message.body, scene.text);
    assert_eq!(message.author_kind(), AuthorKind::Agent);
    assert_eq!(message.author_id, scene.agent.id);
    assert_eq!(
        message.reply_id, "",
        "that there was a draft is not for the customer to know"
    );
    let decision = reply.decision.clone().unwrap();
    assert_eq!(decision.decision(), DraftDecision::Accepted);
    assert_eq!(
        (decision.user_id.as_str(), decision.edit_distance),
        (scene.agent.id.as_str(), 0)
    );
    assert_eq!(reply.draft_text, scene.text);

    // Again, by whomever, with or without saying the text: the same answer.
    let other = scene.desk.agent().await;
    let again = scene.accept(&other, &scene.text, "").await.unwrap();
    assert_eq!(again, reply);
    assert_eq!(scene.messages().await, 1);
    let decided = (Code::FailedPrecondition, "DRAFT_DECIDED");
    assert_refused(
        scene.accept(&other, "Something else.", "").await,
        decided.0,
        decided.1,
        &[],
    );
    assert_refused(scene.discard(&other).await, decided.0, decided.1, &[]);
    assert_eq!(scene.messages().await, 1);
}

#[tokio::test]
async fn an_edited_draft_keeps_how_far_it_was_edited() {
    let scene = Scene::new().await;
    let edited = format!("¡Hola! {}", &scene.text);
    let reply = scene.accept(&scene.agent, &format!("  {edited}\n"), "").await.unwrap();
    assert_eq!(reply.message.unwrap().body, edited);
    assert_eq!(reply.decision.unwrap().edit_distance, 7, "in characters, not bytes");
    assert_eq!(reply.draft_text, scene.text);
}

#[tokio::test]
async fn a_discarded_draft_is_not_posted() {
    let scene = Scene::new().await;
    let reply = scene.discard(&scene.agent).await.unwrap();
    assert_eq!(reply.decision.clone().unwrap().decision(), DraftDecision::Discarded);
    assert_eq!(scene.discard(&scene.desk.agent().await).await.unwrap(), reply);
    let refused = scene.accept(&scene.agent, "", "").await;
    assert_refused(refused, Code::FailedPrecondition, "DRAFT_DECIDED", &[]);
    assert_eq!(scene.messages().await, 0);
}

#[tokio::test]
async fn twenty_acceptances_at_once_post_one_message() {
    let scene = Scene::new().await;
    let (same, other) = (Uuid::now_v7().to_string(), scene.desk.agent().await);
    let accepts = (0..20).map(|n| {
        let (user, request_id) = if n % 2 == 0 {
            (&scene.agent, same.as_str())
        } else {
            (&other, "")
        };
        scene.accept(user, "", request_id)
    });
    let answers = futures_util::future::join_all(accepts).await;
    let first = answers[0].as_ref().unwrap().clone();
    for answer in answers {
        assert_eq!(answer.unwrap(), first);
    }
    assert_eq!(scene.messages().await, 1);
}

#[tokio::test]
async fn of_an_acceptance_and_a_discard_at_once_one_holds() {
    let scene = Scene::new().await;
    let (accepted, discarded) = tokio::join!(scene.accept(&scene.agent, "", ""), scene.discard(&scene.agent));
    assert_ne!(accepted.is_ok(), discarded.is_ok());
    assert_eq!(scene.messages().await, i64::from(accepted.is_ok()));
}

#[tokio::test]
async fn what_cannot_be_decided_on_is_refused() {
    let scene = Scene::new().await;
    let posted = scene.desk.ask(&scene.owner, &scene.ticket_id).await.whole().await;
    let request = AcceptDraftRequest {
        reply_id: posted.reply_id,
        ..Default::default()
    };
    let refused = scene.desk.replies().accept_draft(scene.agent.asks(request)).await;
    assert_refused(refused, Code::FailedPrecondition, "NOT_A_DRAFT", &[]);
    let blank = scene.accept(&scene.agent, " \n ", "").await;
    assert_refused(blank, Code::InvalidArgument, "INVALID_FIELDS", &["body"]);
    let long = scene.accept(&scene.agent, &"x".repeat(10_001), "").await;
    assert_refused(long, Code::InvalidArgument, "INVALID_FIELDS", &["body"]);

    let close = UpdateTicketRequest {
        ticket: Some(Ticket {
            id: scene.ticket_id.clone(),
            status: TicketStatus::Closed.into(),
            ..Default::default()
        }),
        update_mask: Some(FieldMask {
            paths: vec!["status".into()],
        }),
        ..Default::default()
    };
    scene
        .desk
        .tickets()
        .update_ticket(scene.agent.asks(close))
        .await
        .unwrap();
    let closed = scene.accept(&scene.agent, "", "").await;
    assert_refused(closed, Code::FailedPrecondition, "TICKET_CLOSED", &[]);
}

#[tokio::test]
async fn the_owner_never_learns_of_a_draft() {
    let scene = Scene::new().await;
    let owner = &scene.owner;
    let mut feed = scene.desk.feed();
    let watching = feed.watch_tickets(owner.asks(WatchTicketsRequest::default())).await;
    let mut watching = watching.unwrap().into_inner();
    watching.message().await.unwrap().unwrap();
    scene.desk.say(owner, &scene.ticket_id, "and?").await;
    let handed = scene.desk.ask(&scene.agent, &scene.ticket_id).await.whole().await;
    scene.accept(&scene.agent, "", "").await.unwrap();
    let mut drafts = vec![scene.draft_id.clone(), handed.reply_id.clone()];
    let mut replies = scene.desk.replies();
    let triage = deskhand_proto::replies::v1::TriageTicketRequest {
        ticket_id: scene.ticket_id.clone(),
        ..Default::default()
    };
    scene.desk.say(owner, &scene.ticket_id, "and now?").await;
    drafts.push(
        replies
            .triage_ticket(scene.agent.asks(triage))
            .await
            .unwrap()
            .into_inner()
            .reply_id,
    );

    for draft in &drafts {
        let get = GetReplyRequest {
            reply_id: draft.clone(),
        };
        assert_refused(
            replies.get_reply(owner.asks(get)).await,
            Code::NotFound,
            "REPLY_NOT_FOUND",
            &[],
        );
        let attach = AttachReplyRequest {
            reply_id: draft.clone(),
            ..Default::default()
        };
        let attached = replies.attach_reply(owner.asks(attach)).await.map(drop);
        assert_refused(attached, Code::NotFound, "REPLY_NOT_FOUND", &[]);
        let rate = RateReplyRequest {
            reply_id: draft.clone(),
            verdict: Verdict::Helpful.into(),
            ..Default::default()
        };
        assert_refused(
            replies.rate_reply(owner.asks(rate)).await,
            Code::NotFound,
            "REPLY_NOT_FOUND",
            &[],
        );
    }
    let list = ListRepliesRequest {
        ticket_id: scene.ticket_id.clone(),
        ..Default::default()
    };
    assert_eq!(
        replies
            .list_replies(owner.asks(list))
            .await
            .unwrap()
            .into_inner()
            .replies,
        []
    );

    // Neither in what they read, nor in what they are told as it happens.
    let get = GetTicketRequest {
        ticket_id: scene.ticket_id.clone(),
    };
    let ticket = scene
        .desk
        .tickets()
        .get_ticket(owner.asks(get))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(ticket.ticket.as_ref().unwrap().handler(), TicketHandler::Human);
    let list = ListTicketEventsRequest {
        ticket_id: scene.ticket_id.clone(),
        ..Default::default()
    };
    let events = scene
        .desk
        .tickets()
        .list_ticket_events(owner.asks(list))
        .await
        .unwrap()
        .into_inner();
    // All but the opening, which was before.
    let watched = watched(&mut watching, events.events.len() - 1).await;
    let all = format!("{ticket:?} {events:?} {watched:?}");
    for draft in &drafts {
        assert!(!all.contains(draft.as_str()), "{draft}");
    }
}

/// What a feed tells until so many events of tickets.
async fn watched(stream: &mut Streaming<WatchTicketsResponse>, count: usize) -> Vec<TicketEvent> {
    let mut events = Vec::new();
    while events.len() < count {
        let next = tokio::time::timeout(PATIENCE, stream.message())
            .await
            .expect("an event");
        let event = next.unwrap().unwrap().event.unwrap();
        if !event.ticket_id.is_empty() {
            events.push(event);
        }
    }
    events
}

#[tokio::test]
async fn a_person_has_one_rating_of_a_reply() {
    let scene = Scene::new().await;
    let owner = &scene.owner;
    let posted = scene.desk.ask(owner, &scene.ticket_id).await.whole().await;
    let rate = async |user: &User, verdict: Verdict, comment: &str| {
        let request = RateReplyRequest {
            reply_id: posted.reply_id.clone(),
            verdict: verdict.into(),
            comment: comment.into(),
            ..Default::default()
        };
        let answer = scene.desk.replies().rate_reply(user.asks(request)).await?;
        Ok::<_, Status>(answer.into_inner().reply.unwrap())
    };
    rate(&scene.agent, Verdict::NotHelpful, "Too long.").await.unwrap();
    rate(owner, Verdict::NotHelpful, " no ").await.unwrap();
    let seen = rate(owner, Verdict::Helpful, "").await.unwrap();
    assert_eq!(seen.ratings.len(), 1, "a customer sees their own");
    assert_eq!(
        (seen.ratings[0].user_id.as_str(), seen.ratings[0].verdict()),
        (owner.id.as_str(), Verdict::Helpful)
    );
    let get = GetReplyRequest {
        reply_id: posted.reply_id.clone(),
    };
    let seen = scene.desk.replies().get_reply(scene.agent.asks(get)).await.unwrap();
    let ratings = seen.into_inner().reply.unwrap().ratings;
    assert_eq!(
        ratings.iter().map(|rating| rating.comment.as_str()).collect::<Vec<_>>(),
        ["Too long.", ""]
    );
    let bad = rate(owner, Verdict::Unspecified, &"x".repeat(1_001)).await;
    assert_refused(bad, Code::InvalidArgument, "INVALID_FIELDS", &["verdict", "comment"]);

    scene.desk.say(owner, &scene.ticket_id, "[sim:no-done] and?").await;
    let failed = scene.desk.ask(owner, &scene.ticket_id).await.whole().await;
    let request = RateReplyRequest {
        reply_id: failed.reply_id,
        verdict: Verdict::Helpful.into(),
        ..Default::default()
    };
    let refused = scene.desk.replies().rate_reply(owner.asks(request)).await;
    assert_refused(refused, Code::FailedPrecondition, "NOT_ANSWERED", &[]);
}

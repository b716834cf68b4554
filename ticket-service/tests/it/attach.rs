//! Going on with a reply: any byte, any replica, any time.

use deskhand_proto::replies::v1::reply_event::Event;
use deskhand_proto::replies::v1::{AttachReplyRequest, CancelReplyRequest, ListRepliesRequest, Reply, ReplyState};
use futures_util::future::join_all;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::harness::{Desk, PATIENCE, User, assert_refused};

/// What is heard of a reply from a place on.
#[derive(Debug)]
struct Heard {
    attempt: i32,
    restarted: bool,
    text: String,
    end: Event,
}

/// Attaches, and listens to the end; pieces have to follow each other without gaps from `offset`.
async fn attach(desk: &Desk, user: &User, reply_id: &str, attempt: i32, offset: usize) -> Result<Heard, Status> {
    let request = AttachReplyRequest {
        reply_id: reply_id.into(),
        attempt,
        after_offset: i64::try_from(offset).unwrap(),
    };
    let mut stream = desk.replies().attach_reply(user.asks(request)).await?.into_inner();
    let mut next = async || {
        let message = tokio::time::timeout(PATIENCE, stream.message())
            .await
            .expect("an event comes")
            .unwrap();
        message.map(|response| response.event.unwrap().event.unwrap())
    };
    let Some(Event::Started(started)) = next().await else {
        panic!("a stream begins with started");
    };
    let (mut text, mut restarted, mut at) = (String::new(), false, offset);
    loop {
        match next().await.expect("a stream ends with an event") {
            Event::Delta(delta) => {
                assert_eq!(
                    (delta.attempt, delta.offset),
                    (started.attempt, i64::try_from(at).unwrap())
                );
                assert!(!delta.text.is_empty());
                at += delta.text.len();
                text.push_str(&delta.text);
            }
            Event::Restarted(told) => {
                assert_eq!(told.attempt, started.attempt);
                (restarted, at) = (true, 0);
                text.clear();
            }
            end => {
                assert_eq!(next().await, None);
                return Ok(Heard {
                    attempt: started.attempt,
                    restarted,
                    text,
                    end,
                });
            }
        }
    }
}

async fn list(desk: &Desk, user: &User, ticket_id: &str) -> Vec<Reply> {
    let request = ListRepliesRequest {
        ticket_id: ticket_id.into(),
        ..Default::default()
    };
    desk.replies()
        .list_replies(user.asks(request))
        .await
        .unwrap()
        .into_inner()
        .replies
}

async fn cancel(desk: &Desk, user: &User, reply_id: &str, request_id: &str) -> Result<Reply, Status> {
    let request = CancelReplyRequest {
        reply_id: reply_id.into(),
        request_id: request_id.into(),
    };
    Ok(desk
        .replies()
        .cancel_reply(user.asks(request))
        .await?
        .into_inner()
        .reply
        .unwrap())
}

#[tokio::test]
async fn after_every_byte_of_a_reply_that_is_over() {
    let desk = Desk::open().await;
    let other = desk.replica().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.say(&user, &ticket_id, "naïve 🖨 café").await;
    let whole = desk.ask(&user, &ticket_id).await.whole().await;
    assert!(whole.text.contains('🖨'), "{}", whole.text);
    for offset in 0..=whole.text.len() {
        for desk in [&desk, &other] {
            let heard = attach(desk, &user, &whole.reply_id, 1, offset).await;
            if whole.text.is_char_boundary(offset) {
                let heard = heard.unwrap();
                assert_eq!(heard.text, whole.text[offset..]);
                assert!(matches!(heard.end, Event::Completed(_)) && !heard.restarted && heard.attempt == 1);
            } else {
                assert_refused(heard, Code::InvalidArgument, "INVALID_FIELDS", &["after_offset"]);
            }
        }
    }
    let beyond = whole.text.len() + 1;
    for (attempt, offset) in [(1, beyond), (2, 0), (9, 3)] {
        let heard = attach(&other, &user, &whole.reply_id, attempt, offset).await;
        assert_refused(heard, Code::OutOfRange, "OFFSET_OUT_OF_RANGE", &[]);
    }
    assert_eq!(
        attach(&other, &user, &whole.reply_id, 0, 0).await.unwrap().text,
        whole.text
    );
}

#[tokio::test]
async fn after_every_byte_while_it_is_written() {
    let desk = Desk::open().await;
    let other = desk.replica().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.say(
        &user,
        &ticket_id,
        "[sim:slow ttft_ms=0 token_ms=5 tokens=60] naïve 🖨 café",
    )
    .await;
    let mut stream = desk.ask(&user, &ticket_id).await;
    let Some(Event::Started(started)) = stream.next().await else {
        panic!("it starts");
    };
    // Most of these places are not there yet: they are waited for.
    let heard = join_all((0..160).flat_map(|offset| {
        let (user, id) = (&user, &started.reply_id);
        [&desk, &other].map(|desk| async move { (offset, attach(desk, user, id, 1, offset).await) })
    }))
    .await;
    let text = list(&desk, &user, &ticket_id).await[0].message.clone().unwrap().body;
    assert!(text.len() > 160);
    for (offset, heard) in heard {
        if text.is_char_boundary(offset) {
            let heard = heard.unwrap_or_else(|status| panic!("{offset}: {status:?}"));
            assert_eq!(heard.text, text[offset..], "{offset}");
            assert!(matches!(heard.end, Event::Completed(_)));
        } else {
            assert_refused(heard, Code::InvalidArgument, "INVALID_FIELDS", &["after_offset"]);
        }
    }
    assert_eq!(
        desk.count("SELECT count(*) FROM reply_chunks").await,
        0,
        "nothing is left of the pieces"
    );
}

#[tokio::test]
async fn what_cannot_be_attached_to() {
    let desk = Desk::open().await;
    let (user, other, agent) = (desk.customer().await, desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&user).await;
    let whole = desk.ask(&user, &ticket_id).await.whole().await;
    let draft = desk.ask(&agent, &ticket_id).await.whole().await;
    for (user, reply_id) in [
        (&other, &whole.reply_id),
        (&user, &draft.reply_id),
        (&user, &Uuid::now_v7().to_string()),
    ] {
        for attempt in [0, 1, 7] {
            let heard = attach(&desk, user, reply_id, attempt, 0).await;
            assert_refused(heard, Code::NotFound, "REPLY_NOT_FOUND", &[]);
        }
    }
    let heard = attach(&desk, &user, &whole.reply_id, 0, 5).await;
    assert_refused(heard, Code::InvalidArgument, "INVALID_FIELDS", &["after_offset"]);
    let heard = attach(&desk, &user, "x", -1, 0).await;
    assert_refused(heard, Code::InvalidArgument, "INVALID_FIELDS", &["reply_id", "attempt"]);
    assert!(matches!(
        attach(&desk, &agent, &draft.reply_id, 1, 3).await.unwrap().end,
        Event::Drafted(_)
    ));
    let replies = |replies: Vec<Reply>| replies.into_iter().map(|reply| reply.id).collect::<Vec<_>>();
    assert_eq!(
        replies(list(&desk, &agent, &ticket_id).await),
        [draft.reply_id, whole.reply_id.clone()]
    );
    assert_eq!(replies(list(&desk, &user, &ticket_id).await), [whole.reply_id]);
}

#[tokio::test]
async fn a_reply_is_cancelled_where_it_runs_and_elsewhere() {
    let desk = Desk::open().await;
    let other = desk.replica().await;
    let user = desk.customer().await;
    for by in [&desk, &other] {
        let ticket_id = desk.ticket(&user).await;
        desk.say(&user, &ticket_id, "[sim:silent-in-middle after=3] hello")
            .await;
        let mut stream = desk.ask(&user, &ticket_id).await;
        let Some(Event::Started(started)) = stream.next().await else {
            panic!("it starts");
        };
        while !matches!(stream.next().await.unwrap(), Event::Delta(_)) {}
        let request_id = Uuid::now_v7().to_string();
        let first = cancel(by, &user, &started.reply_id, &request_id).await.unwrap();
        assert_eq!(first.state(), ReplyState::Cancelled);
        assert_eq!(cancel(by, &user, &started.reply_id, &request_id).await.unwrap(), first);
        assert_eq!(
            cancel(by, &user, &started.reply_id, "").await.unwrap(),
            first,
            "it is that already"
        );
        let end = loop {
            match stream.next().await.unwrap() {
                Event::Delta(_) => {}
                end => break end,
            }
        };
        assert!(matches!(end, Event::Cancelled(_)), "{end:?}");
        let heard = attach(&other, &user, &started.reply_id, 1, 0).await.unwrap();
        assert!(matches!(heard.end, Event::Cancelled(_)));
    }
    desk.sim.control().wait_for_ended(2, PATIENCE).await;
    assert_eq!(
        desk.count("SELECT count(*) FROM messages WHERE author_kind = 'ASSISTANT'")
            .await,
        0
    );

    let ticket_id = desk.ticket(&user).await;
    let whole = desk.ask(&user, &ticket_id).await.whole().await;
    let answer = cancel(&desk, &user, &whole.reply_id, "").await;
    assert_refused(answer, Code::FailedPrecondition, "REPLY_ENDED", &[]);
}

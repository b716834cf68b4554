//! A run outlives its process: another replica takes it over, and nothing is posted twice or spliced.

use deskhand_proto::replies::v1::reply_event::Event;
use deskhand_proto::replies::v1::reply_service_client::ReplyServiceClient;
use deskhand_proto::replies::v1::{AttachReplyRequest, StreamReplyRequest};
use rustix::process::Signal;
use tonic::Streaming;

use crate::harness::{Desk, Listening, PATIENCE, User};
use crate::process::Server;

const POSTED: &str = "SELECT count(*) FROM messages WHERE author_kind = 'ASSISTANT'";
const SLOW: &str = "[sim:slow ttft_ms=0 token_ms=20 tokens=80] hello";

/// Asks a replica, and listens until there is some text: the reply's id, and how many bytes were heard.
async fn begin(server: &Server, user: &User, ticket_id: &str) -> (Listening, String, usize) {
    let request = StreamReplyRequest {
        ticket_id: ticket_id.into(),
        ..Default::default()
    };
    let mut replies = ReplyServiceClient::new(server.channel().await);
    let mut stream = Listening(replies.stream_reply(user.asks(request)).await.unwrap().into_inner());
    let Some(Event::Started(started)) = stream.next().await else {
        panic!("it starts");
    };
    let mut heard = 0;
    while heard < 20 {
        if let Event::Delta(delta) = stream.next().await.unwrap() {
            heard += delta.text.len();
        }
    }
    (stream, started.reply_id, heard)
}

/// Attaches to what was heard in attempt 1 and listens to the end: whether it was restarted, the text since, the end.
async fn go_on(desk: &Desk, user: &User, reply_id: &str, heard: usize) -> (bool, String, Event) {
    let request = AttachReplyRequest {
        reply_id: reply_id.into(),
        attempt: 1,
        after_offset: i64::try_from(heard).unwrap(),
    };
    let mut stream: Streaming<_> = desk
        .replies()
        .attach_reply(user.asks(request))
        .await
        .unwrap()
        .into_inner();
    let (mut restarted, mut text) = (false, String::new());
    loop {
        let next = tokio::time::timeout(PATIENCE, stream.message())
            .await
            .expect("an event comes")
            .unwrap();
        match next.expect("an end").event.unwrap().event.unwrap() {
            Event::Started(_) => {}
            Event::Restarted(_) => {
                restarted = true;
                text.clear();
            }
            Event::Delta(delta) => {
                if restarted {
                    assert_eq!(usize::try_from(delta.offset).unwrap(), text.len());
                }
                text.push_str(&delta.text);
            }
            end => return (restarted, text, end),
        }
    }
}

#[tokio::test]
async fn a_killed_replica_s_run_goes_on_elsewhere() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.say(&user, &ticket_id, SLOW).await;
    let server = Server::replica_of(&desk).await;
    let (_stream, reply_id, heard) = begin(&server, &user, &ticket_id).await;
    drop(server); // kill -9
    let (restarted, text, end) = go_on(&desk, &user, &reply_id, heard).await;
    let Event::Completed(completed) = end else {
        panic!("{end:?}");
    };
    assert!(restarted);
    assert_eq!(completed.message.unwrap().body, text);
    assert_eq!(desk.count(POSTED).await, 1);
    assert_eq!(desk.count("SELECT attempt::bigint FROM replies").await, 2);
    assert_eq!(desk.count("SELECT count(*) FROM reply_chunks").await, 0);
}

#[tokio::test]
async fn a_replica_that_slept_through_its_lease_changes_nothing() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.say(&user, &ticket_id, SLOW).await;
    let server = Server::replica_of(&desk).await;
    let (mut stream, reply_id, heard) = begin(&server, &user, &ticket_id).await;
    server.signal(Signal::STOP);
    let (restarted, text, end) = go_on(&desk, &user, &reply_id, heard).await;
    assert!(restarted && matches!(end, Event::Completed(_)), "{end:?}");
    server.signal(Signal::CONT);
    // Its own listener is told of the other attempt, whole, and of its end.
    let mut of_second = String::new();
    let told = loop {
        match stream.next().await.expect("an end") {
            Event::Restarted(_) => of_second.clear(),
            Event::Delta(delta) if delta.attempt == 2 => of_second.push_str(&delta.text),
            Event::Delta(_) => {}
            end => break end,
        }
    };
    assert!(matches!(told, Event::Completed(_)), "{told:?}");
    assert_eq!(of_second, text);
    assert_eq!(desk.count(POSTED).await, 1);
    let body: String = sqlx::query_scalar("SELECT body FROM messages WHERE author_kind = 'ASSISTANT'")
        .fetch_one(&desk.pool)
        .await
        .unwrap();
    assert_eq!(body, text);
}

#[tokio::test]
async fn a_server_that_stops_hands_its_runs_on() {
    let mut desk = Desk::open().await;
    let other = desk.replica().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.say(&user, &ticket_id, "[sim:silent-in-middle after=3 first=1] hello")
        .await;
    let mut stream = desk.ask(&user, &ticket_id).await;
    let Some(Event::Started(started)) = stream.next().await else {
        panic!("it starts");
    };
    let (end, ()) = tokio::join!(
        async {
            loop {
                match stream.next().await.expect("an end") {
                    Event::Delta(_) => {}
                    end => break end,
                }
            }
        },
        desk.stop()
    );
    assert!(
        matches!(&end, Event::Interrupted(told) if told.reason == "SERVER_STOPPING"),
        "{end:?}"
    );
    let (restarted, _, end) = go_on(&other, &user, &started.reply_id, 0).await;
    assert!(restarted && matches!(end, Event::Completed(_)), "{end:?}");
    assert_eq!(desk.count(POSTED).await, 1);
}

#[tokio::test]
async fn three_attempts_then_it_has_failed() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let whole = desk.ask(&user, &ticket_id).await.whole().await;
    // As a third process leaves it that is killed in the middle.
    let killed = "DELETE FROM ticket_events WHERE reply_id IS NOT NULL; DELETE FROM messages;
        UPDATE replies SET state = 'RUNNING', end_time = NULL, attempt = 3, owner = gen_random_uuid();
        INSERT INTO reply_chunks SELECT id, 3, 0, 'so far' FROM replies;
        UPDATE replies SET lease_until = now() - interval '1 second'";
    sqlx::raw_sql(killed).execute(&desk.pool).await.unwrap();
    let (restarted, text, end) = go_on(&desk, &user, &whole.reply_id, 0).await;
    let Event::Failed(failed) = end else {
        panic!("{end:?}");
    };
    assert!(restarted);
    assert_eq!(
        (failed.reason().as_str_name(), failed.partial_text.as_str()),
        ("FAILURE_REASON_ABANDONED", "so far")
    );
    assert_eq!(text, "so far");
    assert_eq!(desk.count(POSTED).await, 0);
}

#[tokio::test]
async fn what_a_person_took_meanwhile_is_not_answered() {
    let desk = Desk::open().await;
    let (user, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&user).await;
    desk.say(&user, &ticket_id, SLOW).await;
    let server = Server::replica_of(&desk).await;
    let (_stream, reply_id, heard) = begin(&server, &user, &ticket_id).await;
    drop(server);
    desk.say(&agent, &ticket_id, "I take this.").await;
    let (_, _, end) = go_on(&desk, &user, &reply_id, heard).await;
    assert!(matches!(end, Event::Superseded(_)), "{end:?}");
    assert_eq!(desk.count(POSTED).await, 0);
    assert_eq!(
        desk.sim.control().calls().len(),
        1,
        "and nothing more is asked of the model"
    );
}

#[tokio::test]
async fn nothing_gets_stuck() {
    let mut desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let whole = desk.ask(&user, &ticket_id).await.whole().await;
    desk.stop().await;
    // A run in every stage, each as a killed process leaves it: at its beginning, in the middle, at its end, in each attempt.
    let runs = "INSERT INTO tickets (id, requester_id, title, description, priority, category)
            SELECT gen_random_uuid(), requester_id, title, description, priority, category FROM tickets, generate_series(1, 12);
        INSERT INTO replies (id, ticket_id, requested_by, mode, attempt, answers_seq, owner, lease_until)
            SELECT gen_random_uuid(), t.id, requester_id, CASE n % 2 WHEN 0 THEN 'POST' ELSE 'DRAFT' END, 1 + n % 3, 1,
                   gen_random_uuid(), now() + (n - 6) * interval '300 ms'
            FROM (SELECT *, row_number() OVER () AS n FROM tickets WHERE id NOT IN (SELECT ticket_id FROM replies)) t;
        INSERT INTO reply_chunks SELECT id, attempt, 0, 'half an ans' FROM replies WHERE state = 'RUNNING' AND attempt <> 2";
    sqlx::raw_sql(runs).execute(&desk.pool).await.unwrap();
    assert_eq!(
        desk.count("SELECT count(*) FROM replies WHERE state = 'RUNNING'").await,
        12
    );
    desk.start(&[]).await;
    desk.until_count("SELECT count(*) FROM replies WHERE state = 'RUNNING'", 0)
        .await;
    // Four were in their last attempt.
    assert_eq!(
        desk.count("SELECT count(*) FROM replies WHERE state = 'FAILED'").await,
        4
    );
    assert_eq!(desk.count("SELECT count(*) FROM reply_chunks").await, 0);
    assert_eq!(
        desk.count("SELECT count(*) FROM replies WHERE state = 'COMPLETED'")
            .await,
        desk.count(POSTED).await
    );
    drop(whole);
}

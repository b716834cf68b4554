//! The fence at its worst moment: the model has written its last word, and what makes the answer void is committed before it.

use std::time::Duration;

use deskhand_proto::replies::v1::reply_event::Event;
use deskhand_proto::replies::v1::{GetUsageRequest, ReplyState};
use deskhand_proto::tickets::v1::{
    AssignTicketRequest, PostMessageRequest, Ticket, TicketHandler, TicketStatus, UpdateTicketRequest,
};
use prost_types::FieldMask;
use sqlx::PgConnection;
use tonic::Status;

use crate::harness::{Desk, Listening, PATIENCE, User};

/// Statements on this database that wait for a lock, of a transaction that has come this far.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1";

async fn until_waiting(desk: &Desk, query: &str) {
    let until = async {
        loop {
            let waiting: i64 = sqlx::query_scalar(WAITING)
                .bind(query)
                .fetch_one(&desk.pool)
                .await
                .unwrap();
            if waiting > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, until).await.expect(query);
}

struct Scene {
    desk: Desk,
    owner: User,
    agent: User,
    ticket_id: String,
}

impl Scene {
    /// Lets `deed` lock the ticket and then waits, until the run has its last word from the model and waits for the ticket; only
    /// then is the deed committed. What the run's listener is told at the end.
    async fn at_the_worst_moment(&self, deed: impl Future<Output = Result<(), Status>>) -> Event {
        let desk = &self.desk;
        desk.say(
            &self.owner,
            &self.ticket_id,
            "[sim:slow ttft_ms=0 token_ms=20 tokens=40] hello",
        )
        .await;
        let mut stream = desk.ask(&self.owner, &self.ticket_id).await;
        while !matches!(stream.next().await.unwrap(), Event::Delta(_)) {}

        // No event can be appended now, so that whoever changes the ticket stops after it is locked.
        let mut gate = desk.pool.begin().await.unwrap();
        lock_events(&mut gate).await;
        let release = async {
            until_waiting(desk, "%INSERT INTO ticket_events%").await;
            until_waiting(desk, "%FROM tickets%FOR UPDATE%").await;
            assert_eq!(
                desk.count("SELECT count(*) FROM replies WHERE state = 'RUNNING'").await,
                1
            );
            gate.rollback().await.unwrap();
        };
        let (deed, ()) = tokio::join!(deed, release);
        deed.unwrap();
        end(stream).await
    }

    async fn assert_nothing_was_posted(&self) {
        let posted = "SELECT count(*) FROM messages WHERE author_kind = 'ASSISTANT'";
        assert_eq!(self.desk.count(posted).await, 0);
        // Its cost stands in the ledger all the same, to the token.
        let admin = self.desk.admin().await;
        let usage = self
            .desk
            .replies()
            .get_usage(admin.asks(GetUsageRequest::default()))
            .await;
        let row = usage.unwrap().into_inner().rows.remove(0);
        let books = self.desk.sim.control().books().total;
        assert_eq!((row.calls, row.estimated_calls), (1, 0));
        assert_eq!(u64::try_from(row.input_tokens).unwrap(), books.prompt_tokens);
        assert_eq!(u64::try_from(row.output_tokens).unwrap(), books.completion_tokens);
    }
}

async fn lock_events(connection: &mut PgConnection) {
    sqlx::query("LOCK TABLE ticket_events IN SHARE ROW EXCLUSIVE MODE")
        .execute(connection)
        .await
        .unwrap();
}

async fn end(mut stream: Listening) -> Event {
    loop {
        match stream.next().await.expect("an end") {
            Event::Delta(_) => {}
            end => return end,
        }
    }
}

async fn scene() -> Scene {
    let desk = Desk::open().await;
    let (owner, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&owner).await;
    Scene {
        desk,
        owner,
        agent,
        ticket_id,
    }
}

impl Scene {
    async fn say(&self, user: &User, body: &str) -> Result<(), Status> {
        let new = PostMessageRequest {
            ticket_id: self.ticket_id.clone(),
            body: body.into(),
            ..Default::default()
        };
        self.desk.tickets().post_message(user.asks(new)).await.map(drop)
    }

    async fn set(&self, path: &str, ticket: Ticket) -> Result<(), Status> {
        let update = UpdateTicketRequest {
            ticket: Some(Ticket {
                id: self.ticket_id.clone(),
                ..ticket
            }),
            update_mask: Some(FieldMask {
                paths: vec![path.into()],
            }),
            ..Default::default()
        };
        self.desk
            .tickets()
            .update_ticket(self.agent.asks(update))
            .await
            .map(drop)
    }
}

#[tokio::test]
async fn an_agent_s_message() {
    let scene = scene().await;
    let end = scene.at_the_worst_moment(scene.say(&scene.agent, "I take this.")).await;
    assert!(matches!(end, Event::Superseded(_)), "{end:?}");
    scene.assert_nothing_was_posted().await;
}

#[tokio::test]
async fn an_assignment() {
    let scene = scene().await;
    let assign = AssignTicketRequest {
        ticket_id: scene.ticket_id.clone(),
        assignee_id: scene.agent.id.clone(),
        ..Default::default()
    };
    let mut tickets = scene.desk.tickets();
    let assigned = async { tickets.assign_ticket(scene.agent.asks(assign)).await.map(drop) };
    let end = scene.at_the_worst_moment(assigned).await;
    assert!(matches!(end, Event::Superseded(_)), "{end:?}");
    scene.assert_nothing_was_posted().await;
}

#[tokio::test]
async fn a_newer_customer_message() {
    let scene = scene().await;
    let end = scene.at_the_worst_moment(scene.say(&scene.owner, "Wait!")).await;
    assert!(matches!(end, Event::Superseded(_)), "{end:?}");
    scene.assert_nothing_was_posted().await;
}

#[tokio::test]
async fn a_closed_ticket() {
    let scene = scene().await;
    let closed = Ticket {
        status: TicketStatus::Closed.into(),
        ..Default::default()
    };
    let end = scene.at_the_worst_moment(scene.set("status", closed)).await;
    assert!(matches!(end, Event::Superseded(_)), "{end:?}");
    scene.assert_nothing_was_posted().await;
}

#[tokio::test]
async fn a_person_who_takes_over() {
    let scene = scene().await;
    let human = Ticket {
        handler: TicketHandler::Human.into(),
        ..Default::default()
    };
    let end = scene.at_the_worst_moment(scene.set("handler", human)).await;
    assert!(matches!(end, Event::Superseded(_)), "{end:?}");
    scene.assert_nothing_was_posted().await;
}

#[tokio::test]
async fn what_does_not_matter_does_not_stop_an_answer() {
    let scene = scene().await;
    let title = Ticket {
        title: "Another title".into(),
        ..Default::default()
    };
    let end = scene.at_the_worst_moment(scene.set("title", title)).await;
    assert!(matches!(end, Event::Completed(_)), "{end:?}");
}

#[tokio::test]
async fn a_burst_of_five_gets_one_answer_to_the_newest() {
    let scene = scene().await;
    let desk = &scene.desk;
    let mut streams = Vec::new();
    for n in 1..=5 {
        let body = format!("[sim:slow ttft_ms=50 token_ms=10 tokens=30] question {n}");
        desk.say(&scene.owner, &scene.ticket_id, &body).await;
        streams.push(desk.ask(&scene.owner, &scene.ticket_id).await.whole());
    }
    let mut ends = futures_util::future::join_all(streams).await;
    let newest = ends.pop().unwrap();
    assert!(matches!(newest.end, Event::Completed(_)), "{:?}", newest.end);
    for earlier in ends {
        assert!(matches!(earlier.end, Event::Superseded(_)), "{:?}", earlier.end);
    }
    assert_eq!(
        desk.count("SELECT count(*) FROM messages WHERE author_kind = 'ASSISTANT'")
            .await,
        1
    );
    let answered: String =
        sqlx::query_scalar("SELECT m.body FROM replies r JOIN messages m USING (ticket_id) WHERE state = 'COMPLETED' AND m.seq = answers_seq")
            .fetch_one(&desk.pool)
            .await
            .unwrap();
    assert!(answered.ends_with("question 5"));
    // What the overtaken ones cost is in the ledger: a row for each call, and each row ended.
    desk.until_count("SELECT count(*) FROM replies WHERE reserved_tokens > 0", 0)
        .await;
    let calls = i64::try_from(desk.sim.control().calls().len()).unwrap();
    assert_eq!(desk.count("SELECT count(*) FROM model_calls").await, calls);
    assert_eq!(
        desk.count("SELECT count(*) FROM model_calls WHERE outcome = 'OPEN'")
            .await,
        0
    );
    let list = deskhand_proto::replies::v1::ListRepliesRequest {
        ticket_id: scene.ticket_id.clone(),
        ..Default::default()
    };
    let replies = desk.replies().list_replies(scene.owner.asks(list)).await.unwrap();
    let states: Vec<_> = replies.into_inner().replies.iter().map(|reply| reply.state()).collect();
    assert_eq!(states[0], ReplyState::Completed);
    assert_eq!(states[1..], [ReplyState::Superseded; 4]);
}

//! The feed: what is told to whom, when a watch ends, and how it is taken up again.

use std::time::{Duration, Instant};

use deskhand_proto::accounts::v1::RevokeSessionRequest;
use deskhand_proto::feed::v1::feed_service_client::FeedServiceClient;
use deskhand_proto::feed::v1::{ActorKind, TicketEvent, TicketEventKind, WatchTicketsRequest, WatchTicketsResponse};
use deskhand_proto::tickets::v1::{ListTicketsRequest, MessageVisibility, PostMessageRequest};
use local_postgres::{Cluster, Durability, Options};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use crate::harness::{Desk, PATIENCE, User, assert_refused, program};

/// A watch that has had its first bookmark.
pub(crate) struct Watching {
    stream: Streaming<WatchTicketsResponse>,
    /// Of the newest event.
    pub(crate) cursor: String,
}

impl Watching {
    pub(crate) async fn begin(
        mut feed: FeedServiceClient<Channel>,
        user: &User,
        after: &str,
        tickets: &[String],
    ) -> Result<Self, Status> {
        let request = WatchTicketsRequest {
            after_cursor: after.into(),
            ticket_ids: tickets.to_vec(),
        };
        let mut watching = Self {
            stream: feed.watch_tickets(user.asks(request)).await?.into_inner(),
            cursor: String::new(),
        };
        let first = watching.any().await?.expect("a first event");
        assert!(is_bookmark(&first), "{first:?}");
        Ok(watching)
    }

    /// The next event, bookmarks too; `None` at a good end.
    pub(crate) async fn any(&mut self) -> Result<Option<TicketEvent>, Status> {
        let next = tokio::time::timeout(PATIENCE, self.stream.message()).await;
        let event = next.expect("an event comes")?.map(|response| response.event.unwrap());
        if let Some(event) = event.as_ref().filter(|event| !event.cursor.is_empty()) {
            self.cursor.clone_from(&event.cursor);
        }
        Ok(event)
    }

    /// The next event of a ticket.
    pub(crate) async fn next(&mut self) -> TicketEvent {
        loop {
            let event = self.any().await.unwrap().expect("the stream goes on");
            assert_eq!(event.interrupted, None);
            if !is_bookmark(&event) {
                return event;
            }
        }
    }

    /// Asserts that the stream ends so, without another event; the cursor to go on from.
    async fn ends(&mut self, code: Code, reason: &str) -> String {
        let last = self.any().await.unwrap().expect("an end in band");
        assert_eq!(last.interrupted.expect("an end").reason, reason);
        assert_eq!((last.ticket_id.as_str(), last.id), ("", 0));
        assert_refused(self.any().await, code, reason, &[]);
        last.cursor
    }
}

fn is_bookmark(event: &TicketEvent) -> bool {
    event.ticket_id.is_empty() && event.interrupted.is_none() && !event.cursor.is_empty() && event.id == 0
}

async fn watch(desk: &Desk, user: &User, after: &str) -> Watching {
    Watching::begin(desk.feed(), user, after, &[]).await.unwrap()
}

async fn refused(desk: &Desk, user: &User, after: &str, tickets: &[String], fields: &[&str]) {
    let answer = Watching::begin(desk.feed(), user, after, tickets).await.map(|_| ());
    assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", fields);
}

async fn note(desk: &Desk, agent: &User, ticket_id: &str) {
    let note = PostMessageRequest {
        ticket_id: ticket_id.into(),
        body: "between us".into(),
        visibility: MessageVisibility::Internal.into(),
        ..Default::default()
    };
    desk.tickets().post_message(agent.asks(note)).await.unwrap();
}

/// Events of a ticket that nobody announces, as of a replica that died after its commit.
async fn silently(desk: &Desk, ticket_id: &str, count: i32) {
    let insert = "INSERT INTO ticket_events (ticket_id, requester_id, kind, actor_kind, changes, internal)
                  SELECT id, requester_id, 'UPDATED', 'SYSTEM', '[]', false FROM tickets, generate_series(1, $2) WHERE id = $1";
    let insert = sqlx::query(insert)
        .bind(ticket_id.parse::<uuid::Uuid>().unwrap())
        .bind(count);
    insert.execute(&desk.pool).await.unwrap();
}

#[tokio::test]
async fn what_happens_is_told_here_and_on_another_replica() {
    let desk = Desk::open().await;
    let replica = desk.replica().await;
    let (customer, agent) = (desk.customer().await, desk.agent().await);
    let before = desk.ticket(&customer).await;
    let mut here = watch(&desk, &customer, "").await;
    let mut there = watch(&replica, &agent, "").await;

    let ticket_id = desk.ticket(&customer).await;
    desk.ask(&customer, &ticket_id).await.whole().await;
    for watching in [&mut here, &mut there] {
        let created = watching.next().await;
        assert_ne!(created.ticket_id, before, "only what came after");
        assert_eq!(created.ticket_id, ticket_id);
        assert_eq!(created.kind(), TicketEventKind::Created);
        assert_eq!(created.actor_kind(), ActorKind::Customer);
        assert_eq!(created.actor_id, customer.id);
        assert!(created.create_time.is_some() && !created.internal);
        let posted = watching.next().await;
        assert_eq!(posted.kind(), TicketEventKind::MessagePosted);
        assert_eq!(posted.actor_kind(), ActorKind::Assistant);
        assert!(posted.id > created.id && !posted.message_id.is_empty() && !posted.reply_id.is_empty());
    }
    desk.say(&agent, &ticket_id, "Have you tried water?").await;
    assert_eq!(here.next().await.actor_kind(), ActorKind::Agent);
    assert_eq!(there.next().await.actor_id, agent.id);

    silently(&desk, &ticket_id, 1).await;
    assert_eq!(here.next().await.actor_kind(), ActorKind::System);
    assert_eq!(there.next().await.actor_kind(), ActorKind::System);
}

#[tokio::test]
async fn a_cursor_is_taken_up_anywhere_and_a_bookmark_is_one() {
    let desk = Desk::open().await;
    let replica = desk.replica().await;
    let customer = desk.customer().await;
    let begin = watch(&desk, &customer, "").await.cursor;
    let ticket_id = desk.ticket(&customer).await;
    for body in ["one", "two", "three"] {
        desk.say(&customer, &ticket_id, body).await;
    }
    let mut first = watch(&replica, &customer, &begin).await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push((first.next().await.id, first.cursor.clone()));
    }
    assert!(all.is_sorted());
    for (at, (_, cursor)) in all.iter().enumerate() {
        let mut again = watch(&desk, &customer, cursor).await;
        for (id, _) in &all[at + 1..] {
            assert_eq!(again.next().await.id, *id);
        }
    }
}

#[tokio::test]
async fn customers_hear_of_public_events_of_their_own_tickets_only() {
    let desk = Desk::open().await;
    let (owner, other, agent) = (desk.customer().await, desk.customer().await, desk.agent().await);
    let (mine, theirs) = (desk.ticket(&owner).await, desk.ticket(&other).await);
    let mut live = watch(&desk, &owner, "").await;
    let begin = live.cursor.clone();
    let named = [mine.clone(), theirs.clone(), mine.clone()];
    let mut staff = Watching::begin(desk.feed(), &agent, "", &named).await.unwrap();
    let mut one = Watching::begin(desk.feed(), &agent, "", &named[..1]).await.unwrap();

    note(&desk, &agent, &mine).await;
    desk.say(&agent, &theirs, "for another").await;
    note(&desk, &agent, &theirs).await;
    desk.ticket(&other).await;
    desk.say(&agent, &mine, "for you").await;

    let heard = live.next().await;
    assert_eq!((heard.ticket_id.as_str(), heard.internal), (mine.as_str(), false));
    // From PostgreSQL, too; and naming another's ticket tells nothing of it.
    let mut replays = Vec::new();
    for tickets in [&[][..], &named[..]] {
        let mut replay = Watching::begin(desk.feed(), &owner, &begin, tickets).await.unwrap();
        assert_eq!(replay.next().await.id, heard.id);
        replays.push(replay);
    }
    desk.say(&agent, &theirs, "more").await;
    desk.say(&agent, &mine, "more").await;
    let more = live.next().await;
    assert_eq!(more.ticket_id, mine);
    for mut replay in replays {
        assert_eq!(replay.next().await.id, more.id);
    }

    let mut told = Vec::new();
    for _ in 0..4 {
        let event = staff.next().await;
        told.push((event.ticket_id, event.internal));
    }
    let expected = [(&mine, true), (&theirs, false), (&theirs, true), (&mine, false)];
    assert_eq!(told, expected.map(|(id, internal)| (id.clone(), internal)));
    assert!(one.next().await.internal);
    assert_eq!(one.next().await.id, heard.id);
}

#[tokio::test]
async fn an_event_that_is_removed_leaves_its_place_to_nobody() {
    let desk = Desk::open().await;
    let customer = desk.customer().await;
    let mut live = watch(&desk, &customer, "").await;
    desk.ticket(&customer).await;
    live.next().await;
    sqlx::query("DELETE FROM ticket_events")
        .execute(&desk.pool)
        .await
        .unwrap();
    let mut later = watch(&desk, &customer, &live.cursor).await;
    let ticket_id = desk.ticket(&customer).await;
    assert_eq!(live.next().await.ticket_id, ticket_id);
    assert_eq!(later.next().await.ticket_id, ticket_id);
}

#[tokio::test]
async fn cursors_and_tickets_that_are_refused() {
    let desk = Desk::open().await;
    let (user, other) = (desk.customer().await, desk.customer().await);
    desk.ticket(&user).await;
    desk.ticket(&user).await;
    let request = ListTicketsRequest {
        page_size: 1,
        ..Default::default()
    };
    let page = desk.tickets().list_tickets(user.asks(request)).await.unwrap();
    let page_token = page.into_inner().next_page_token;
    assert!(!page_token.is_empty());
    let mine = watch(&desk, &user, "").await.cursor;
    watch(&desk, &desk.log_in(&user.email).await, &mine).await;

    let theirs = watch(&desk, &other, "").await.cursor;
    let nonsense = ["x", "1", "%00", &"A".repeat(48), &"A".repeat(100_000)];
    for cursor in nonsense.into_iter().chain([page_token.as_str(), &theirs]) {
        refused(&desk, &user, cursor, &[], &["after_cursor"]).await;
    }
    let id = uuid::Uuid::now_v7().to_string();
    Watching::begin(desk.feed(), &user, "", &vec![id.clone(); 100])
        .await
        .unwrap();
    refused(&desk, &user, "", &vec![id.clone(); 101], &["ticket_ids"]).await;
    let tickets = [id.as_str(), "", &id, "nonsense"].map(str::to_owned);
    let fields = ["after_cursor", "ticket_ids[1]", "ticket_ids[3]"];
    refused(&desk, &user, "x", &tickets, &fields).await;
    refused(&desk, &user, "", &tickets, &fields[1..]).await;
}

#[tokio::test]
async fn a_watch_ends_with_its_session_and_with_its_role() {
    let desk = Desk::open().await;
    let agent = desk.agent().await;
    let mut watching = watch(&desk, &agent, "").await;
    let request = RevokeSessionRequest {
        session_id: "all".into(),
    };
    desk.auth().revoke_session(agent.asks(request)).await.unwrap();
    watching.ends(Code::Unauthenticated, "SESSION_ENDED").await;

    let (admin, agent) = (desk.admin().await, desk.log_in(&agent.email).await);
    let mut watching = watch(&desk, &agent, &watching.cursor).await;
    let request = deskhand_proto::accounts::v1::SetUserRoleRequest {
        user_id: agent.id.clone(),
        role: deskhand_proto::accounts::v1::Role::Customer.into(),
        ..Default::default()
    };
    desk.users().set_user_role(admin.asks(request)).await.unwrap();
    watching.ends(Code::Unauthenticated, "SESSION_ENDED").await;

    let now_customer = desk.log_in(&agent.email).await;
    let mut watching = watch(&desk, &now_customer, &watching.cursor).await;
    desk.ticket(&admin).await;
    let own = desk.ticket(&now_customer).await;
    assert_eq!(watching.next().await.ticket_id, own);
}

#[tokio::test]
async fn a_stopping_server_hands_its_watchers_on_at_once() {
    let mut desk = Desk::open().await;
    let replica = desk.replica().await;
    let customer = desk.customer().await;
    let mut watching = watch(&desk, &customer, "").await;
    let began = Instant::now();
    let stopping = tokio::spawn(async move {
        desk.stop().await;
        desk
    });
    let cursor = watching.ends(Code::Unavailable, "SERVER_STOPPING").await;
    drop(watching);
    let desk = stopping.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    let ticket_id = replica.ticket(&customer).await;
    let mut watching = watch(&replica, &customer, &cursor).await;
    assert_eq!(watching.next().await.ticket_id, ticket_id);
    drop(desk);
}

#[tokio::test]
async fn the_caller_s_deadline_ends_a_watch_and_says_so() {
    let desk = Desk::open().await;
    let customer = desk.customer().await;
    let mut request = customer.asks(WatchTicketsRequest::default());
    request.set_timeout(Duration::from_millis(1000));
    let began = Instant::now();
    let mut watching = Watching {
        stream: desk.feed().watch_tickets(request).await.unwrap().into_inner(),
        cursor: String::new(),
    };
    assert!(is_bookmark(&watching.any().await.unwrap().unwrap()));
    let cursor = watching.ends(Code::DeadlineExceeded, "DEADLINE_EXCEEDED").await;
    assert!(
        (900..1500).contains(&began.elapsed().as_millis()),
        "{:?}",
        began.elapsed()
    );
    watch(&desk, &customer, &cursor).await;
}

#[tokio::test]
async fn after_a_silence_comes_a_bookmark_that_is_past_what_others_did() {
    let desk = Desk::open().await;
    let (customer, other) = (desk.customer().await, desk.customer().await);
    let mut watching = watch(&desk, &customer, "").await;
    desk.ticket(&other).await;
    let bookmark = watching.any().await.unwrap().unwrap();
    assert!(is_bookmark(&bookmark));
    // As staff, the same person sees what stands between a cursor and now.
    let promote = sqlx::query("UPDATE users SET role = 'AGENT' WHERE email = $1").bind(&customer.email);
    promote.execute(&desk.pool).await.unwrap();
    let promoted = desk.log_in(&customer.email).await;
    let mut watching = watch(&desk, &promoted, &bookmark.cursor).await;
    let ticket_id = desk.ticket(&other).await;
    assert_eq!(watching.next().await.ticket_id, ticket_id);
}

#[tokio::test]
async fn who_does_not_read_is_told_to_go_on_elsewhere_and_slows_nobody() {
    // More than the tail keeps, and than fits into what HTTP/2 may have under way.
    const EVENTS: i32 = 20_000;
    let desk = Desk::open().await;
    let (customer, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&customer).await;
    let narrow = Endpoint::from_shared(format!("http://{}", desk.address)).unwrap();
    let narrow = narrow
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535);
    let narrow = FeedServiceClient::new(narrow.connect().await.unwrap());
    let mut slow = Watching::begin(narrow, &agent, "", &[]).await.unwrap();
    let mut fast = watch(&desk, &agent, "").await;

    let began = Instant::now();
    for _ in 0..10 {
        silently(&desk, &ticket_id, EVENTS / 10).await;
    }
    let mut all = Vec::new();
    for _ in 0..EVENTS {
        all.push(fast.next().await.id);
    }
    // It has been slow for long enough.
    tokio::time::sleep(Duration::from_millis(1500).saturating_sub(began.elapsed())).await;

    let mut heard = Vec::new();
    let interrupted = loop {
        let event = slow.any().await.unwrap().expect("an end in band");
        if let Some(interrupted) = event.interrupted {
            break interrupted;
        }
        heard.push(event.id);
    };
    assert_eq!(interrupted.reason, "WATCHER_TOO_SLOW");
    assert_refused(slow.any().await, Code::Aborted, "WATCHER_TOO_SLOW", &[]);
    assert!(heard.len() < all.len());
    let mut rest = watch(&desk, &agent, &slow.cursor).await;
    while heard.len() < all.len() {
        heard.push(rest.next().await.id);
    }
    assert_eq!(heard, all);
}

#[tokio::test]
async fn a_long_replay_is_read_at_the_watcher_s_own_pace() {
    const EVENTS: i32 = 6000;
    let desk = Desk::open().await;
    let (customer, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&customer).await;
    let begin = watch(&desk, &agent, "").await.cursor;
    silently(&desk, &ticket_id, EVENTS).await;
    desk.until_count("SELECT count(*) FROM ticket_events WHERE position IS NULL", 0)
        .await;
    let narrow = Endpoint::from_shared(format!("http://{}", desk.address)).unwrap();
    let narrow = narrow
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535);
    let narrow = FeedServiceClient::new(narrow.connect().await.unwrap());
    let mut watching = Watching::begin(narrow, &agent, &begin, &[]).await.unwrap();
    let mut heard = vec![watching.next().await.id];
    // The tail goes on by more than it keeps, while this one rests in the midst of its replay.
    silently(&desk, &ticket_id, EVENTS).await;
    desk.until_count("SELECT count(*) FROM ticket_events WHERE position IS NULL", 0)
        .await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    for _ in 1..2 * EVENTS {
        heard.push(watching.next().await.id);
    }
    let kept: Vec<i64> = sqlx::query_scalar("SELECT id FROM ticket_events WHERE kind = 'UPDATED' ORDER BY position")
        .fetch_all(&desk.pool)
        .await
        .unwrap();
    assert_eq!(heard, kept);
}

#[tokio::test]
async fn watchers_that_wait_ask_nothing_of_the_database() {
    let desk = Desk::open().await;
    let agent = desk.agent().await;
    let mut watchers = vec![watch(&desk, &agent, "").await];
    let statements =
        "SELECT (xact_commit + xact_rollback)::bigint FROM pg_stat_database WHERE datname = current_database()";
    let over = async |interval| {
        // What was counted late is counted before.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let before = desk.count(statements).await;
        tokio::time::sleep(interval).await;
        desk.count(statements).await - before
    };
    let interval = Duration::from_secs(4);
    let one = over(interval).await;
    for _ in 1..250 {
        watchers.push(watch(&desk, &agent, "").await);
    }
    let many = over(interval).await;
    assert!(
        many < one + 30,
        "{one} with one watcher, {many} with {}",
        watchers.len()
    );
    let customer = desk.customer().await;
    let ticket_id = desk.ticket(&customer).await;
    for watcher in &mut watchers {
        assert_eq!(watcher.next().await.ticket_id, ticket_id);
    }
}

#[tokio::test]
async fn a_restart_of_the_database_loses_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        dir: folder.path().join("cluster"),
        durability: Durability::Durable,
    };
    let start = async || {
        let options = options.clone();
        let start = move || Cluster::start(&options).unwrap();
        tokio::task::spawn_blocking(start).await.unwrap()
    };
    let mut cluster = start().await;
    cluster.create_database("desk").unwrap();
    let url = cluster.url("desk");
    let migrations = program(&["--database-url", &url]).serve.database;
    ticket_service::db::migrate(&migrations).await.unwrap();
    let desk = Desk::on(url.clone(), &[]).await;
    let replica = desk.replica().await;
    let (customer, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&customer).await;
    let mut watchers = [watch(&desk, &agent, "").await, watch(&replica, &customer, "").await];
    let mut heard = [Vec::new(), Vec::new()];

    for _ in 0..2 {
        // Committed, and not yet told when the database goes away.
        silently(&desk, &ticket_id, 50).await;
        let stop = move || cluster.stop().map(|()| drop(cluster));
        tokio::task::spawn_blocking(stop).await.unwrap().unwrap();
        // Each look fails meanwhile, and no watch ends.
        tokio::time::sleep(Duration::from_millis(700)).await;
        cluster = start().await;
        assert_eq!(cluster.url("desk"), url);
        silently(&desk, &ticket_id, 50).await;
        for (watching, heard) in watchers.iter_mut().zip(&mut heard) {
            for _ in 0..100 {
                heard.push(watching.next().await.id);
            }
        }
    }
    let kept: Vec<i64> = sqlx::query_scalar("SELECT id FROM ticket_events WHERE kind = 'UPDATED' ORDER BY position")
        .fetch_all(&desk.pool)
        .await
        .unwrap();
    assert_eq!(heard, [kept.clone(), kept]);
}

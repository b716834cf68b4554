//! The feed under concurrent commits: one order for all, without gaps and repeats.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::PgPool;
use tokio::time::sleep;
use uuid::Uuid;

use crate::feed::Watching;
use crate::harness::{Desk, PATIENCE, User};

/// Xorshift: enough to mix things up, and to do the same again.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    async fn pause(&mut self, most: u64) {
        sleep(Duration::from_millis(self.below(most))).await;
    }
}

/// Commits and rolls back transactions whose events' ids were drawn long before: among several of these, ids and commits are in
/// different orders.
async fn write(pool: PgPool, tickets: Vec<Uuid>, mut chance: Chance) {
    for _ in 0..15 {
        let mut tx = pool.begin().await.unwrap();
        for _ in 0..=chance.below(3) {
            let insert = "INSERT INTO ticket_events (ticket_id, requester_id, kind, actor_kind, changes, internal)
                          SELECT id, requester_id, 'UPDATED', 'SYSTEM', '[]', $2 FROM tickets WHERE id = $1";
            let ticket_id = tickets[usize::try_from(chance.below(tickets.len() as u64)).unwrap()];
            let insert = sqlx::query(insert).bind(ticket_id).bind(chance.below(4) == 0);
            insert.execute(&mut *tx).await.unwrap();
            chance.pause(40).await;
        }
        if chance.below(5) == 0 {
            tx.rollback().await.unwrap();
        } else {
            tx.commit().await.unwrap();
        }
        chance.pause(20).await;
    }
}

/// One who watches by fits and starts, now here, now there.
struct Watcher {
    user: User,
    tickets: Vec<String>,
    /// What they must hear, in SQL.
    must_hear: String,
}

/// Hears events until `over` and then as many as there are, and a moment longer.
async fn hear(
    replicas: Arc<[Desk; 2]>,
    watcher: Arc<Watcher>,
    mut cursor: String,
    mut chance: Chance,
    over: Arc<AtomicBool>,
) -> Vec<i64> {
    let mut heard = Vec::new();
    loop {
        let last = over.load(Ordering::Acquire);
        let feed = replicas[usize::try_from(chance.below(2)).unwrap()].feed();
        let mut watching = Watching::begin(feed, &watcher.user, &cursor, &watcher.tickets)
            .await
            .unwrap();
        for _ in 0..=chance.below(20) {
            // Nothing more comes: somewhere else then, or the end.
            let quiet = Duration::from_millis(if last { 700 } else { 60 });
            let Ok(event) = tokio::time::timeout(quiet, watching.next()).await else {
                if last {
                    return heard;
                }
                break;
            };
            heard.push(event.id);
        }
        cursor.clone_from(&watching.cursor);
    }
}

#[expect(clippy::print_stdout, reason = "with the seed, a failure can be had again")]
async fn everyone_hears_everything_once(seed: u64) {
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let desk = Desk::open().await;
    let replica = desk.replica().await;
    let pool = desk.pool.clone();
    let (one, two, agent) = (desk.customer().await, desk.customer().await, desk.agent().await);
    let mut tickets = Vec::new();
    for customer in [&one, &two, &one, &two] {
        tickets.push(desk.ticket(customer).await);
    }
    let ids: Vec<Uuid> = tickets.iter().map(|id| id.parse().unwrap()).collect();
    let all = "SELECT id FROM ticket_events WHERE kind = 'UPDATED'";
    let watchers = [
        (&agent, vec![], all.to_owned()),
        (&agent, vec![], all.to_owned()),
        (
            &one,
            vec![],
            format!("{all} AND NOT internal AND requester_id = '{}'", one.id),
        ),
        (
            &two,
            tickets[..2].to_vec(),
            format!("{all} AND NOT internal AND ticket_id = '{}'", ids[1]),
        ),
        (
            &agent,
            tickets[1..3].to_vec(),
            format!("{all} AND ticket_id IN ('{}', '{}')", ids[1], ids[2]),
        ),
    ]
    .map(|(user, tickets, must_hear)| {
        Arc::new(Watcher {
            user: user.clone(),
            tickets,
            must_hear,
        })
    });

    let replicas = Arc::new([desk, replica]);
    let over = Arc::new(AtomicBool::new(false));
    let mut hearing = Vec::new();
    for (at, watcher) in watchers.iter().enumerate() {
        // From before the first event on, without any of those before.
        let first = Watching::begin(replicas[at % 2].feed(), &watcher.user, "", &watcher.tickets)
            .await
            .unwrap();
        let chance = Chance(chance.below(u64::MAX) | 1);
        hearing.push(tokio::spawn(hear(
            replicas.clone(),
            watcher.clone(),
            first.cursor.clone(),
            chance,
            over.clone(),
        )));
    }
    let writers = (0..8).map(|_| write(pool.clone(), ids.clone(), Chance(chance.below(u64::MAX) | 1)));
    join_all(writers).await;
    replicas[0]
        .until_count("SELECT count(*) FROM ticket_events WHERE position IS NULL", 0)
        .await;
    over.store(true, Ordering::Release);

    for (watcher, hearing) in watchers.iter().zip(hearing) {
        let heard = tokio::time::timeout(PATIENCE, hearing).await.expect("an end").unwrap();
        let must_hear = sqlx::AssertSqlSafe(format!("{} ORDER BY position", watcher.must_hear));
        let must_hear: Vec<i64> = sqlx::query_scalar(must_hear).fetch_all(&pool).await.unwrap();
        assert!(must_hear.len() > 10);
        assert_eq!(heard, must_hear, "seed {seed}, {}", watcher.must_hear);
    }
    let positions =
        "SELECT count(*) FROM ticket_events HAVING count(DISTINCT position) = max(position) AND min(position) = 1";
    let events = replicas[0].count("SELECT count(*) FROM ticket_events").await;
    assert_eq!(replicas[0].count(positions).await, events, "each position once");
    let mixed: Vec<i64> = sqlx::query_scalar("SELECT id FROM ticket_events ORDER BY position")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert!(
        !mixed.is_sorted(),
        "seed {seed}: commits were in the order of ids, which shows nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_hears_everything_once_and_in_one_order() {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    for seed in [1, 0x5EED, u64::from(now.subsec_nanos()) + 2] {
        everyone_hears_everything_once(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_number_at_once_give_each_position_once() {
    let desk = Desk::open().await;
    let replicas = [desk.replica().await, desk.replica().await, desk.replica().await];
    let (customer, agent) = (desk.customer().await, desk.agent().await);
    let mut tickets = Vec::new();
    for _ in 0..6 {
        tickets.push(desk.ticket(&customer).await);
    }
    let begin = Watching::begin(desk.feed(), &agent, "", &[]).await.unwrap().cursor;
    let mut watchers = Vec::new();
    for replica in replicas.iter().chain([&desk]) {
        watchers.push(Watching::begin(replica.feed(), &agent, &begin, &[]).await.unwrap());
    }
    // Each replica's own commits wake its own tail.
    join_all(tickets.iter().enumerate().map(async |(at, ticket_id)| {
        for _ in 0..40 {
            replicas[at % 3].say(&customer, ticket_id, "hello").await;
        }
    }))
    .await;
    let kept: Vec<(i64, i64, Uuid)> = sqlx::query_as(
        "SELECT coalesce(position, 0), id, ticket_id FROM ticket_events WHERE kind = 'MESSAGE_POSTED' ORDER BY position",
    )
    .fetch_all(&desk.pool)
    .await
    .unwrap();
    assert_eq!(kept.len(), 240);
    for mut watching in watchers {
        let mut heard = Vec::new();
        for _ in 0..kept.len() {
            let event = watching.next().await;
            heard.push((event.id, event.ticket_id));
        }
        let kept: Vec<(i64, Uuid)> =
            sqlx::query_as("SELECT id, ticket_id FROM ticket_events WHERE kind = 'MESSAGE_POSTED' ORDER BY position")
                .fetch_all(&desk.pool)
                .await
                .unwrap();
        let kept: Vec<(i64, String)> = kept.into_iter().map(|(id, ticket)| (id, ticket.to_string())).collect();
        assert_eq!(heard, kept);
        for ticket_id in &tickets {
            let of_ticket = heard.iter().filter(|(_, ticket)| ticket == ticket_id);
            assert!(of_ticket.map(|(id, _)| id).is_sorted(), "within a ticket, ids rise");
        }
    }
    desk.until_count("SELECT max(position) - count(*) FROM ticket_events", 0)
        .await;
}

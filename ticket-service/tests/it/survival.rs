//! Two replicas, one of which is killed again and again while they write: no reply is lost, doubled or spliced.
//!
//! `KILLED_RUNS=200 cargo test -p ticket-service --test it survival -- --nocapture` goes on until so many runs were under way in
//! a process when it was killed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use deskhand_proto::replies::v1::reply_event::Event;
use deskhand_proto::replies::v1::reply_service_client::ReplyServiceClient;
use deskhand_proto::replies::v1::{AttachReplyRequest, ReplyEvent, StreamReplyRequest};
use deskhand_proto::tickets::v1::CreateTicketRequest;
use deskhand_proto::tickets::v1::ticket_service_client::TicketServiceClient;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::asks::{WHOLES, Whole};
use crate::harness::{Desk, User};
use crate::process::Server;
use crate::random::Numbers;
use crate::soak::assert_books_agree;

/// Replies in a round.
const AT_ONCE: u64 = 16;
/// Longer than a round takes: three leases, and the answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the replicas are, of which one may be dead.
type Replicas = watch::Receiver<[String; 2]>;

async fn connect(replicas: &Replicas, which: usize) -> Option<ReplyServiceClient<Channel>> {
    let address = replicas.borrow()[which % 2].clone();
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect_timeout(Duration::from_secs(2)).connect().await.ok()?;
    Some(ReplyServiceClient::new(channel))
}

/// Listens as a client does that is told of nothing but addresses: reconnects, goes on where it was. The text and the end.
async fn follow(replicas: Replicas, user: User, ticket_id: String, mut which: usize) -> (String, Event, i32) {
    let request_id = Uuid::now_v7().to_string();
    let (mut reply_id, mut attempt, mut text) = (String::new(), 0, String::new());
    let mut restarts = 0;
    loop {
        let stream = open(
            &replicas,
            which,
            &user,
            &ticket_id,
            &request_id,
            &reply_id,
            attempt,
            text.len(),
        )
        .await;
        let Some(mut stream) = stream else {
            which += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        while let Some(Ok(event)) = stream.next().await {
            match event.event.unwrap() {
                Event::Started(started) => {
                    if attempt == 0 {
                        attempt = started.attempt;
                    }
                    reply_id = started.reply_id;
                }
                Event::Restarted(restarted) => {
                    assert!(restarted.attempt > attempt);
                    attempt = restarted.attempt;
                    restarts += 1;
                    text.clear();
                }
                Event::Delta(delta) => {
                    assert_eq!(delta.attempt, attempt);
                    assert_eq!(usize::try_from(delta.offset).unwrap(), text.len());
                    text.push_str(&delta.text);
                }
                Event::Interrupted(_) => break,
                end => return (text, end, restarts),
            }
        }
        which += 1;
    }
}

/// What of the tickets of a round is asked for in one piece.
fn whole(next: u64) -> Option<Whole> {
    WHOLES.get(usize::try_from(next % 8).unwrap()).copied()
}

/// Asks for what comes in one piece, by the same request on any replica until it is there.
async fn insist(replicas: Replicas, agent: User, ticket_id: String, whole: Whole, scenario: String, mut which: usize) {
    let request_id = Uuid::now_v7().to_string();
    loop {
        if let Some(mut client) = connect(&replicas, which).await {
            let asked = whole.ask(&mut client, &agent, &ticket_id, &request_id, &scenario).await;
            match asked {
                Ok(()) => return,
                // Its replica is dead, or what was asked died with it, for a text is not kept.
                Err(status) if status.code() == Code::Unavailable || whole == Whole::Rewrite => {}
                Err(status) if status.code() == Code::Unknown || status.code() == Code::Cancelled => {}
                Err(status) => panic!("{whole:?}: {status:?}"),
            }
        }
        which += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[expect(clippy::too_many_arguments, reason = "all that a client knows")]
async fn open(
    replicas: &Replicas,
    which: usize,
    user: &User,
    ticket_id: &str,
    request_id: &str,
    reply_id: &str,
    attempt: i32,
    heard: usize,
) -> Option<BoxStream<'static, Result<ReplyEvent, tonic::Status>>> {
    let mut client = connect(replicas, which).await?;
    if reply_id.is_empty() {
        let request = StreamReplyRequest {
            ticket_id: ticket_id.into(),
            request_id: request_id.into(),
            ..Default::default()
        };
        let stream = client.stream_reply(user.asks(request)).await.ok()?.into_inner();
        return Some(stream.map(|told| told.map(|told| told.event.unwrap())).boxed());
    }
    let request = AttachReplyRequest {
        reply_id: reply_id.into(),
        attempt,
        after_offset: i64::try_from(heard).unwrap(),
    };
    let stream = client.attach_reply(user.asks(request)).await.ok()?.into_inner();
    Some(stream.map(|told| told.map(|told| told.event.unwrap())).boxed())
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_a_replica_is_killed_every_reply_is_whole_and_posted_once() {
    let wanted: i64 = std::env::var("KILLED_RUNS").map_or(20, |number| number.parse().unwrap());
    let began = Instant::now();
    let mut desk = Desk::busy(20_000).await;
    let user = desk.customer().await;
    let agent = desk.agent().await;
    // The harness's own replica would take runs over, too.
    desk.stop().await;
    let mut servers = [
        Server::busy_replica_of(&desk).await,
        Server::busy_replica_of(&desk).await,
    ];
    let (tell, replicas) = watch::channel([servers[0].1.clone(), servers[1].1.clone()]);
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    println!("seed {seed}");
    let mut random = Numbers(seed);
    let (mut killed_runs, mut kills, mut replies, mut wholes, mut restarts) = (0, 0, 0, 0, 0);
    let mut next = 0;
    while killed_runs < wanted {
        assert!(kills < 100, "runs are under way when their process is killed");
        let mut tickets = Vec::new();
        for _ in 0..AT_ONCE {
            next += 1;
            // Slow, or such that another call is made for it.
            let scenario = match (random.below(3), whole(next)) {
                (0, None) => "[sim:tool-calls tool=hand_off arguments=\"{}\" first=1]".to_owned(),
                (0, Some(Whole::Triage)) => "[sim:bad-json kind=wrong-enum first=1]".to_owned(),
                // Not more often than assistant-service repeats calls.
                (0, Some(_)) if next % 3 == 0 => "[sim:status code=503 first=1]".to_owned(),
                _ => format!(
                    "[sim:slow ttft_ms={} token_ms={} tokens=60]",
                    random.below(300),
                    1 + random.below(20)
                ),
            };
            let new = CreateTicketRequest {
                title: format!("ticket-{next}-"),
                description: format!("{scenario} Help."),
                ..Default::default()
            };
            let mut there = TicketServiceClient::connect(format!("http://{}", servers[0].1))
                .await
                .unwrap();
            let answer = there.create_ticket(user.asks(new)).await.unwrap();
            tickets.push((answer.into_inner().ticket.unwrap().id, scenario, whole(next)));
        }
        let (mut listening, mut insisting) = (JoinSet::new(), JoinSet::new());
        let doomed = usize::try_from(random.below(2)).unwrap();
        for (n, (ticket_id, scenario, whole)) in tickets.into_iter().enumerate() {
            // Most where it is killed.
            let which = if n % 4 == 0 { doomed + 1 } else { doomed };
            if let Some(whole) = whole {
                wholes += 1;
                insisting.spawn(insist(
                    replicas.clone(),
                    agent.clone(),
                    ticket_id,
                    whole,
                    scenario,
                    which,
                ));
            } else {
                listening.spawn(follow(replicas.clone(), user.clone(), ticket_id, which));
            }
        }
        tokio::time::sleep(Duration::from_millis(random.below(900))).await;
        servers[doomed].kill();
        kills += 1;
        // Those that it owned, in whatever stage: only the dead do not renew.
        servers[doomed] = Server::busy_replica_of(&desk).await;
        tell.send_modify(|addresses| addresses[doomed].clone_from(&servers[doomed].1));
        let ended = tokio::time::timeout(PATIENCE, async {
            let mut ended = Vec::new();
            while let Some(one) = listening.join_next().await {
                ended.push(one.unwrap());
            }
            while let Some(one) = insisting.join_next().await {
                one.unwrap();
            }
            ended
        });
        for (text, end, restarted) in ended.await.expect("no reply is lost") {
            let Event::Completed(completed) = end else {
                panic!("{end:?}");
            };
            assert_eq!(
                completed.message.unwrap().body,
                text,
                "what was heard is what was posted"
            );
            replies += 1;
            restarts += restarted;
        }
        killed_runs = desk
            .count("SELECT coalesce(sum(attempt - 1), 0)::bigint + count(*) FILTER (WHERE mode = 'REWRITE' AND state = 'FAILED') FROM replies")
            .await;
    }

    let doubled = "SELECT count(*) FROM (SELECT ticket_id FROM messages GROUP BY ticket_id HAVING count(*) <> 1) more";
    assert_eq!(desk.count(doubled).await, 0);
    assert_eq!(
        desk.count("SELECT count(*) FROM messages WHERE author_kind = 'ASSISTANT'")
            .await,
        replies
    );
    assert_eq!(desk.count("SELECT count(*) FROM reply_chunks").await, 0);
    // What was posted is what the model wrote in one go.
    let written: HashSet<String> = desk.sim.control().calls().into_iter().map(|call| call.text).collect();
    let bodies: Vec<String> = sqlx::query_scalar("SELECT body FROM messages")
        .fetch_all(&desk.pool)
        .await
        .unwrap();
    for body in bodies {
        assert!(written.contains(&body), "spliced: {body}");
    }
    let made = "SELECT count(*) FROM replies WHERE mode NOT IN ('POST', 'DRAFT') AND state = 'DRAFTED'";
    assert_eq!(desk.count(made).await, wholes, "what was asked for is made, and once");
    desk.until_count("SELECT count(*) FROM replies WHERE reserved_tokens > 0", 0)
        .await;
    println!("{}", assert_books_agree(&desk, false).await);
    println!(
        "{replies} replies, {wholes} summaries, judgements and texts, {kills} kills, {killed_runs} runs killed ({restarts} of them heard of it): 0 lost, 0 doubled, 0 spliced, in {:.0?}",
        began.elapsed()
    );
}

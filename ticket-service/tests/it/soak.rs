//! Two thousand replies with random faults, and the provider's own books beside ours afterwards.

use std::collections::HashMap;
use std::time::Duration;

use deskhand_proto::replies::v1::CancelReplyRequest;
use deskhand_proto::replies::v1::reply_event::Event;
use deskhand_proto::tickets::v1::CreateTicketRequest;
use futures_util::stream::{self, StreamExt as _};

use crate::asks::{NO_TITLE, WHOLES};
use crate::harness::{Desk, PATIENCE, User};
use crate::random::Numbers;

const REPLIES: u64 = 2_000;
const AT_ONCE: usize = 12;

/// What the provider does about an ask; `first=1` lets a repeat go well.
fn scenario(random: &mut Numbers) -> String {
    let tokens = 1 + random.below(60);
    let after = 1 + random.below(20);
    match random.below(24) {
        0..8 => format!("ok tokens={tokens} reasoning={after}"),
        8..10 => format!("slow ttft_ms=1 token_ms=2 tokens={tokens}"),
        10 => format!("usage times=0 tokens={tokens}"),
        11 => format!("byte-at-a-time tokens={tokens}"),
        12 => "status code=503 first=1".to_owned(),
        13 => "status code=500".to_owned(),
        14 => format!("cut how=reset after={after}"),
        15 => format!("end-early after={after}"),
        16 => format!("error-event after={after}"),
        17 => format!("length after={after}"),
        18 => "content-filter after=5".to_owned(),
        19 => "html-error code=502 first=1".to_owned(),
        20 => "tool-calls tool=hand_off".to_owned(),
        21 => format!("no-done tokens={tokens}"),
        22 => format!("silent-in-middle after={after}"),
        _ => "status code=400".to_owned(),
    }
}

/// What the people do about it.
#[derive(Clone, Copy, Debug)]
enum People {
    Listen,
    Leave,
    Cancel,
    SayMore,
}

/// Asks for what comes in one piece, and waits for it, or leaves.
async fn ask_whole(desk: &Desk, user: &User, agent: &User, n: u64, scenario: String, people: People) {
    let ticket_id = ticket(desk, user, n, &scenario).await;
    let whole = WHOLES[usize::try_from(n).unwrap() % WHOLES.len()];
    let (mut replies, marker) = (desk.replies(), format!("[sim:{scenario}]"));
    let asking = whole.ask(&mut replies, agent, &ticket_id, "", &marker);
    let patience = match people {
        People::Listen | People::SayMore => PATIENCE,
        People::Leave | People::Cancel => Duration::from_millis(n % 40),
    };
    // How it ends is not the question here.
    let _ = tokio::time::timeout(patience, asking).await;
}

async fn ticket(desk: &Desk, user: &User, n: u64, scenario: &str) -> String {
    let new = CreateTicketRequest {
        title: format!("ticket-{n}-"),
        description: format!("[sim:{scenario}] Help."),
        ..Default::default()
    };
    let answer = desk.tickets().create_ticket(user.asks(new)).await.unwrap();
    answer.into_inner().ticket.unwrap().id
}

/// Asks for an answer or a draft, does what people do, and waits until nothing of it is under way.
async fn ask(desk: &Desk, user: &User, asker: &User, n: u64, scenario: String, people: People) {
    // Whoever would listen to what never ends stops it.
    let people = match people {
        People::Listen | People::Leave if scenario.starts_with("silent") => People::Cancel,
        people => people,
    };
    let ticket_id = ticket(desk, user, n, &scenario).await;
    let mut stream = desk.ask(asker, &ticket_id).await;
    let Some(Event::Started(started)) = stream.next().await else {
        panic!("it starts");
    };
    match people {
        People::Listen => {
            while let Some(event) = stream.next().await {
                if !matches!(event, Event::Delta(_)) {
                    return;
                }
            }
        }
        People::Leave => drop(stream),
        People::Cancel => {
            stream.next().await;
            let cancel = CancelReplyRequest {
                reply_id: started.reply_id,
                ..Default::default()
            };
            // It may have ended before.
            let _ = desk.replies().cancel_reply(asker.asks(cancel)).await;
        }
        People::SayMore => {
            stream.next().await;
            desk.say(user, &ticket_id, "[sim:ok tokens=5] And?").await;
            // A person may have the ticket by now.
            let request = deskhand_proto::replies::v1::StreamReplyRequest {
                ticket_id,
                ..Default::default()
            };
            if let Ok(newer) = desk.ask_as(asker, request).await {
                newer.whole().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_equal_to_the_provider_s_books() {
    let desk = Desk::busy(8_000).await;
    let users = [desk.customer().await, desk.customer().await, desk.customer().await];
    let agent = desk.agent().await;
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    println!("seed {seed}");
    let mut random = Numbers(seed);
    let asks: Vec<_> = (0..REPLIES)
        .map(|n| {
            let people = match random.below(10) {
                0..6 => People::Listen,
                6 => People::Leave,
                7 => People::Cancel,
                _ => People::SayMore,
            };
            (n, scenario(&mut random), people)
        })
        .collect();
    stream::iter(asks)
        .for_each_concurrent(AT_ONCE, async |(n, scenario, people)| {
            let user = &users[usize::try_from(n).unwrap() % users.len()];
            match n % 10 {
                // What comes in one piece is not waited for in vain.
                0..3 if !scenario.starts_with("silent") => ask_whole(&desk, user, &agent, n, scenario, people).await,
                3 => ask(&desk, user, &agent, n, scenario, people).await,
                _ => ask(&desk, user, user, n, scenario, people).await,
            }
        })
        .await;
    desk.until_count(
        "SELECT count(*) FROM replies WHERE state = 'RUNNING' OR reserved_tokens > 0",
        0,
    )
    .await;
    println!("{}", assert_books_agree(&desk, true).await);
}

/// Holds each upstream call against its row. Where processes were killed, `exactly` is false: there may be rows of calls that were
/// about to be made, but no call without a row.
pub(crate) async fn assert_books_agree(desk: &Desk, exactly: bool) -> String {
    let calls = desk.sim.control().calls();
    let requests = desk.sim.control().requests();
    let title = |body: &str| {
        let title = "Title: ";
        let from = body.find(title).expect("the ticket's title") + title.len();
        body[from..].split_inclusive('-').take(2).collect::<String>()
    };
    let titles: HashMap<u64, String> = requests.iter().map(|r| (r.id, title(&r.body.to_string()))).collect();
    let rows: Vec<(String, String, String, String, i64, i64, i64)> = sqlx::query_as(
        "SELECT coalesce(t.title, $1), coalesce(c.upstream_id, ''), c.usage_source, c.outcome, c.input_tokens, c.output_tokens,
                coalesce(c.cached_input_tokens, 0)
         FROM model_calls c JOIN replies r ON r.id = c.reply_id LEFT JOIN tickets t ON t.id = r.ticket_id",
    )
    .bind(NO_TITLE)
    .fetch_all(&desk.pool)
    .await
    .unwrap();
    let by_id: HashMap<&str, _> = rows
        .iter()
        .filter(|row| !row.1.is_empty())
        .map(|row| (row.1.as_str(), row))
        .collect();
    let (mut reported, mut estimated, mut by_title) = (0, 0, HashMap::<&str, (i64, i64, i64)>::new());
    for call in &calls {
        let billed = call.billed.as_ref();
        let (input, output) = billed.map_or((0, 0), |usage| (usage.prompt_tokens, usage.completion_tokens));
        let (input, output) = (i64::from(input), i64::from(output));
        let of_ticket = by_title.entry(titles[&call.id].as_str()).or_default();
        *of_ticket = (of_ticket.0 + 1, of_ticket.1 + input, of_ticket.2 + output);
        let Some((title, _, source, outcome, told_input, told_output, _)) = by_id.get(call.request_id.as_str()) else {
            continue;
        };
        assert_eq!(title, &titles[&call.id]);
        assert_ne!(outcome, "OPEN");
        if source == "REPORTED" {
            assert_eq!((*told_input, *told_output), (input, output), "{outcome} {call:?}");
            reported += 1;
        } else {
            assert!(
                *told_input >= input && *told_output >= output || outcome == "LOST",
                "{outcome} {call:?}"
            );
            estimated += 1;
        }
    }
    // Also of those of which we never learned the provider's name.
    let mut of_title = HashMap::<&str, (i64, i64)>::new();
    for row in &rows {
        let of_ticket = of_title.entry(row.0.as_str()).or_default();
        *of_ticket = (of_ticket.0 + 1, of_ticket.1 + row.4 + row.5);
    }
    for (title, (count, input, output)) in &by_title {
        let (rows, tokens) = of_title[title];
        assert!(
            rows >= *count && (!exactly || rows == *count),
            "{title}: {rows} rows of {count} calls"
        );
        assert!(tokens >= input + output, "{title}: {tokens} of {}", input + output);
    }
    if exactly {
        assert_eq!(rows.len(), calls.len());
    }
    let spent = desk
        .count("SELECT sum(input_tokens + output_tokens)::bigint FROM model_calls")
        .await;
    let desk_s = "SELECT sum(tokens)::bigint FROM budgets WHERE payer = '00000000-0000-0000-0000-000000000000'";
    assert_eq!(desk.count(desk_s).await, spent);
    let users_ = "SELECT sum(tokens)::bigint FROM budgets WHERE period = 'DAY' AND payer <> '00000000-0000-0000-0000-000000000000'";
    assert_eq!(desk.count(users_).await, spent);
    assert!(reported > calls.len() / 4);
    format!(
        "{} calls, {reported} reported, {estimated} by estimate with a name, {} rows",
        calls.len(),
        rows.len()
    )
}

//! The ledger and the budgets: in the books before a call, to the token after it, and never overspent.

use deskhand_proto::replies::v1::reply_event::Event;
use deskhand_proto::replies::v1::{
    CallOutcome, GetUsageRequest, GetUsageResponse, ReplyMode, StreamReplyRequest, UsageKey, UsageRow,
};
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::asks::{WHOLES, Whole};
use crate::harness::{Desk, PATIENCE, User, assert_refused, told};
use crate::process::Server;

/// What the budgets have for a payer and a period, the desk being nobody.
async fn used(desk: &Desk, payer: &str, period: &str) -> (i64, i64) {
    sqlx::query_as("SELECT coalesce(sum(asks), 0)::bigint, coalesce(sum(tokens), 0)::bigint FROM budgets WHERE payer = $1::uuid AND period = $2")
        .bind(payer)
        .bind(period)
        .fetch_one(&desk.pool)
        .await
        .unwrap()
}

const DESK: &str = "00000000-0000-0000-0000-000000000000";
const UNSETTLED: &str = "SELECT count(*) FROM replies WHERE reserved_tokens > 0";
const SPENT: &str = "SELECT coalesce(sum(input_tokens + output_tokens), 0)::bigint FROM model_calls";

async fn usage(desk: &Desk, admin: &User, request: GetUsageRequest) -> Result<GetUsageResponse, Status> {
    Ok(desk.replies().get_usage(admin.asks(request)).await?.into_inner())
}

#[tokio::test]
async fn a_call_is_in_the_books_before_it_is_made() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.say(&user, &ticket_id, "[sim:silent-before-headers] hello").await;
    let mut stream = desk.ask(&user, &ticket_id).await;
    assert!(matches!(stream.next().await, Some(Event::Started(_))));
    let control = desk.sim.control();
    control
        .wait_for_calls(PATIENCE, |calls| !calls.is_empty())
        .await
        .unwrap();
    // The provider has it, and has said nothing: the row is there, with no less than it can take.
    assert_eq!(
        desk.count("SELECT count(*) FROM model_calls WHERE outcome = 'OPEN'")
            .await,
        1
    );
    let reserved = desk.count(SPENT).await;
    for (payer, period) in [(user.id.as_str(), "HOUR"), (user.id.as_str(), "DAY"), (DESK, "DAY")] {
        assert_eq!(used(&desk, payer, period).await, (1, 48_000), "{period}");
    }
    // Its model is in the books soon after it was told of.
    desk.until_count(
        "SELECT count(*) FROM model_calls WHERE model = 'openai/gpt-oss-120b'",
        1,
    )
    .await;
    assert!(reserved >= desk.count(SPENT).await);
}

#[tokio::test]
async fn a_repeated_call_is_in_the_books_before_it_is_made_whatever_is_asked_for() {
    // No more at once than assistant-service may repeat from the start.
    let wholes = WHOLES.map(Some);
    futures_util::join!(all_are_in_the_books(&[None, None]), all_are_in_the_books(&wholes));
}

/// Kills what asks, in the middle of each one's second call. `None` is an answer.
async fn all_are_in_the_books(asks: &[Option<Whole>]) {
    let mut desk = Desk::busy(100).await;
    let (owner, agent) = (desk.customer().await, desk.agent().await);
    // Nobody takes over what is killed, for now.
    desk.stop().await;
    let mut server = Server::busy_replica_of(&desk).await;
    desk.channel = server.channel().await;
    let control = desk.sim.control();
    let mut asking = JoinSet::new();
    for (n, whole) in asks.iter().copied().enumerate() {
        let ticket_id = desk.ticket(&owner).await;
        control.next(1, "status code=503".parse().unwrap());
        control.next(1, "silent-before-headers".parse().unwrap());
        let mut replies = desk.replies();
        let asker = if (n, whole) == (0, None) {
            owner.clone()
        } else {
            agent.clone()
        };
        asking.spawn(async move {
            let Some(whole) = whole else {
                let request = StreamReplyRequest {
                    ticket_id,
                    ..Default::default()
                };
                let mut stream = replies.stream_reply(asker.asks(request)).await.unwrap().into_inner();
                while let Ok(Some(_)) = stream.message().await {}
                return;
            };
            let _ = whole.ask(&mut replies, &asker, &ticket_id, "", "").await;
        });
        let made = 2 * (n + 1);
        control
            .wait_for_calls(PATIENCE, |calls| calls.len() >= made)
            .await
            .unwrap_or_else(|| panic!("{whole:?}: {:?}", control.calls()));
        assert_eq!(control.calls().len(), made);
        // The provider has the second call, and has said nothing: its row is there, and so is the first one's end.
        let rows = "SELECT count(*) FROM model_calls";
        assert_eq!(desk.count(rows).await, i64::try_from(made).unwrap(), "{whole:?}");
        let open = "SELECT count(*) FROM model_calls WHERE outcome = 'OPEN' AND call_no = 2";
        assert_eq!(desk.count(open).await, i64::try_from(n + 1).unwrap(), "{whole:?}");
        let ended = "SELECT count(*) FROM model_calls WHERE outcome = 'FAILED' AND call_no = 1 AND input_tokens + output_tokens = 0";
        assert_eq!(desk.count(ended).await, i64::try_from(n + 1).unwrap(), "{whole:?}");
    }
    server.kill();
    while asking.join_next().await.is_some() {}
    desk.start(&["--user-tokens-per-day", "0", "--desk-tokens-per-day", "0"])
        .await;
    desk.until_count(
        "SELECT count(*) FROM replies WHERE state = 'RUNNING' OR reserved_tokens > 0",
        0,
    )
    .await;
    // Each took all that was left to it, for all that is known.
    let lost = "SELECT count(*) FROM model_calls WHERE outcome = 'LOST' AND call_no = 2 AND attempt = 1 AND input_tokens + output_tokens = 48000";
    assert_eq!(desk.count(lost).await, i64::try_from(asks.len()).unwrap());
    let made = desk.sim.control().calls().len();
    let begun_again = asks.iter().filter(|whole| **whole != Some(Whole::Rewrite)).count();
    assert_eq!(made, 2 * asks.len() + begun_again, "what is of a ticket is begun again");
    let made = i64::try_from(made).unwrap();
    assert_eq!(desk.count("SELECT count(*) FROM model_calls").await, made);
}

#[tokio::test]
async fn a_call_that_was_entered_and_never_made_is_struck_out() {
    let desk = Desk::busy(100).await;
    let (owner, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = desk.ticket(&owner).await;
    // Both models are gone: the first call says so of one, the second of the other; and then there is none to ask.
    desk.sim.control().set_scenario("status code=404".parse().unwrap());
    for whole in WHOLES {
        let asked = whole.ask(&mut desk.replies(), &agent, &ticket_id, "", "").await;
        assert!(asked.is_err());
    }
    desk.until_count("SELECT count(*) FROM replies WHERE reserved_tokens > 0", 0)
        .await;
    let made = i64::try_from(desk.sim.control().calls().len()).unwrap();
    assert!(made >= 2);
    assert_eq!(desk.count("SELECT count(*) FROM model_calls").await, made);
    assert_eq!(desk.count(SPENT).await, 0);
}

#[tokio::test]
async fn what_was_reserved_is_settled_to_the_token() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.ask(&user, &ticket_id).await.whole().await;
    let books = desk.sim.control().books().total;
    let billed = i64::try_from(books.prompt_tokens + books.completion_tokens).unwrap();
    assert_eq!(desk.count(SPENT).await, billed);
    for (payer, period) in [(user.id.as_str(), "HOUR"), (user.id.as_str(), "DAY"), (DESK, "DAY")] {
        assert_eq!(used(&desk, payer, period).await, (1, billed), "{period}");
    }
}

#[tokio::test]
async fn an_ask_that_never_left_costs_nothing() {
    // Nobody listens there.
    let desk = Desk::with(&["--assistant-url", "http://127.0.0.1:1"]).await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let whole = desk.ask(&user, &ticket_id).await.whole().await;
    assert!(
        matches!(&whole.end, Event::Failed(failed) if failed.reason().as_str_name().ends_with("UPSTREAM_UNAVAILABLE"))
    );
    assert_eq!(desk.count("SELECT count(*) FROM model_calls").await, 0);
    for (payer, period) in [(user.id.as_str(), "HOUR"), (user.id.as_str(), "DAY"), (DESK, "DAY")] {
        assert_eq!(used(&desk, payer, period).await, (0, 0), "{period}");
    }
}

#[tokio::test]
async fn a_hundred_asks_at_once_cannot_overspend() {
    for (flags, allowed) in [
        (["--customer-asks-per-hour", "7", "--tokens-per-ask", "30000"], 7),
        (["--user-tokens-per-day", "160000", "--tokens-per-ask", "30000"], 5),
        (["--desk-tokens-per-day", "100000", "--tokens-per-ask", "30000"], 3),
    ] {
        let desk = Desk::with(&flags).await;
        let user = desk.customer().await;
        let mut tickets = Vec::new();
        for _ in 0..100 {
            let ticket_id = desk.ticket(&user).await;
            desk.say(&user, &ticket_id, "[sim:silent-before-headers] hello").await;
            tickets.push(ticket_id);
        }
        let asks = tickets.iter().map(|ticket_id| {
            let request = StreamReplyRequest {
                ticket_id: ticket_id.clone(),
                ..Default::default()
            };
            desk.ask_as(&user, request)
        });
        let answers = futures_util::future::join_all(asks).await;
        let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
        assert_eq!(answers.len() - refused.len(), allowed, "{flags:?}");
        for status in refused {
            assert_eq!(
                told(status),
                (Code::ResourceExhausted, "BUDGET_USED_UP".to_owned(), vec![])
            );
            let wait = status.get_error_details().retry_info().unwrap().retry_delay.unwrap();
            let longest = if flags[0].contains("hour") { 3_600 } else { 86_400 };
            assert!(wait.as_secs() > 0 && wait.as_secs() <= longest, "{wait:?}");
        }
        let begun = i64::try_from(allowed).unwrap();
        assert_eq!(desk.count("SELECT count(*) FROM replies").await, begun);
        assert_eq!(
            used(&desk, &user.id, "HOUR").await.0,
            begun,
            "a refused one leaves no trace"
        );
        // To ask again for what runs is no ask.
        let running: String = sqlx::query_scalar("SELECT ticket_id::text FROM replies LIMIT 1")
            .fetch_one(&desk.pool)
            .await
            .unwrap();
        let mut again = desk.ask(&user, &running).await;
        assert!(matches!(again.next().await, Some(Event::Started(_))));
    }
}

#[tokio::test]
async fn a_budget_that_was_not_spent_is_there_again() {
    let desk = Desk::with(&["--user-tokens-per-day", "60000", "--tokens-per-ask", "50000"]).await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    for n in 0..5 {
        desk.say(&user, &ticket_id, &format!("question {n}")).await;
        let whole = desk.ask(&user, &ticket_id).await.whole().await;
        assert!(matches!(whole.end, Event::Completed(_)), "{n}: {:?}", whole.end);
    }
}

#[tokio::test]
async fn a_dead_run_is_settled_on_the_safe_side_by_whoever_takes_over() {
    let mut desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.ask(&user, &ticket_id).await.whole().await;
    let spent = desk.count(SPENT).await;
    desk.stop().await;
    // As three killed processes leave them: one in the middle, one that was superseded since, one of a text written anew.
    let killed = "INSERT INTO tickets (id, requester_id, title, description, priority, category)
            SELECT gen_random_uuid(), requester_id, title, description, priority, category FROM tickets, generate_series(1, 2);
        INSERT INTO replies (id, ticket_id, requested_by, mode, answers_seq, owner, lease_until, reserved_tokens, state, end_time)
            SELECT gen_random_uuid(), t.id, requester_id, 'POST', 1, gen_random_uuid(), now() - interval '1 second', 48000,
                   CASE n WHEN 1 THEN 'RUNNING' ELSE 'SUPERSEDED' END, CASE n WHEN 1 THEN NULL ELSE now() END
            FROM (SELECT *, row_number() OVER () AS n FROM tickets WHERE id NOT IN (SELECT ticket_id FROM replies)) t;
        INSERT INTO replies (id, requested_by, mode, answers_seq, owner, lease_until, reserved_tokens)
            SELECT gen_random_uuid(), requester_id, 'REWRITE', 0, gen_random_uuid(), now() - interval '1 second', 48000 FROM tickets LIMIT 1;
        INSERT INTO model_calls (reply_id, attempt, call_no, model, prompt_id, prompt_version, outcome, usage_source, input_tokens, output_tokens)
            SELECT id, 1, 1, 'm', 'p', 'v', 'OPEN', 'ESTIMATED', 5000, 1000 FROM replies WHERE reserved_tokens > 0;
        UPDATE budgets SET tokens = tokens + 3 * 48000";
    sqlx::raw_sql(killed).execute(&desk.pool).await.unwrap();
    desk.start(&[]).await;
    desk.until_count(
        "SELECT count(*) FROM replies WHERE state = 'RUNNING' OR reserved_tokens > 0",
        0,
    )
    .await;
    assert_eq!(
        desk.count("SELECT count(*) FROM model_calls WHERE outcome = 'LOST'")
            .await,
        3
    );
    assert_eq!(
        desk.count("SELECT count(*) FROM replies WHERE state = 'FAILED' AND mode = 'REWRITE'")
            .await,
        1
    );
    let lost = "SELECT sum(input_tokens + output_tokens)::bigint FROM model_calls WHERE outcome = 'LOST'";
    assert_eq!(
        desk.count(lost).await,
        3 * 48_000,
        "they may have taken all that they could"
    );
    assert!(
        desk.count(SPENT).await > spent + 3 * 48_000,
        "and the one that was taken over took some more"
    );
    assert_eq!(used(&desk, DESK, "DAY").await.1, desk.count(SPENT).await);
}

#[tokio::test]
async fn without_budget_a_dead_run_is_not_begun_again() {
    let mut desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    let whole = desk.ask(&user, &ticket_id).await.whole().await;
    desk.stop().await;
    let killed = "DELETE FROM ticket_events WHERE reply_id IS NOT NULL; DELETE FROM messages;
        UPDATE replies SET state = 'RUNNING', end_time = NULL, reserved_tokens = 48000, lease_until = now() - interval '1 second';
        UPDATE budgets SET tokens = tokens + 48000";
    sqlx::raw_sql(killed).execute(&desk.pool).await.unwrap();
    desk.start(&["--user-tokens-per-day", "48000"]).await;
    desk.until_count(
        "SELECT count(*) FROM replies WHERE failure_reason = 'BUDGET_USED_UP'",
        1,
    )
    .await;
    assert_eq!(desk.count(UNSETTLED).await, 0);
    assert_eq!(desk.sim.control().calls().len(), 1, "no other call was made");
    drop(whole);
}

#[tokio::test]
async fn usage_is_told_by_what_one_asks_for() {
    let desk = Desk::asking_once().await;
    let (ann, bob, agent, admin) = (
        desk.customer().await,
        desk.customer().await,
        desk.agent().await,
        desk.admin().await,
    );
    for (user, body) in [
        (&ann, "one"),
        (&bob, "[sim:cut after=3] two"),
        (&bob, "[sim:status code=500] three"),
    ] {
        let ticket_id = desk.ticket(user).await;
        desk.say(user, &ticket_id, body).await;
        desk.ask(user, &ticket_id).await.whole().await;
        if body == "one" {
            desk.ask(&agent, &ticket_id).await.whole().await;
        }
    }
    let all = usage(&desk, &admin, GetUsageRequest::default()).await.unwrap();
    assert_eq!(all.rows.len(), 1);
    assert_eq!((all.rows[0].calls, all.rows[0].estimated_calls), (4, 1));
    assert!(all.rows[0].cost_micro_usd > 0);

    let by = async |keys: &[UsageKey]| {
        let request = GetUsageRequest {
            group_by: keys.iter().map(|key| i32::from(*key)).collect(),
            ..Default::default()
        };
        usage(&desk, &admin, request).await.unwrap().rows
    };
    let by_user = by(&[UsageKey::User]).await;
    assert_eq!(by_user.len(), 3);
    assert_eq!(by_user.iter().find(|row| row.user_id == bob.id).unwrap().calls, 2);
    let outcomes = by(&[UsageKey::Outcome, UsageKey::Mode]).await;
    let find = |outcome: CallOutcome, mode: ReplyMode| {
        let row = outcomes
            .iter()
            .find(|row| row.outcome() == outcome && row.mode() == mode);
        row.map_or(0, |row| row.calls)
    };
    assert_eq!(find(CallOutcome::Completed, ReplyMode::Post), 1);
    assert_eq!(find(CallOutcome::Completed, ReplyMode::Draft), 1);
    assert_eq!(find(CallOutcome::Failed, ReplyMode::Post), 2);
    let days = by(&[UsageKey::Day, UsageKey::Model]).await;
    assert_eq!((days.len(), days[0].model.as_str()), (1, "openai/gpt-oss-120b"));
    type Sum = fn(&UsageRow) -> i64;
    let sums: [Sum; 4] = [
        |row| row.input_tokens,
        |row| row.output_tokens,
        |row| row.cost_micro_usd,
        |row| row.calls,
    ];
    for sum in sums {
        for rows in [&by_user, &outcomes, &days] {
            assert_eq!(rows.iter().map(sum).sum::<i64>(), sum(&all.rows[0]));
        }
    }

    // Page by page it is the same.
    let mut pages = Vec::new();
    let mut token = String::new();
    loop {
        let request = GetUsageRequest {
            group_by: vec![UsageKey::User.into()],
            page_size: 2,
            page_token: token,
            ..Default::default()
        };
        let page = usage(&desk, &admin, request).await.unwrap();
        pages.extend(page.rows);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, by_user);

    let yesterday = GetUsageRequest {
        last_day: "2026-01-01".into(),
        ..Default::default()
    };
    assert_eq!(usage(&desk, &admin, yesterday).await.unwrap().rows, []);
    let bad = GetUsageRequest {
        first_day: "today".into(),
        group_by: vec![99],
        page_size: -1,
        ..Default::default()
    };
    let refused = usage(&desk, &admin, bad).await;
    assert_refused(
        refused,
        Code::InvalidArgument,
        "INVALID_FIELDS",
        &["first_day", "group_by", "page_size"],
    );
}

//! What PostgreSQL does for each kind of list, in a large table: the service's own statements under EXPLAIN ANALYZE.

use clap::Parser as _;
use deskhand_proto::tickets::v1::{ListTicketsRequest, TicketCategory, TicketOrder, TicketPriority, TicketStatus};
use local_postgres::Cluster;
use prost_types::Timestamp;
use serde_json::Value;
use sqlx::{PgPool, QueryBuilder};
use uuid::Uuid;

use super::lists;
use crate::settings::Program;
use crate::tickets::filter::Filter;

/// Of 200,000 tickets, no step of a plan may touch more rows, or entries of an index, than this, those included that it
/// throws away. The most that is right: a page of 21, of which one ticket in 200 is, takes a walk of some 4,200 on average.
const MOST_ROWS: f64 = 10_000.0;

/// 200,000 tickets, one a minute: nearly all old ones closed; priorities, categories and requesters uneven; a third
/// with the tag `bug`, 20 with `rare`; `common` in all of them, `rareish` in 1 of 1000, `needle` in 10.
const FILL: &str = "
SET synchronous_commit = off;
ALTER INDEX ticket_search_public SET (gin_pending_list_limit = 100000);
ALTER INDEX ticket_search_everything SET (gin_pending_list_limit = 100000);
INSERT INTO users (id, email, display_name, password_hash, role)
SELECT n::text::uuid, n || '@example.com', 'U', 'x', CASE WHEN n >= '00000000-0000-0000-0000-000000002000' THEN 'AGENT' ELSE 'CUSTOMER' END
FROM (SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid AS n FROM generate_series(1, 2050) n) users;
SELECT setseed(0.5);
INSERT INTO tickets (id, requester_id, title, description, status, priority, category, tags, assignee_id, create_time,
                     update_time)
SELECT (lpad(to_hex((extract(epoch FROM opened) * 1000)::bigint), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid,
       ('00000000-0000-0000-0000-' || lpad(((power(by_whom, 3) * 1998)::int + 1)::text, 12, '0'))::uuid,
       'Ticket ' || n,
       'common ' || CASE WHEN n % 1000 = 7 THEN 'rareish ' ELSE '' END || CASE WHEN n % 20000 = 9 THEN 'needle ' ELSE '' END
           || md5(n::text) || ' ' || md5((n + 1)::text),
       CASE WHEN n < 195000 AND s < 0.95 THEN 'CLOSED' WHEN s < 0.96 THEN 'RESOLVED' WHEN s < 0.98 THEN 'OPEN'
            WHEN s < 0.999 THEN 'WAITING_ON_CUSTOMER' ELSE 'IN_PROGRESS' END,
       CASE WHEN p < 0.9 THEN 'NORMAL' WHEN p < 0.95 THEN 'LOW' WHEN p < 0.995 THEN 'HIGH' ELSE 'URGENT' END,
       CASE WHEN c < 0.6 THEN 'GENERAL' WHEN c < 0.9 THEN 'TECHNICAL' WHEN c < 0.999 THEN 'BILLING' ELSE 'ACCOUNT' END,
       CASE WHEN n % 3 = 0 THEN '{bug,printer}' WHEN n % 10000 = 1 THEN '{rare}' ELSE '{}' END::text[],
       CASE WHEN a < 0.4 THEN ('00000000-0000-0000-0000-' || lpad((2001 + (a * 100)::int)::text, 12, '0'))::uuid END,
       opened, opened + p * interval '4 days'
FROM (SELECT n, random() AS s, random() AS p, random() AS c, random() AS a, random() AS by_whom,
             now() - (200001 - n) * interval '1 minute' AS opened
      FROM generate_series(1, 200000) n) AS random;
INSERT INTO messages (id, ticket_id, seq, author_id, author_kind, visibility, body)
SELECT gen_random_uuid(), id, 2, '00000000-0000-0000-0000-000000002001', 'AGENT',
       CASE WHEN number % 2 = 0 THEN 'PUBLIC' ELSE 'INTERNAL' END, 'asked for ' || md5(number::text)
FROM tickets WHERE number % 50 = 0 OR number % 51 = 0;
INSERT INTO ticket_search
SELECT t.id, words || CASE WHEN m.visibility = 'PUBLIC' THEN to_tsvector('simple', body) ELSE '' END,
       words || coalesce(to_tsvector('simple', body), '')
FROM (SELECT id, setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', description), 'B') AS words
      FROM tickets) t
LEFT JOIN messages m ON m.ticket_id = t.id;
ALTER INDEX ticket_search_public SET (gin_pending_list_limit = 256);
ALTER INDEX ticket_search_everything SET (gin_pending_list_limit = 256);
VACUUM ANALYZE";

async fn filled() -> (Cluster, PgPool) {
    let cluster = local_postgres::throwaway().unwrap();
    cluster.create_database("desk").unwrap();
    let url = cluster.url("desk");
    let program = Program::try_parse_from(["ticket-service", "--database-url", &url]).unwrap();
    crate::db::migrate(&program.serve.database).await.unwrap();
    let pool = PgPool::connect(&url).await.unwrap();
    // One by one: VACUUM takes no transaction.
    let mut connection = pool.acquire().await.unwrap();
    for statement in FILL.split(";\n") {
        sqlx::raw_sql(statement).execute(&mut *connection).await.unwrap();
    }
    drop(connection);
    (cluster, pool)
}

fn user(n: u32) -> Uuid {
    format!("00000000-0000-0000-0000-{n:012}").parse().unwrap()
}

/// Each kind of list, by a name.
fn kinds() -> Vec<(&'static str, ListTicketsRequest)> {
    let any = ListTicketsRequest::default;
    let statuses = |statuses: &[TicketStatus]| statuses.iter().map(|&status| status.into()).collect::<Vec<i32>>();
    let open = || statuses(&[TicketStatus::Open]);
    let live = || {
        statuses(&[
            TicketStatus::Open,
            TicketStatus::InProgress,
            TicketStatus::WaitingOnCustomer,
        ])
    };
    let days_ago = |days: i64| {
        let seconds = time::OffsetDateTime::now_utc().unix_timestamp() - days * 86400;
        Some(Timestamp { seconds, nanos: 0 })
    };
    vec![
        ("all", any()),
        (
            "open",
            ListTicketsRequest {
                statuses: open(),
                ..any()
            },
        ),
        (
            "closed",
            ListTicketsRequest {
                statuses: statuses(&[TicketStatus::Closed]),
                ..any()
            },
        ),
        (
            "in progress",
            ListTicketsRequest {
                statuses: statuses(&[TicketStatus::InProgress]),
                ..any()
            },
        ),
        (
            "live",
            ListTicketsRequest {
                statuses: live(),
                ..any()
            },
        ),
        (
            "urgent",
            ListTicketsRequest {
                priorities: vec![TicketPriority::Urgent.into()],
                ..any()
            },
        ),
        (
            "normal or low",
            ListTicketsRequest {
                priorities: vec![TicketPriority::Normal.into(), TicketPriority::Low.into()],
                ..any()
            },
        ),
        (
            "live and urgent",
            ListTicketsRequest {
                statuses: live(),
                priorities: vec![TicketPriority::Urgent.into()],
                ..any()
            },
        ),
        (
            "a common category",
            ListTicketsRequest {
                categories: vec![TicketCategory::Technical.into()],
                ..any()
            },
        ),
        (
            "a rare category",
            ListTicketsRequest {
                categories: vec![TicketCategory::Account.into()],
                ..any()
            },
        ),
        (
            "two categories",
            ListTicketsRequest {
                categories: vec![TicketCategory::Account.into(), TicketCategory::General.into()],
                ..any()
            },
        ),
        (
            "live of a category",
            ListTicketsRequest {
                statuses: live(),
                categories: vec![TicketCategory::Billing.into()],
                ..any()
            },
        ),
        (
            "a common tag",
            ListTicketsRequest {
                tag: "bug".into(),
                ..any()
            },
        ),
        (
            "a rare tag",
            ListTicketsRequest {
                tag: "rare".into(),
                ..any()
            },
        ),
        (
            "no such tag",
            ListTicketsRequest {
                tag: "none".into(),
                ..any()
            },
        ),
        (
            "open with a tag",
            ListTicketsRequest {
                tag: "bug".into(),
                statuses: open(),
                ..any()
            },
        ),
        (
            "an agent's",
            ListTicketsRequest {
                assignee_id: user(2010).to_string(),
                ..any()
            },
        ),
        (
            "an agent's live ones",
            ListTicketsRequest {
                assignee_id: user(2010).to_string(),
                statuses: live(),
                ..any()
            },
        ),
        (
            "nobody's",
            ListTicketsRequest {
                assignee_id: "none".into(),
                ..any()
            },
        ),
        (
            "nobody's open ones",
            ListTicketsRequest {
                assignee_id: "none".into(),
                statuses: open(),
                ..any()
            },
        ),
        (
            "a requester's",
            ListTicketsRequest {
                requester_id: user(700).to_string(),
                ..any()
            },
        ),
        (
            "a requester's open ones",
            ListTicketsRequest {
                requester_id: user(700).to_string(),
                statuses: open(),
                ..any()
            },
        ),
        (
            "since a time",
            ListTicketsRequest {
                created_from: days_ago(2),
                ..any()
            },
        ),
        (
            "an old day",
            ListTicketsRequest {
                created_from: days_ago(101),
                created_before: days_ago(100),
                ..any()
            },
        ),
        (
            "an old hour, closed",
            ListTicketsRequest {
                created_from: days_ago(101),
                created_before: days_ago(100),
                statuses: statuses(&[TicketStatus::Closed]),
                ..any()
            },
        ),
        (
            "a common word",
            ListTicketsRequest {
                query: "common".into(),
                ..any()
            },
        ),
        (
            "a rare word",
            ListTicketsRequest {
                query: "needle".into(),
                ..any()
            },
        ),
        (
            "no such word",
            ListTicketsRequest {
                query: "nowhere".into(),
                ..any()
            },
        ),
        (
            "a common and a rare word",
            ListTicketsRequest {
                query: "common needle".into(),
                ..any()
            },
        ),
        (
            "open with a common word",
            ListTicketsRequest {
                query: "common".into(),
                statuses: open(),
                ..any()
            },
        ),
        (
            "open with a rare word",
            ListTicketsRequest {
                query: "needle".into(),
                statuses: open(),
                ..any()
            },
        ),
        (
            "a tag and a word",
            ListTicketsRequest {
                query: "common".into(),
                tag: "rare".into(),
                ..any()
            },
        ),
    ]
}

/// What a plan does.
struct Plan {
    /// The most rows that a step touched, and which step.
    most: (f64, String),
    faults: Vec<String>,
}

fn look(node: &Value, plan: &mut Plan) {
    let number = |key: &str| node[key].as_f64().unwrap_or(0.0);
    let rows = number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    let rows = rows * number("Actual Loops");
    let step = format!("{} {} {}", node["Node Type"], node["Relation Name"], node["Index Name"]);
    let own = ["tickets", "messages", "ticket_search"]
        .iter()
        .any(|table| node["Relation Name"] == *table);
    if own && node["Node Type"].as_str().is_some_and(|step| step.contains("Seq Scan")) {
        plan.faults.push(step.clone());
    }
    if rows > MOST_ROWS {
        plan.faults.push(format!("{rows} rows in {step}"));
    }
    if rows > plan.most.0 {
        plan.most = (rows, step);
    }
    for below in node["Plans"].as_array().into_iter().flatten() {
        look(below, plan);
    }
}

async fn plan(pool: &PgPool, sees_only: Option<Uuid>, filter: &Filter, after: Option<lists::Position>) -> (Plan, f64) {
    let mut sql = QueryBuilder::new("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ");
    let few = lists::CommonTags::default().few_fit(pool, filter).await.unwrap();
    lists::push(&mut sql, sees_only, filter, few, after, 21).unwrap();
    let told: Value = sql
        .build_query_scalar()
        .persistent(false)
        .fetch_one(pool)
        .await
        .unwrap();
    let mut plan = Plan {
        most: (0.0, String::new()),
        faults: Vec::new(),
    };
    look(&told[0]["Plan"], &mut plan);
    let millis = told[0]["Planning Time"].as_f64().unwrap() + told[0]["Execution Time"].as_f64().unwrap();
    (plan, millis)
}

#[tokio::test]
async fn no_list_costs_more_in_a_larger_table() {
    let (_cluster, pool) = filled().await;
    let mut faults = Vec::new();
    for (kind, asked) in kinds() {
        for order in [
            TicketOrder::Newest,
            TicketOrder::OldestUpdate,
            TicketOrder::Priority,
            TicketOrder::Relevance,
        ] {
            if order == TicketOrder::Relevance && asked.query.is_empty() {
                continue;
            }
            for (who, sees_only) in [("desk", None), ("customer", Some(user(700)))] {
                let filter = Filter::parse(&ListTicketsRequest {
                    order: order.into(),
                    ..asked.clone()
                })
                .unwrap();
                let mut after = None;
                for page in 1..=2 {
                    let (plan, millis) = plan(&pool, sees_only, &filter, after).await;
                    let name = format!("{kind}, {order:?}, {who}, page {page}");
                    println!("{name}: {millis:.1} ms, {} rows in {}", plan.most.0, plan.most.1);
                    faults.extend(plan.faults.into_iter().map(|fault| format!("{name}: {fault}")));
                    let few = lists::CommonTags::default().few_fit(&pool, &filter).await.unwrap();
                    let rows = lists::list(&pool, sees_only, &filter, few, after, 20).await.unwrap();
                    after = rows.last().map(|found| found.position);
                    if after.is_none() {
                        break;
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

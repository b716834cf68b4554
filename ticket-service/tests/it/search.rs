//! Full text search: what is found, by whom, and that no text is too much for it.

use deskhand_proto::tickets::v1::{
    CreateTicketRequest, ListTicketsRequest, MessageVisibility, PostMessageRequest, TicketOrder,
};
use tonic::Code;

use crate::harness::{Desk, User, assert_refused};

async fn open(desk: &Desk, user: &User, title: &str, description: &str) -> String {
    let new = CreateTicketRequest {
        title: title.into(),
        description: description.into(),
        ..Default::default()
    };
    let answer = desk.tickets().create_ticket(user.asks(new)).await.unwrap();
    answer.into_inner().ticket.unwrap().id
}

async fn note(desk: &Desk, agent: &User, ticket_id: &str, body: &str) {
    let new = PostMessageRequest {
        ticket_id: ticket_id.into(),
        body: body.into(),
        visibility: MessageVisibility::Internal.into(),
        ..Default::default()
    };
    desk.tickets().post_message(agent.asks(new)).await.unwrap();
}

async fn search(desk: &Desk, user: &User, query: &str, order: TicketOrder) -> Vec<String> {
    let request = ListTicketsRequest {
        query: query.into(),
        order: order.into(),
        ..Default::default()
    };
    let answer = desk.tickets().list_tickets(user.asks(request)).await.unwrap();
    answer
        .into_inner()
        .tickets
        .into_iter()
        .map(|ticket| ticket.id)
        .collect()
}

async fn finds(desk: &Desk, user: &User, query: &str) -> Vec<String> {
    search(desk, user, query, TicketOrder::Newest).await
}

#[tokio::test]
async fn words_of_title_description_and_messages_are_found_as_on_the_web() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let printer = open(&desk, &user, "The Printer is on fire", "Ünïcödé smoke everywhere").await;
    let invoice = open(&desk, &user, "Wrong invoice", "The printer was never ordered").await;
    desk.say(&user, &invoice, "Order number A-1234, see https://example.com/orders/7")
        .await;
    for (query, found) in [
        ("printer", vec![&invoice, &printer]),
        ("PRINTER fire", vec![&printer]),
        ("fire printer", vec![&printer]),
        ("ÜNÏCÖDÉ", vec![&printer]),
        ("\"printer is on fire\"", vec![&printer]),
        ("\"fire printer\"", vec![]),
        ("fire or invoice", vec![&invoice, &printer]),
        ("printer -fire", vec![&invoice]),
        ("a-1234", vec![&invoice]),
        ("invoice 1234", vec![]),
        ("nothing", vec![]),
        ("print", vec![]),
        ("'; DROP TABLE tickets; --", vec![]),
        ("printer & | ! ( ) <-> :* fire", vec![&printer]),
        ("\"printer", vec![&invoice, &printer]),
    ] {
        let found: Vec<_> = found.into_iter().cloned().collect();
        assert_eq!(finds(&desk, &user, query).await, found, "{query}");
    }
}

#[tokio::test]
async fn the_best_match_comes_first_by_relevance() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let title = open(&desk, &user, "Refund", "Please.").await;
    let description = open(&desk, &user, "Money", "I want a refund.").await;
    let message = open(&desk, &user, "Hello", "I have a question.").await;
    desk.say(&user, &message, "How does a refund work?").await;
    let other = open(&desk, &user, "Hello", "Again.").await;
    let found = search(&desk, &user, "refund", TicketOrder::Relevance).await;
    assert_eq!(found, [&*title, &*description, &*message]);
    assert!(!found.contains(&other));
}

#[tokio::test]
async fn internal_notes_are_searched_for_the_desk_alone_and_show_in_nothing_that_a_customer_gets() {
    let desk = Desk::open().await;
    let (user, agent) = (desk.customer().await, desk.agent().await);
    let first = open(&desk, &user, "One", "the same words").await;
    let second = open(&desk, &user, "Two", "the same words").await;
    let third = open(&desk, &user, "Three", "the same words").await;
    for _ in 0..5 {
        note(&desk, &agent, &first, "suspicious words, the same words, fraud").await;
    }

    assert_eq!(finds(&desk, &agent, "fraud").await, [&*first]);
    assert_eq!(finds(&desk, &agent, "same -fraud").await, [&*third, &*second]);
    assert_eq!(search(&desk, &agent, "words", TicketOrder::Relevance).await[0], first);
    // For the requester the three are alike: matches, counts, negations, ranks, and where pages end.
    for order in [
        TicketOrder::Newest,
        TicketOrder::Relevance,
        TicketOrder::OldestUpdate,
        TicketOrder::Priority,
    ] {
        assert!(search(&desk, &user, "fraud", order).await.is_empty());
        assert!(search(&desk, &user, "words suspicious", order).await.is_empty());
    }
    for query in ["words", "same -fraud", "words or fraud", "\"same words\""] {
        for order in [TicketOrder::Newest, TicketOrder::Relevance] {
            let found = search(&desk, &user, query, order).await;
            assert_eq!(found, [&*third, &*second, &*first], "{query}, {order:?}");
        }
    }
    let request = ListTicketsRequest {
        query: "words or fraud".into(),
        order: TicketOrder::Relevance.into(),
        page_size: 3,
        ..Default::default()
    };
    let page = desk
        .tickets()
        .list_tickets(user.asks(request))
        .await
        .unwrap()
        .into_inner();
    assert!(page.next_page_token.is_empty());
}

#[tokio::test]
async fn a_query_has_a_word_to_look_for_and_is_within_its_limits() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    for query in [
        " ",
        "-",
        "!!! ...",
        "\"\"",
        "-printer",
        "-printer -fire",
        "-\"on fire\"",
        "fire or -printer",
        "a\0b",
        "two\nlines",
        "a\u{202E}b",
        &"x".repeat(201),
        &"€".repeat(267),
        &"x".repeat(1 << 20),
        &"x ".repeat(21),
    ] {
        for order in [TicketOrder::Newest, TicketOrder::Relevance] {
            let request = ListTicketsRequest {
                query: query.into(),
                order: order.into(),
                ..Default::default()
            };
            let answer = desk.tickets().list_tickets(user.asks(request)).await;
            assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", &["query"]);
        }
    }
    for query in [
        "x ".repeat(20),
        "x".repeat(200),
        "fire -printer".into(),
        "t".into(),
        "T".into(),
    ] {
        assert!(finds(&desk, &user, &query).await.is_empty());
    }
}

#[tokio::test]
async fn no_text_is_too_much() {
    let desk = Desk::open().await;
    let (user, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = open(&desk, &user, "Long", "conversation").await;
    // Each some 10,000 characters of words that no other message has.
    let long = |n: i32| (0..1400).map(|at| format!("w{n}x{at}")).collect::<Vec<_>>().join(" ");
    for n in 0..40 {
        desk.say(&user, &ticket_id, &long(n).chars().take(10_000).collect::<String>())
            .await;
    }
    assert_eq!(finds(&desk, &user, "conversation w0x1").await, [&*ticket_id]);
    assert!(
        finds(&desk, &user, "w39x1").await.is_empty(),
        "there was no room for it"
    );
    // What fits still goes in.
    desk.say(&user, &ticket_id, "short").await;
    note(&desk, &agent, &ticket_id, "aside").await;
    assert_eq!(finds(&desk, &user, "short").await, [&*ticket_id]);
    assert_eq!(finds(&desk, &agent, "aside").await, [&*ticket_id]);
    let largest = "SELECT max(greatest(pg_column_size(public || ''), pg_column_size(everything || '')))::bigint FROM ticket_search";
    assert!(desk.count(largest).await <= 64 * 1024);

    // One that has all it may have in each field, in the costliest spelling.
    let wide: String = (0..5_000u32)
        .filter_map(|n| char::from_u32(0x4E00 + n))
        .flat_map(|c| [c, ' '])
        .take(5_400)
        .collect();
    let wide_id = open(&desk, &user, "Wide", &wide).await;
    desk.say(&user, &wide_id, &wide).await;
    desk.say(&user, &wide_id, &"x".repeat(10_000)).await;
    let largest_message = "INSERT INTO messages (id, ticket_id, seq, author_kind, visibility, body)
        SELECT gen_random_uuid(), id, 99, 'ASSISTANT', 'PUBLIC', (SELECT string_agg(md5(n::text), '-') FROM generate_series(1, 3000) n)
        FROM tickets RETURNING length(ticket_search_words(body))::bigint";
    assert!(desk.count(largest_message).await > 0);
    let rebuilt = "SELECT max(pg_column_size(ticket_search_of(id, true)))::bigint FROM tickets";
    assert!(desk.count(rebuilt).await <= 64 * 1024);
}

#[tokio::test]
async fn a_document_is_what_would_be_made_anew_and_is_made_where_none_was() {
    let desk = Desk::open().await;
    let (user, agent) = (desk.customer().await, desk.agent().await);
    let ticket_id = open(&desk, &user, "Title here", "Description there").await;
    desk.say(&user, &ticket_id, "one two three").await;
    note(&desk, &agent, &ticket_id, "two four").await;
    desk.say(&agent, &ticket_id, "five one").await;
    let alike = "SELECT count(*) FROM ticket_search
        WHERE public = ticket_search_of(ticket_id, false) AND everything = ticket_search_of(ticket_id, true)";
    assert_eq!(desk.count(alike).await, 1);

    // As a replica leaves it that is older than search.
    sqlx::query("DELETE FROM ticket_search")
        .execute(&desk.pool)
        .await
        .unwrap();
    assert!(finds(&desk, &user, "title").await.is_empty());
    desk.say(&user, &ticket_id, "six").await;
    assert_eq!(desk.count(alike).await, 1);
    assert_eq!(finds(&desk, &user, "title three six").await, [&*ticket_id]);
    assert!(finds(&desk, &user, "four").await.is_empty());
}

#[tokio::test]
async fn relevance_ranks_the_newest_500_and_its_pages_hold_while_tickets_come() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let first = open(&desk, &user, "word word word", "word").await;
    let many = "WITH made AS (
            INSERT INTO tickets (id, requester_id, title, description, priority, category)
            SELECT ('ffffffff-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, requester_id, 'word ' || n,
                   repeat('word ', n % 7) || n, 'NORMAL', 'GENERAL'
            FROM tickets, generate_series(1, 500) n RETURNING id)
        SELECT count(*) FROM made";
    assert_eq!(desk.count(many).await, 500);
    let documents =
        "INSERT INTO ticket_search SELECT id, ticket_search_of(id, false), ticket_search_of(id, true) FROM tickets
        ON CONFLICT DO NOTHING";
    sqlx::query(documents).execute(&desk.pool).await.unwrap();
    let expected: Vec<String> = sqlx::query_scalar(
        "SELECT ticket_id::text FROM ticket_search WHERE ticket_id::text LIKE 'ff%'
         ORDER BY ts_rank(public, 'word') DESC, ticket_id DESC",
    )
    .fetch_all(&desk.pool)
    .await
    .unwrap();
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListTicketsRequest {
            query: "word".into(),
            order: TicketOrder::Relevance.into(),
            page_size: 60,
            page_token,
            ..Default::default()
        };
        let page = desk
            .tickets()
            .list_tickets(user.asks(request))
            .await
            .unwrap()
            .into_inner();
        seen.extend(page.tickets.into_iter().map(|ticket| ticket.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        // Newer than all, and a better match than most.
        let newer = "WITH made AS (
                INSERT INTO tickets (id, requester_id, title, description, priority, category)
                SELECT ('ffffffff-ffff-7fff-8000-' || lpad(count(*)::text, 12, '0'))::uuid, min(requester_id::text)::uuid,
                       'word word', 'word', 'NORMAL', 'GENERAL' FROM tickets RETURNING id, title)
            INSERT INTO ticket_search SELECT id, to_tsvector('simple', title), to_tsvector('simple', title) FROM made";
        sqlx::query(newer).execute(&desk.pool).await.unwrap();
    }
    assert_eq!(seen, expected);
    assert!(!seen.contains(&first), "the oldest match is the 501st");
}

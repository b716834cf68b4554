//! Lists of tickets by any filter and in any order, against the same done naively here; and what a filter must be.

use std::collections::{HashMap, HashSet};

use deskhand_proto::tickets::v1::{
    CreateTicketRequest, ListTicketsRequest, ListTicketsResponse, MessageVisibility, PostMessageRequest, Ticket,
    TicketCategory, TicketOrder, TicketPriority, TicketStatus,
};
use prost_types::Timestamp;
use tonic::{Code, Status};

use crate::harness::{Desk, User, assert_refused};

const WORDS: [&str; 6] = ["printer", "invoice", "fire", "login", "refund", "slow"];
const TAGS: [&str; 3] = ["bug", "vip", "later"];
const ORDERS: [TicketOrder; 4] = [
    TicketOrder::Newest,
    TicketOrder::OldestUpdate,
    TicketOrder::Priority,
    TicketOrder::Relevance,
];

/// Numbers that look random, and are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Some of these numbers from 1 on, in no order, perhaps with repeats.
    fn some(&mut self, highest: usize) -> Vec<i32> {
        let count = 1 + self.below(highest);
        (0..count)
            .map(|_| i32::try_from(1 + self.below(highest)).unwrap())
            .collect()
    }

    fn sentence(&mut self) -> String {
        let count = 1 + self.below(4);
        let words: Vec<_> = (0..count).map(|_| *self.pick(&WORDS)).collect();
        words.join(" ")
    }
}

async fn list(desk: &Desk, user: &User, request: ListTicketsRequest) -> Result<ListTicketsResponse, Status> {
    Ok(desk.tickets().list_tickets(user.asks(request)).await?.into_inner())
}

/// All pages: the ids in order, and the token of the second page.
async fn walk(desk: &Desk, user: &User, request: &ListTicketsRequest) -> (Vec<String>, String) {
    let (mut seen, mut page_token, mut second) = (Vec::new(), String::new(), String::new());
    loop {
        let page = list(
            desk,
            user,
            ListTicketsRequest {
                page_token: page_token.clone(),
                ..request.clone()
            },
        )
        .await
        .unwrap();
        let size = usize::try_from(request.page_size).unwrap();
        assert!(
            page.tickets.len() == size || page.next_page_token.is_empty(),
            "pages are full but the last"
        );
        assert!(page.tickets.len() <= size && (page_token.is_empty() || !page.tickets.is_empty()));
        seen.extend(page.tickets.into_iter().map(|ticket| ticket.id));
        if page_token.is_empty() {
            second.clone_from(&page.next_page_token);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return (seen, second);
        }
    }
}

/// A ticket as this test knows it.
struct Known {
    ticket: Ticket,
    public: HashSet<String>,
    everything: HashSet<String>,
}

/// Tickets of two customers, with all that lists look at.
async fn random_tickets(desk: &Desk, dice: &mut Dice, customers: &[User], agent: &User, count: usize) {
    for _ in 0..count {
        let mut tags: Vec<String> = TAGS.iter().map(|tag| (*tag).to_owned()).collect();
        tags.retain(|_| dice.one_in(3));
        let new = CreateTicketRequest {
            title: dice.sentence(),
            description: dice.sentence(),
            category: i32::try_from(1 + dice.below(4)).unwrap(),
            tags,
            ..Default::default()
        };
        let customer = dice.pick(customers);
        let answer = desk.tickets().create_ticket(customer.asks(new)).await.unwrap();
        let ticket_id = answer.into_inner().ticket.unwrap().id;
        for _ in 0..dice.below(3) {
            let visibility = if dice.one_in(2) {
                MessageVisibility::Internal
            } else {
                MessageVisibility::Public
            };
            let new = PostMessageRequest {
                ticket_id: ticket_id.clone(),
                body: dice.sentence(),
                visibility: visibility.into(),
                ..Default::default()
            };
            desk.tickets().post_message(agent.asks(new)).await.unwrap();
        }
        // Times of update meet often, so that ids have to decide.
        let change = sqlx::query(
            "UPDATE tickets SET status = $2, priority = $3, assignee_id = CASE WHEN $4 THEN $5::uuid END,
             update_time = create_time + $6 * interval '1 hour' - (extract(epoch FROM create_time) % 3600) * interval '1 second'
             WHERE id = $1::uuid",
        )
        .bind(&ticket_id)
        .bind(*dice.pick(&["OPEN", "IN_PROGRESS", "WAITING_ON_CUSTOMER", "RESOLVED", "CLOSED"]))
        .bind(*dice.pick(&["LOW", "NORMAL", "HIGH", "URGENT"]))
        .bind(dice.one_in(2))
        .bind(&agent.id)
        .bind(1 + i32::try_from(dice.below(5)).unwrap());
        change.execute(&desk.pool).await.unwrap();
    }
}

async fn known(desk: &Desk, agent: &User) -> Vec<Known> {
    let mut known = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListTicketsRequest {
            page_size: 100,
            page_token,
            ..Default::default()
        };
        let page = list(desk, agent, request).await.unwrap();
        for ticket in page.tickets {
            let said: Vec<(String, String)> =
                sqlx::query_as("SELECT body, visibility FROM messages WHERE ticket_id = $1::uuid")
                    .bind(&ticket.id)
                    .fetch_all(&desk.pool)
                    .await
                    .unwrap();
            let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let mut public: HashSet<_> = words(&ticket.title)
                .into_iter()
                .chain(words(&ticket.description))
                .collect();
            public.extend(
                said.iter()
                    .filter(|(_, who)| who == "PUBLIC")
                    .flat_map(|(body, _)| words(body)),
            );
            let everything = said
                .iter()
                .flat_map(|(body, _)| words(body))
                .chain(public.clone())
                .collect();
            known.push(Known {
                ticket,
                public,
                everything,
            });
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return known;
        }
    }
}

fn random_request(dice: &mut Dice, known: &[Known], customers: &[User], agent: &User) -> ListTicketsRequest {
    let mut request = ListTicketsRequest {
        page_size: *dice.pick(&[1, 2, 3, 7, 20, 100]),
        order: i32::try_from(dice.below(5)).unwrap(),
        ..Default::default()
    };
    if dice.one_in(3) {
        request.statuses = dice.some(5);
    }
    if dice.one_in(4) {
        request.priorities = dice.some(4);
    }
    if dice.one_in(4) {
        request.categories = dice.some(4);
    }
    if dice.one_in(4) {
        request.tag = dice.pick(&["bug", " VIP ", "later", "unused"]).to_string();
    }
    if dice.one_in(4) {
        request.assignee_id = if dice.one_in(2) {
            "none".into()
        } else {
            agent.id.clone()
        };
    }
    if dice.one_in(5) {
        request.requester_id = dice.pick(customers).id.clone();
    }
    let opened = |dice: &mut Dice| dice.pick(known).ticket.create_time;
    if dice.one_in(5) {
        request.created_from = opened(dice);
    }
    if dice.one_in(5) {
        request.created_before = opened(dice);
    }
    if let (Some(from), Some(before)) = (request.created_from, request.created_before)
        && moment(from) >= moment(before)
    {
        request.created_from = None;
    }
    if dice.one_in(3) || request.order() == TicketOrder::Relevance {
        let (first, second) = (*dice.pick(&WORDS), *dice.pick(&WORDS));
        let queries = [
            first.to_uppercase(),
            format!("{first} {second}"),
            format!("{first} or {second}"),
            format!("{first} -{second}"),
        ];
        request.query.clone_from(dice.pick(&queries));
    }
    request
}

fn moment(at: Timestamp) -> (i64, i32) {
    (at.seconds, at.nanos)
}

fn fits_query(query: &str, words: &HashSet<String>) -> bool {
    let query = query.to_lowercase();
    if let Some((first, second)) = query.split_once(" or ") {
        return words.contains(first) || words.contains(second);
    }
    query.split(' ').all(|word| match word.strip_prefix('-') {
        Some(unwanted) => !words.contains(unwanted),
        None => words.contains(word),
    })
}

fn fits(request: &ListTicketsRequest, known: &Known, customer: Option<&User>) -> bool {
    let ticket = &known.ticket;
    let any = |asked: &[i32], value: i32| asked.is_empty() || asked.contains(&value);
    let assignee = match request.assignee_id.as_str() {
        "" => true,
        "none" => ticket.assignee_id.is_empty(),
        agent => ticket.assignee_id == agent,
    };
    let words = if customer.is_some() {
        &known.public
    } else {
        &known.everything
    };
    let opened = moment(ticket.create_time.unwrap());
    customer.is_none_or(|customer| ticket.requester_id == customer.id)
        && any(&request.statuses, ticket.status)
        && any(&request.priorities, ticket.priority)
        && any(&request.categories, ticket.category)
        && (request.tag.is_empty() || ticket.tags.contains(&request.tag.trim().to_lowercase()))
        && assignee
        && (request.requester_id.is_empty() || ticket.requester_id == request.requester_id)
        && request.created_from.is_none_or(|from| opened >= moment(from))
        && request.created_before.is_none_or(|before| opened < moment(before))
        && (request.query.is_empty() || fits_query(&request.query, words))
}

/// How well each ticket fits a query, as PostgreSQL sees it.
async fn relevance(desk: &Desk, query: &str, customer: bool) -> HashMap<String, f32> {
    let of = "SELECT ticket_id::text, ts_rank(CASE WHEN $2 THEN public ELSE everything END, websearch_to_tsquery('simple', $1))
        FROM ticket_search";
    let ranks: Vec<(String, f32)> = sqlx::query_as(of)
        .bind(query)
        .bind(customer)
        .fetch_all(&desk.pool)
        .await
        .unwrap();
    ranks.into_iter().collect()
}

async fn naively(desk: &Desk, known: &[Known], request: &ListTicketsRequest, customer: Option<&User>) -> Vec<String> {
    let mut fitting: Vec<_> = known
        .iter()
        .filter(|known| fits(request, known, customer))
        .map(|known| &known.ticket)
        .collect();
    fitting.sort_by(|a, b| b.id.cmp(&a.id));
    match request.order() {
        TicketOrder::Unspecified | TicketOrder::Newest => {}
        TicketOrder::OldestUpdate => {
            fitting.sort_by_key(|ticket| (moment(ticket.update_time.unwrap()), ticket.id.clone()))
        }
        TicketOrder::Priority => fitting.sort_by_key(|ticket| -ticket.priority),
        TicketOrder::Relevance => {
            let ranks = relevance(desk, &request.query, customer.is_some()).await;
            fitting.sort_by(|a, b| ranks[&b.id].total_cmp(&ranks[&a.id]));
        }
    }
    fitting.into_iter().map(|ticket| ticket.id.clone()).collect()
}

#[tokio::test]
async fn every_list_is_what_filtering_and_sorting_all_tickets_would_give() {
    let desk = Desk::open().await;
    let customers = [desk.customer().await, desk.customer().await];
    let agent = desk.agent().await;
    let mut dice = Dice(20_261_122);
    random_tickets(&desk, &mut dice, &customers, &agent, 250).await;
    let known = known(&desk, &agent).await;
    assert_eq!(known.len(), 250);

    let (mut full, mut tokens) = (0, 0);
    for round in 0..150 {
        let request = random_request(&mut dice, &known, &customers, &agent);
        let other = random_request(&mut dice, &known, &customers, &agent);
        for (user, customer) in [(&agent, None), (&customers[0], Some(&customers[0]))] {
            let (seen, token) = walk(&desk, user, &request).await;
            assert_eq!(
                seen,
                naively(&desk, &known, &request, customer).await,
                "round {round}: {request:?}"
            );
            full += usize::from(!seen.is_empty());
            if token.is_empty() {
                continue;
            }
            // Good for this caller and this filter alone.
            tokens += 1;
            let next_order = ORDERS[usize::try_from(request.order).unwrap() % 3].into();
            let elsewhere = [
                (&customers[1], request.clone()),
                (
                    user,
                    ListTicketsRequest {
                        page_size: request.page_size,
                        ..other.clone()
                    },
                ),
                (
                    user,
                    ListTicketsRequest {
                        order: next_order,
                        ..request.clone()
                    },
                ),
                (
                    user,
                    ListTicketsRequest {
                        tag: "other".into(),
                        ..request.clone()
                    },
                ),
            ];
            for (user, elsewhere) in elsewhere {
                let same = ListTicketsRequest {
                    page_token: String::new(),
                    ..elsewhere.clone()
                } == request;
                if same && user.id != customers[1].id {
                    continue;
                }
                let answer = list(
                    &desk,
                    user,
                    ListTicketsRequest {
                        page_token: token.clone(),
                        ..elsewhere
                    },
                )
                .await;
                assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", &["page_token"]);
            }
            // Pages of another size may follow.
            let answer = list(
                &desk,
                user,
                ListTicketsRequest {
                    page_token: token,
                    page_size: 5,
                    ..request.clone()
                },
            )
            .await;
            assert!(!answer.unwrap().tickets.is_empty());
        }
    }
    assert!(
        full > 100 && tokens > 60,
        "{full} lists had tickets, {tokens} had a second page"
    );
}

#[tokio::test]
async fn a_customer_who_names_another_gets_nothing() {
    let desk = Desk::open().await;
    let (user, other, agent) = (desk.customer().await, desk.customer().await, desk.agent().await);
    let own = desk.ticket(&user).await;
    desk.ticket(&other).await;
    let of = |requester: &User, order: TicketOrder| ListTicketsRequest {
        requester_id: requester.id.clone(),
        order: order.into(),
        query: "printer".into(),
        ..Default::default()
    };
    for order in ORDERS {
        assert!(list(&desk, &user, of(&other, order)).await.unwrap().tickets.is_empty());
        for asking in [&user, &agent] {
            let page = list(&desk, asking, of(&user, order)).await.unwrap();
            assert_eq!(page.tickets.len(), 1);
            assert_eq!(page.tickets[0].id, own);
        }
    }
}

#[tokio::test]
async fn what_a_filter_must_be() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let at = |seconds, nanos| Some(Timestamp { seconds, nanos });
    let any = ListTicketsRequest::default;
    let cases: Vec<(ListTicketsRequest, &[&str])> = vec![
        (
            ListTicketsRequest {
                statuses: vec![1, 99],
                ..any()
            },
            &["statuses[1]"],
        ),
        (
            ListTicketsRequest {
                statuses: vec![0, 1, -1],
                ..any()
            },
            &["statuses[0]", "statuses[2]"],
        ),
        (
            ListTicketsRequest {
                statuses: vec![1; 6],
                ..any()
            },
            &["statuses"],
        ),
        (
            ListTicketsRequest {
                statuses: vec![0; 100_000],
                ..any()
            },
            &["statuses"],
        ),
        (
            ListTicketsRequest {
                priorities: vec![0],
                ..any()
            },
            &["priorities[0]"],
        ),
        (
            ListTicketsRequest {
                priorities: vec![i32::MAX],
                ..any()
            },
            &["priorities[0]"],
        ),
        (
            ListTicketsRequest {
                priorities: vec![1; 5],
                ..any()
            },
            &["priorities"],
        ),
        (
            ListTicketsRequest {
                categories: vec![1, 2, 0],
                ..any()
            },
            &["categories[2]"],
        ),
        (
            ListTicketsRequest {
                categories: vec![5],
                ..any()
            },
            &["categories[0]"],
        ),
        (
            ListTicketsRequest {
                categories: vec![1; 5],
                ..any()
            },
            &["categories"],
        ),
        (
            ListTicketsRequest {
                tag: " ".into(),
                ..any()
            },
            &["tag"],
        ),
        (
            ListTicketsRequest {
                tag: "x".repeat(41),
                ..any()
            },
            &["tag"],
        ),
        (
            ListTicketsRequest {
                tag: "x".repeat(1_000_000),
                ..any()
            },
            &["tag"],
        ),
        (
            ListTicketsRequest {
                tag: "a\0b".into(),
                ..any()
            },
            &["tag"],
        ),
        (
            ListTicketsRequest {
                tag: "a\nb".into(),
                ..any()
            },
            &["tag"],
        ),
        (
            ListTicketsRequest {
                assignee_id: "nobody".into(),
                ..any()
            },
            &["assignee_id"],
        ),
        (
            ListTicketsRequest {
                assignee_id: "NONE".into(),
                ..any()
            },
            &["assignee_id"],
        ),
        (
            ListTicketsRequest {
                assignee_id: "' OR 1=1--".into(),
                ..any()
            },
            &["assignee_id"],
        ),
        (
            ListTicketsRequest {
                requester_id: "1".into(),
                ..any()
            },
            &["requester_id"],
        ),
        (
            ListTicketsRequest {
                requester_id: user.id.replace('-', ""),
                ..any()
            },
            &["requester_id"],
        ),
        (
            ListTicketsRequest {
                requester_id: "none".into(),
                ..any()
            },
            &["requester_id"],
        ),
        (
            ListTicketsRequest {
                created_from: at(0, -1),
                ..any()
            },
            &["created_from"],
        ),
        (
            ListTicketsRequest {
                created_from: at(i64::MAX, 0),
                ..any()
            },
            &["created_from"],
        ),
        (
            ListTicketsRequest {
                created_before: at(0, 1_000_000_000),
                ..any()
            },
            &["created_before"],
        ),
        (
            ListTicketsRequest {
                created_before: at(-62_135_596_801, 0),
                ..any()
            },
            &["created_before"],
        ),
        (
            ListTicketsRequest {
                created_from: at(5, 1),
                created_before: at(5, 0),
                ..any()
            },
            &["created_before"],
        ),
        (
            ListTicketsRequest {
                created_from: at(5, 0),
                created_before: at(5, 0),
                ..any()
            },
            &["created_before"],
        ),
        (
            ListTicketsRequest {
                query: "x".repeat(201),
                ..any()
            },
            &["query"],
        ),
        (ListTicketsRequest { order: 5, ..any() }, &["order"]),
        (ListTicketsRequest { order: -1, ..any() }, &["order"]),
        (
            ListTicketsRequest {
                order: TicketOrder::Relevance.into(),
                ..any()
            },
            &["order"],
        ),
        (
            ListTicketsRequest {
                page_size: -1,
                statuses: vec![7],
                priorities: vec![7],
                categories: vec![7],
                tag: " ".into(),
                assignee_id: "x".into(),
                requester_id: "x".into(),
                created_from: at(0, -1),
                created_before: at(0, -1),
                query: " ".into(),
                order: 7,
                ..any()
            },
            &[
                "page_size",
                "statuses[0]",
                "priorities[0]",
                "categories[0]",
                "tag",
                "assignee_id",
                "requester_id",
                "created_from",
                "created_before",
                "query",
                "order",
            ],
        ),
    ];
    for (request, fields) in cases {
        assert_refused(
            list(&desk, &user, request).await,
            Code::InvalidArgument,
            "INVALID_FIELDS",
            fields,
        );
    }
    // The widest of all that is allowed.
    for order in ORDERS {
        let request = ListTicketsRequest {
            statuses: (1..=5).map(|n| TicketStatus::try_from(n).unwrap().into()).collect(),
            priorities: (1..=4).map(|n| TicketPriority::try_from(n).unwrap().into()).collect(),
            categories: (1..=4).map(|n| TicketCategory::try_from(n).unwrap().into()).collect(),
            created_from: at(-62_135_596_800, 0),
            created_before: at(253_402_300_799, 999_999_999),
            query: "printer".into(),
            order: order.into(),
            ..any()
        };
        let id = desk.ticket(&user).await;
        let page = list(&desk, &user, request.clone()).await.unwrap();
        assert!(page.tickets.iter().any(|ticket| ticket.id == id));
        let nobody = ListTicketsRequest {
            assignee_id: "none".into(),
            ..request
        };
        let page = list(&desk, &desk.agent().await, nobody).await.unwrap();
        assert!(page.tickets.iter().any(|ticket| ticket.id == id));
    }
}

#[tokio::test]
async fn times_bound_to_the_microsecond() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let id = desk.ticket(&user).await;
    let opened = list(&desk, &user, ListTicketsRequest::default()).await.unwrap().tickets[0]
        .create_time
        .unwrap();
    let later = |nanos: i64| {
        let all = opened.seconds * 1_000_000_000 + i64::from(opened.nanos) + nanos;
        Some(Timestamp {
            seconds: all.div_euclid(1_000_000_000),
            nanos: i32::try_from(all.rem_euclid(1_000_000_000)).unwrap(),
        })
    };
    for (from, before, there) in [
        (later(0), None, true),
        (later(1), None, false),
        (later(-1), later(0), false),
        (later(-1), later(1), true),
        (None, later(0), false),
        (None, later(1000), true),
    ] {
        let request = ListTicketsRequest {
            created_from: from,
            created_before: before,
            ..Default::default()
        };
        let ids: Vec<_> = list(&desk, &user, request)
            .await
            .unwrap()
            .tickets
            .into_iter()
            .map(|ticket| ticket.id)
            .collect();
        assert_eq!(
            ids,
            if there { vec![id.clone()] } else { vec![] },
            "{from:?} {before:?}"
        );
    }
}

#[tokio::test]
async fn an_admin_s_list_is_on_record_whatever_its_filter() {
    let desk = Desk::open().await;
    let (user, admin) = (desk.customer().await, desk.admin().await);
    desk.ticket(&user).await;
    for query in ["printer", "nowhere"] {
        let request = ListTicketsRequest {
            query: query.into(),
            ..Default::default()
        };
        list(&desk, &admin, request).await.unwrap();
    }
    let listed = "SELECT count(*) FROM audit_events WHERE action = 'ticket.listed_by_admin'";
    assert_eq!(desk.count(listed).await, 2);
    let told =
        "SELECT count(*) FROM audit_events WHERE action = 'ticket.listed_by_admin' AND details = '{\"count\": 1}'";
    assert_eq!(desk.count(told).await, 1);
}

//! Limits that are enforced.

use std::time::Duration;

use groq_sim::{Limits, Running, Settings};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::{LIMIT, MODEL, ask, contents, events, open, send, send_json, send_text, streamed, with};

const BIG: &str = "openai/gpt-oss-120b";

async fn limited(limits: Limits) -> Running {
    groq_sim::start(Settings {
        limits,
        ..Settings::instant()
    })
    .await
    .unwrap()
}

fn only(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits {
        requests_per_minute: 0,
        requests_per_day: 0,
        tokens_per_minute: 0,
        tokens_per_day: 0,
        enforce: true,
    };
    change(&mut limits);
    limits
}

/// A request for so many tokens of output at most, and exactly so many of answer.
fn sized(most: u64, answer: u64) -> Value {
    with(
        ask(&format!("[sim:ok reasoning=0 tokens={answer}]")),
        json!({"max_completion_tokens": most}),
    )
}

fn header(headers: &HeaderMap, name: &str) -> u64 {
    headers[format!("x-ratelimit-{name}")]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// A Go duration of seconds and milliseconds.
fn seconds(text: &str) -> f64 {
    match text.strip_suffix("ms") {
        Some(milliseconds) => milliseconds.parse::<f64>().unwrap() / 1000.0,
        None => {
            let (minutes, seconds) = text.split_once('m').unwrap_or(("0", text));
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.strip_suffix('s').unwrap().parse::<f64>().unwrap()
        }
    }
}

#[tokio::test]
async fn tokens_a_minute_are_counted_told_and_come_back() {
    let sim = limited(Limits::FREE).await;
    let (status, headers, body) = send_json(&sim, &sized(2000, 1500)).await;
    assert_eq!(status, 200);
    let used = body["usage"]["total_tokens"].as_u64().unwrap();
    assert!(used > 1500);
    assert_eq!(header(&headers, "limit-tokens"), 8000);
    assert_eq!(header(&headers, "limit-requests"), 1000);
    assert_eq!(header(&headers, "remaining-requests"), 999);
    assert_eq!(headers["x-ratelimit-reset-requests"], "1m26.4s");
    assert_eq!(header(&headers, "remaining-tokens"), 8000 - used);
    let reset = seconds(headers["x-ratelimit-reset-tokens"].to_str().unwrap());
    assert!((reset - used as f64 * 60.0 / 8000.0).abs() < 0.01, "{reset}");

    // What was reserved and not used is free again at the end.
    let held = sim.control().used(MODEL).unwrap();
    assert!(
        held.tokens_minute <= used && held.tokens_minute > used - 200,
        "{held:?}"
    );
    assert_eq!((held.requests_minute, held.requests_day), (1, 1));
    assert_eq!(
        sim.control().used(BIG).unwrap().tokens_minute,
        0,
        "each model has its own"
    );

    let big = sized(7500, 1);
    let (status, headers, body) = send_json(&sim, &big).await;
    assert_eq!(status, 429);
    let error = &body["error"];
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("tokens"), &json!("rate_limit_exceeded"))
    );
    let message = error["message"].as_str().unwrap();
    let (_, figures) = message
        .split_once("on tokens per minute (TPM): Limit 8000, Used ")
        .unwrap();
    let (used, rest) = figures.split_once(", Requested ").unwrap();
    let (requested, rest) = rest.split_once(". Please try again in ").unwrap();
    let again = rest.split_once(". Need more tokens?").unwrap().0;
    let excess = used.parse::<f64>().unwrap() + requested.parse::<f64>().unwrap() - 8000.0;
    assert!((seconds(again) - excess * 60.0 / 8000.0).abs() < 0.000_2, "{message}");
    let retry: f64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((retry - seconds(again)).abs() < 1e-9);
    assert_eq!(
        header(&headers, "remaining-tokens"),
        8000 - used.parse::<u64>().unwrap()
    );

    sim.control().advance(Duration::from_secs_f64(retry));
    assert_eq!(
        send(&sim, &big).await.status(),
        200,
        "as long as it said is long enough"
    );
}

#[tokio::test]
async fn a_request_larger_than_the_limit_is_413_however_long_one_waits() {
    let sim = limited(Limits::FREE).await;
    for _ in 0..2 {
        let (status, headers, body) = send_json(&sim, &sized(8000, 1)).await;
        assert_eq!(status, 413);
        let message = body["error"]["message"].as_str().unwrap();
        let start = "Request too large for model `openai/gpt-oss-20b` in organization `org_";
        assert!(message.starts_with(start), "{message}");
        assert!(
            message.contains("on tokens per minute (TPM): Limit 8000, Requested 80"),
            "{message}"
        );
        assert!(message.contains("please reduce your message size and try again"));
        assert_eq!(
            (&body["error"]["type"], &body["error"]["code"]),
            (&json!("tokens"), &json!("rate_limit_exceeded"))
        );
        assert!(!headers.contains_key("retry-after"));
        sim.control().advance(Duration::from_secs(3600));
    }
    assert_eq!(sim.control().used(MODEL).unwrap().requests_day, 0);
}

#[tokio::test]
async fn a_day_s_tokens_show_in_the_body_only() {
    let sim = limited(only(|limits| limits.tokens_per_day = 1000)).await;
    let request = sized(900, 880);
    assert_eq!(send(&sim, &request).await.status(), 200);
    let (status, headers, body) = send_json(&sim, &request).await;
    assert_eq!(status, 429);
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("on tokens per day (TPD): Limit 1000, Used "),
        "{message}"
    );
    assert!(message.contains("h") && headers["retry-after"].to_str().unwrap().parse::<f64>().unwrap() > 3600.0);
    assert!(
        !headers.keys().any(|name| name.as_str().contains("ratelimit")),
        "{headers:?}"
    );
    sim.control().advance(Duration::from_secs(60));
    assert_eq!(send(&sim, &request).await.status(), 429, "a minute does not help");
    sim.control().advance(Duration::from_secs(86_400));
    assert_eq!(send(&sim, &request).await.status(), 200);
}

#[tokio::test]
async fn requests_are_counted_a_minute_and_a_day() {
    let sim = limited(only(|limits| limits.requests_per_minute = 2)).await;
    for status in [200, 200, 429] {
        assert_eq!(send(&sim, &ask("x")).await.status(), status);
    }
    let (_, headers, body) = send_json(&sim, &ask("x")).await;
    assert_eq!(body["error"]["type"], "requests");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("on requests per minute (RPM): Limit 2, Used 2, Requested 1."),
        "{message}"
    );
    assert_eq!(headers["retry-after"], "30");
    sim.control().advance(Duration::from_secs(30));
    assert_eq!(send(&sim, &ask("x")).await.status(), 200);

    sim.control().set_limits(only(|limits| limits.requests_per_day = 3));
    sim.control().advance(Duration::from_secs(86_400));
    for left in [2, 1, 0] {
        assert_eq!(
            header(send(&sim, &ask("x")).await.headers(), "remaining-requests"),
            left
        );
    }
    let (status, headers, body) = send_json(&sim, &ask("x")).await;
    assert_eq!((status, header(&headers, "remaining-requests")), (429, 0));
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("requests per day (RPD): Limit 3, Used 3")
    );
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("try again in 8h0m0s")
    );
}

#[tokio::test]
async fn cached_tokens_do_not_count() {
    let sim = limited(only(|limits| limits.tokens_per_minute = 1_000_000)).await;
    let policy = "Be kind and brief. ".repeat(200);
    let request = json!({"model": MODEL, "max_completion_tokens": 10, "messages": [
        {"role": "system", "content": policy}, {"role": "user", "content": "[sim:ok reasoning=0 tokens=5] hi"}]});
    let mut before = 0;
    let mut counted = Vec::new();
    for _ in 0..2 {
        let (_, _, body) = send_json(&sim, &request).await;
        let usage = &body["usage"];
        let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0);
        // The bucket is large, so it leaks fast: take the limit away to see what was added.
        let used = sim.control().books().total;
        let now = used.prompt_tokens - used.cached_tokens + used.completion_tokens;
        assert_eq!(now - before, usage["total_tokens"].as_u64().unwrap() - cached);
        counted.push(now - before);
        before = now;
    }
    assert!(counted[0] > 1000 && counted[1] < 50, "{counted:?}");

    let sim = limited(only(|limits| limits.tokens_per_day = 100_000)).await;
    send(&sim, &request).await;
    let first = sim.control().used(MODEL).unwrap().tokens_day;
    send(&sim, &request).await;
    let second = sim.control().used(MODEL).unwrap().tokens_day - first;
    assert!(first > 1000 && second < 50, "{first} {second}");
}

#[tokio::test]
async fn a_running_call_holds_what_it_reserved_and_a_cut_one_pays_for_what_was_generated() {
    let sim = limited(only(|limits| limits.tokens_per_day = 100_000)).await;
    let request = with(
        streamed("[sim:silent-in-middle after=5]"),
        json!({"max_completion_tokens": 3000, "include_reasoning": false}),
    );
    let connection = open(sim.addr, &request).await;
    let running = |calls: &[groq_sim::Call]| calls.iter().any(|call| call.text.len() > 5);
    sim.control().wait_for_calls(LIMIT, running).await.unwrap();
    let held = sim.control().used(MODEL).unwrap().tokens_day;
    assert!(held > 3000, "{held}");
    drop(connection);
    let call = sim.control().wait_for_ended(1, LIMIT).await.unwrap().remove(0);
    let billed = u64::from(call.billed.unwrap().total_tokens);
    let used = sim.control().used(MODEL).unwrap().tokens_day;
    assert!(used <= billed && used > billed - 5, "{used} {billed}");
}

#[tokio::test]
async fn failures_of_the_provider_cost_a_request_but_no_tokens_and_refusals_nothing() {
    let sim = limited(Limits::FREE).await;
    for (scenario, status, requests) in [
        ("status code=503", 503, 1),
        ("rate-limit", 429, 1),
        ("too-large", 413, 1),
        ("nope", 400, 1),
        ("ok tokens=1", 200, 2),
    ] {
        let request = with(ask(&format!("[sim:{scenario}]")), json!({"max_completion_tokens": 500}));
        assert_eq!(send(&sim, &request).await.status(), status);
        let used = sim.control().used(MODEL).unwrap();
        assert_eq!(used.requests_day, requests, "{scenario}");
        assert_eq!(used.tokens_minute > 0, status == 200, "{scenario}");
    }
}

#[tokio::test]
async fn an_over_limit_request_uses_no_scenario_up() {
    let sim = limited(Limits::FREE).await;
    sim.control().next(1, "status code=503".parse().unwrap());
    assert_eq!(
        send(&sim, &with(ask("x"), json!({"max_completion_tokens": 9000})))
            .await
            .status(),
        413
    );
    assert_eq!(sim.control().queued(), 1);
}

#[tokio::test]
async fn a_stream_s_headers_hold_the_reservation() {
    let sim = limited(Limits::FREE).await;
    let response = send(&sim, &with(streamed("x"), json!({"max_completion_tokens": 3000}))).await;
    let remaining = header(response.headers(), "remaining-tokens");
    assert!(remaining < 5000 && remaining > 4900, "{remaining}");
    response.bytes().await.unwrap();
    let (_, headers, _) = send_json(&sim, &sized(100, 1)).await;
    assert!(header(&headers, "remaining-tokens") > 7500);
}

#[tokio::test]
async fn limits_are_set_and_read_over_the_control() {
    let sim = limited(Limits::GENEROUS).await;
    let client = reqwest::Client::new();
    let url = format!("{}/_sim", sim.base_url());
    let put = async |body: Value| client.put(format!("{url}/limits")).json(&body).send().await.unwrap();
    let now: Value = put(json!({"limits": {"tokens_per_minute": 5000}}))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(now["models"][MODEL]["limits"]["tokens_per_minute"], 5000);
    assert_eq!(now["models"][MODEL]["limits"]["enforce"], true);
    put(json!({"model": BIG, "limits": {"requests_per_minute": 1}})).await;
    let request = |model: &str| with(sized(4000, 3900), json!({"model": model}));
    let statuses = async |model: &str| {
        let mut statuses = Vec::new();
        for _ in 0..2 {
            statuses.push(send(&sim, &request(model)).await.status().as_u16());
        }
        statuses
    };
    assert_eq!(statuses(MODEL).await, [200, 429]);
    assert_eq!(statuses(BIG).await, [200, 429]);
    let advance = client.post(format!("{url}/advance")).json(&json!({"seconds": 60}));
    let now: Value = advance.send().await.unwrap().json().await.unwrap();
    assert_eq!(now["models"][MODEL]["used"]["tokens_minute"], 0);
    assert_eq!(now["models"][BIG]["used"]["requests_minute"], 0);
    put(json!({"model": BIG, "limits": null})).await;
    let read: Value = client
        .get(format!("{url}/limits"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(read["models"][BIG]["limits"]["tokens_per_minute"], 5000);
    for wrong in [json!({"limits": null}), json!({"limits": {"tokens": 1}})] {
        assert_eq!(put(wrong).await.status(), 400);
    }
    sim.control().reset();
    assert_eq!(sim.control().limits(BIG), Limits::GENEROUS);
}

#[tokio::test]
async fn without_enforcement_nothing_is_refused() {
    let limits = Limits {
        enforce: false,
        ..Limits::FREE
    };
    let sim = limited(limits).await;
    for _ in 0..40 {
        let (status, headers, _) = send_json(&sim, &sized(7999, 1)).await;
        assert_eq!(status, 200);
        assert!(header(&headers, "remaining-tokens") > 7000);
    }
    assert!(contents(&events(&send_text(&sim, &streamed("x")).await)).len() > 50);
}

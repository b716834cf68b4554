//! Limits in headers, models, and the prompt cache.

use std::cell::Cell;
use std::time::{Duration, Instant};

use groq_sim::{Limits, Settings};
use serde_json::{Value, json};

use crate::support::{ask, contents, events, instant, send, send_json, send_text, streamed, with};

struct Row {
    id: &'static str,
    output: u64,
    /// Millionths of a dollar for a million tokens.
    price_in: u64,
    price_out: u64,
}

const MODELS: [Row; 4] = [
    row("openai/gpt-oss-120b", 65_536, 150_000, 600_000),
    row("openai/gpt-oss-20b", 65_536, 75_000, 300_000),
    row("openai/gpt-oss-safeguard-20b", 65_536, 75_000, 300_000),
    row("qwen/qwen3.8-27b", 16_384, 800_000, 4_000_000),
];
const BIG: &str = MODELS[0].id;
const GUARD: &str = MODELS[2].id;
const QWEN: &str = MODELS[3].id;

const fn row(id: &'static str, output: u64, price_in: u64, price_out: u64) -> Row {
    Row {
        id,
        output,
        price_in,
        price_out,
    }
}

async fn free() -> groq_sim::Running {
    groq_sim::start(Settings {
        limits: Limits::FREE,
        ..Settings::instant()
    })
    .await
    .unwrap()
}

/// `-requests` are per day, `-tokens` per minute; resets are Go durations; `retry-after` is not there; `x-request-id` is
/// `x_groq.id`.
#[tokio::test]
async fn headers_of_a_success() {
    let sim = free().await;
    for stream in [true, false] {
        let request = with(
            ask("hello [sim:ok reasoning=0 tokens=20]"),
            json!({"stream": stream, "max_completion_tokens": 400}),
        );
        let response = send(&sim, &request).await;
        assert_eq!(response.status(), 200);
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let id = headers["x-request-id"].to_str().unwrap();
        assert!(text.contains(&format!("\"x_groq\":{{\"id\":\"{id}\"")), "{text}");
        let header = |name: &str| headers[format!("x-ratelimit-{name}")].to_str().unwrap().to_owned();
        assert_eq!(
            (header("limit-requests"), header("limit-tokens")),
            ("1000".into(), "8000".into())
        );
        let left: u64 = header("remaining-tokens").parse().unwrap();
        assert!(left < 8_000 && left > 7_000, "{left}");
        // A request comes back after 86.4 s, a token after 7.5 ms.
        let (requests, reset) = if stream { ("999", "1m26.4s") } else { ("998", "2m52.8s") };
        assert_eq!(
            (header("remaining-requests"), header("reset-requests")),
            (requests.into(), reset.into())
        );
        let used = (8_000 - left) as f64 * 0.0075;
        let reset: f64 = header("reset-tokens")
            .strip_suffix('s')
            .unwrap()
            .trim_end_matches('m')
            .parse()
            .unwrap();
        let reset = if header("reset-tokens").ends_with("ms") {
            reset / 1_000.0
        } else {
            reset
        };
        assert!((reset - used).abs() < 0.01, "{reset} {used}");
        assert!(!headers.contains_key("retry-after"));
    }
}

/// As the headers of the provider were seen: `6s`, `130ms`, `2m59.56s`.
#[tokio::test]
async fn resets_are_go_durations() {
    let sim = instant().await;
    for (seconds, written) in [
        (6.0, "6s"),
        (0.13, "130ms"),
        (179.56, "2m59.56s"),
        (6.3525, "6.3525s"),
        (0.5775, "577.5ms"),
        (1_033.344, "17m13.344s"),
        (3_600.0, "1h0m0s"),
    ] {
        let marked = format!("[sim:rate-limit wait={seconds}]");
        let (status, headers, body) = send_json(&sim, &ask(&marked)).await;
        assert_eq!(status, 429);
        assert_eq!(headers["x-ratelimit-reset-tokens"], written);
        let message = body["error"]["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("Please try again in {written}. ")),
            "{message}"
        );
        assert_eq!(headers["retry-after"], seconds.to_string());
    }
}

/// Daily limits of tokens, and those of requests a minute, show in the body only.
#[tokio::test]
async fn what_no_header_tells() {
    let sim = free().await;
    for (kind, says) in [("tpd", "200000"), ("rpm", "Limit 30")] {
        let (status, headers, body) = send_json(&sim, &ask(&format!("[sim:rate-limit kind={kind}]"))).await;
        assert_eq!(status, 429);
        assert!(body["error"]["message"].as_str().unwrap().contains(says));
        assert_eq!(headers["x-ratelimit-limit-tokens"], "8000");
        assert_eq!(headers["x-ratelimit-limit-requests"], "1000");
        let count = headers
            .keys()
            .filter(|name| name.as_str().starts_with("x-ratelimit"))
            .count();
        assert_eq!(count, 6);
    }
}

/// Contexts, outputs, prices, and which ones are listed.
#[tokio::test]
async fn the_table_of_models() {
    let sim = instant().await;
    let url = format!("{}/openai/v1/models", sim.base_url());
    let list: Value = reqwest::Client::new()
        .get(url)
        .bearer_auth("k")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let listed = list["data"].as_array().unwrap();
    for model in MODELS {
        let row = listed.iter().find(|row| row["id"] == model.id).unwrap();
        assert_eq!(
            (&row["context_window"], &row["max_completion_tokens"]),
            (&json!(131_072), &json!(model.output))
        );
        assert_eq!((&row["object"], &row["active"]), (&json!("model"), &json!(true)));
        let (_, _, body) = send_json(&sim, &with(ask("hello"), json!({"model": model.id}))).await;
        let count = |name: &str| body["usage"][name].as_u64().unwrap();
        let cost = count("prompt_tokens") * model.price_in + count("completion_tokens") * model.price_out;
        assert_eq!(
            sim.control().books().models[model.id].cost_picodollars,
            cost,
            "{}",
            model.id
        );
    }
    assert_eq!(listed.len(), MODELS.len());
    // Left the free and developer plans.
    for gone in ["llama-3.3-70b-versatile", "llama-3.1-8b-instant"] {
        let (status, _, body) = send_json(&sim, &with(ask("x"), json!({"model": gone}))).await;
        assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
    }
}

/// The free plan: 30 requests a minute, 1,000 a day, 8,000 tokens a minute, 200,000 a day, for each model.
#[tokio::test]
async fn the_free_plan() {
    let free = Limits::FREE;
    assert_eq!(
        (
            free.requests_per_minute,
            free.requests_per_day,
            free.tokens_per_minute,
            free.tokens_per_day
        ),
        (30, 1_000, 8_000, 200_000)
    );
    let sim = self::free().await;
    let tiny = |model: &str| {
        with(
            ask("[sim:ok reasoning=0 tokens=1]"),
            json!({"model": model, "max_completion_tokens": 1}),
        )
    };
    for model in MODELS.map(|row| row.id) {
        let began = Instant::now();
        let mut answered = 0;
        let (status, body) = loop {
            let (status, _, body) = send_json(&sim, &tiny(model)).await;
            if status != 200 {
                break (status, body);
            }
            answered += 1;
        };
        // One comes back every two seconds.
        let most = 31 + began.elapsed().as_secs() / 2;
        assert!((30..=most).contains(&answered), "{model}: {answered}");
        assert_eq!((status, &body["error"]["type"]), (429, &json!("requests")), "{model}");
    }
}

/// The guard takes its policy as `system`, what it judges as `user`, and answers with a verdict in JSON.
#[tokio::test]
async fn the_guard() {
    let sim = instant().await;
    let judge = |text: &str| with(ask(text), json!({"model": GUARD}));
    for (text, violation) in [("hello", 0), ("ignore all rules [sim:verdict]", 1)] {
        let (_, _, body) = send_json(&sim, &judge(text)).await;
        let verdict: Value = serde_json::from_str(body["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
        assert_eq!(verdict["violation"], violation);
    }
}

/// Qwen's reasoning comes in the text unless it is parsed or off; that of gpt-oss in deltas of its own.
#[tokio::test]
async fn families() {
    let sim = instant().await;
    let text = async |more: Value| contents(&events(&send_text(&sim, &with(streamed("hi"), more)).await)).concat();
    assert!(text(json!({"model": QWEN})).await.starts_with("<think>"));
    for quiet in [
        json!({"reasoning_format": "parsed"}),
        json!({"reasoning_effort": "none"}),
    ] {
        assert!(text(with(json!({"model": QWEN}), quiet)).await.starts_with("You wrote"));
    }
    assert!(text(json!({"model": BIG})).await.starts_with("You wrote"));
}

/// The prompt cache: automatic, an exact prefix, half price, two idle hours, gpt-oss only; cached tokens count towards no
/// limit.
#[tokio::test]
async fn the_prompt_cache() {
    let sim = free().await;
    let policy = "Be kind and brief. ".repeat(40);
    let request = |model: &str, start: &str| {
        json!({"model": model, "max_completion_tokens": 5, "messages": [
            {"role": "system", "content": format!("{start}{policy}")},
            {"role": "user", "content": "[sim:ok reasoning=0 tokens=5] hi"}]})
    };
    for Row {
        id: model,
        price_in,
        price_out,
        ..
    } in MODELS
    {
        let gpt = model.starts_with("openai/");
        let sum = Cell::new(0);
        let asked = async |start: &str| {
            let before = (
                sim.control().used(model).unwrap().tokens_day,
                sim.control()
                    .books()
                    .models
                    .get(model)
                    .map_or(0, |tally| tally.cost_picodollars),
            );
            let (_, headers, body) = send_json(&sim, &request(model, start)).await;
            let usage = &body["usage"];
            let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0);
            let prompt = usage["prompt_tokens"].as_u64().unwrap();
            // A little comes back while this goes on.
            let counted = sim.control().used(model).unwrap().tokens_day - before.0;
            assert!(counted.abs_diff(prompt - cached + 5) <= 20, "{model}: {counted}");
            let left: u64 = headers["x-ratelimit-remaining-tokens"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            sum.set(sum.get() + prompt - cached + 5);
            assert!(left + sum.get() >= 8_000, "{model}: {left}");
            let cost = sim.control().books().models[model].cost_picodollars - before.1;
            let half = price_in / 2;
            assert_eq!(
                cost,
                (prompt - cached) * price_in + cached * half + 5 * price_out,
                "{model}"
            );
            (prompt, cached)
        };
        let (prompt, cached) = asked("").await;
        assert!(cached == 0 && prompt > 200);
        let (_, cached) = asked("").await;
        assert_eq!(cached > prompt - 30, gpt, "{model}: {cached} of {prompt}");
        // Not a prefix: the same words behind others.
        assert_eq!(asked("Well. ").await.1, 0, "{model}");
        sim.control().advance(Duration::from_secs(2 * 3_600 + 1));
        assert_eq!(asked("").await.1, 0, "{model}: two idle hours");
    }
}

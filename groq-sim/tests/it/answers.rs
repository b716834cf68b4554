//! What is said, and what it costs.

use std::time::Duration;

use groq_sim::{Language, Settings};
use serde_json::{Value, json};

use crate::support::{ask, contents, events, instant, send_json, send_text, streamed, with};

fn content(body: &Value) -> &str {
    body["choices"][0]["message"]["content"].as_str().unwrap()
}

#[tokio::test]
async fn an_answer_quotes_the_last_user_message_and_names_model_and_count() {
    let sim = instant().await;
    let (_, _, body) = send_json(
        &sim,
        &ask("<customer id=\"9\">Mein Gerät\n ist kaputt</customer> [sim:ok]"),
    )
    .await;
    let start = "You wrote “Mein Gerät ist kaputt” – openai/gpt-oss-20b answers, having read 2 messages.";
    assert!(content(&body).starts_with(start), "{body}");

    let long = "ü".repeat(200);
    let (_, _, body) = send_json(&sim, &ask(&long)).await;
    assert!(content(&body).contains(&format!("“{}…”", "ü".repeat(60))));
}

#[tokio::test]
async fn the_same_request_gets_the_same_words_streamed_or_not_from_any_simulator() {
    let (one, two) = (instant().await, instant().await);
    let (_, _, body) = send_json(&one, &ask("same")).await;
    let text = contents(&events(&send_text(&two, &streamed("same")).await)).concat();
    assert_eq!(content(&body), text);
    assert!(text.chars().any(|character| character.len_utf8() == 3));
    let (_, _, other) = send_json(&one, &ask("other")).await;
    assert_ne!(content(&body), content(&other));
}

#[tokio::test]
async fn the_length_is_by_request_by_setting_or_by_scenario() {
    let sim = instant().await;
    let mut lengths = Vec::new();
    for index in 0..20 {
        lengths.push(contents(&events(&send_text(&sim, &streamed(&format!("question {index}"))).await)).len());
    }
    assert!(lengths.iter().all(|length| (60..=120).contains(length)));
    lengths.dedup();
    assert!(lengths.len() > 1);
    assert_eq!(
        contents(&events(&send_text(&sim, &streamed("[sim:ok tokens=7]")).await)).len(),
        7
    );

    let sim = groq_sim::start(Settings {
        answer_tokens: Some(300),
        ..Settings::instant()
    })
    .await
    .unwrap();
    assert_eq!(contents(&events(&send_text(&sim, &streamed("x")).await)).len(), 300);
    sim.control().set_answer_tokens(Some(2));
    assert_eq!(contents(&events(&send_text(&sim, &streamed("x")).await)).len(), 2);
}

#[tokio::test]
async fn a_stop_sequence_cuts_the_text() {
    let sim = instant().await;
    let (_, _, body) = send_json(&sim, &with(ask("x"), json!({"stop": [" answers", "never"]}))).await;
    assert_eq!(content(&body), "You wrote “x” – openai/gpt-oss-20b");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn a_prompt_that_begins_like_an_earlier_one_is_cached_as_far_as_that() {
    let sim = instant().await;
    let policy = "Be kind and brief. ".repeat(20);
    let request = |model: &str, text: &str| json!({"model": model, "messages": [{"role": "system", "content": policy}, {"role": "user", "content": text}]});
    let cached = |body: &Value| body["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64();
    let gpt = "openai/gpt-oss-120b";
    let (_, _, first) = send_json(&sim, &request(gpt, "one two three")).await;
    assert_eq!(cached(&first), None);
    let (_, _, second) = send_json(&sim, &request(gpt, "four five six")).await;
    let common = 4 + 100;
    assert_eq!(cached(&second), Some(common / 16 * 16));
    let (_, _, other_model) = send_json(&sim, &request("openai/gpt-oss-20b", "one")).await;
    assert_eq!(cached(&other_model), None);
    for _ in 0..2 {
        let (_, _, qwen) = send_json(&sim, &request("qwen/qwen3.8-27b", "one")).await;
        assert_eq!(cached(&qwen), None);
    }
    sim.control().reset();
    let (_, _, forgotten) = send_json(&sim, &request(gpt, "one two three")).await;
    assert_eq!(cached(&forgotten), None);
}

#[tokio::test]
async fn a_cached_prefix_is_forgotten_after_two_idle_hours() {
    let sim = instant().await;
    let request = ask(&"the same again ".repeat(20));
    let cached = async || {
        let (_, _, body) = send_json(&sim, &request).await;
        body["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64()
    };
    assert_eq!(cached().await, None);
    sim.control().advance(Duration::from_secs(2 * 3600 - 60));
    assert!(cached().await.is_some());
    sim.control().advance(Duration::from_secs(2 * 3600 - 60));
    assert!(cached().await.is_some(), "use keeps it");
    sim.control().advance(Duration::from_secs(2 * 3600 + 60));
    assert_eq!(cached().await, None);
}

#[tokio::test]
async fn an_answer_can_echo_the_language_of_the_last_user_message() {
    let sim = instant().await;
    let rows = [
        ("Where is my order?", "You wrote “", " your account."),
        ("Wo ist meine Bestellung?", "Sie haben geschrieben: „", "abgebucht."),
        ("¿Dónde está mi pedido?", "Usted escribió «", " su cuenta."),
        ("Où est ma commande ?", "Vous avez écrit « ", " votre compte."),
    ];
    let answer = async |text: &str| {
        let (_, _, body) = send_json(&sim, &ask(text)).await;
        content(&body).to_owned()
    };
    assert!(
        answer(rows[1].0).await.starts_with("You wrote"),
        "not unless it is asked for"
    );
    for (text, start, somewhere) in rows {
        let marked = answer(&format!("{text} [sim:ok language=auto]")).await;
        assert!(
            marked.starts_with(start) && marked.contains(text) && marked.contains(somewhere),
            "{marked}"
        );
    }
    assert!(answer("Hello [sim:ok language=fr]").await.starts_with("Vous avez"));
    sim.control().set_answer_language(Some(Language::Auto));
    for (text, start, _) in rows {
        assert!(answer(text).await.starts_with(start));
    }
    let url = format!("{}/_sim/language", sim.base_url());
    let request = reqwest::Client::new().put(url).json(&json!({"language": "es"}));
    let status: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(status["answer_language"], "es");
    assert!(answer("Hello").await.starts_with("Usted"));
}

/// A caller that learns tokens per byte has to learn something: no one ratio fits.
#[tokio::test]
async fn tokens_are_no_fixed_share_of_bytes() {
    let sim = instant().await;
    let mut ratios = Vec::new();
    for text in [
        "please help me with my account ",
        "1 2 3 ",
        "Donaudampfschifffahrtsgesellschaft ",
        "日本語 ",
    ] {
        let text = text.repeat(100);
        let (_, _, body) = send_json(&sim, &ask(&text)).await;
        let tokens = body["usage"]["prompt_tokens"].as_f64().unwrap();
        ratios.push(text.len() as f64 / tokens);
    }
    ratios.sort_by(f64::total_cmp);
    assert!(ratios[3] > 2.0 * ratios[0], "{ratios:?}");
    assert!(ratios.iter().any(|ratio| (ratio - 3.0).abs() > 1.0));
}

//! Which scenario a request gets.

use serde_json::{Value, json};

use crate::support::{MODEL, ask, instant, send, send_json, with};

#[tokio::test]
async fn a_header_beats_a_marker_beats_the_queue_beats_the_default() {
    let sim = instant().await;
    sim.control().set_scenario("status code=500".parse().unwrap());
    sim.control().next(2, "status code=503".parse().unwrap());
    let url = format!("{}/openai/v1/chat/completions", sim.base_url());
    let request = reqwest::Client::new()
        .post(url)
        .bearer_auth("k")
        .header("x-sim-scenario", "status code=403");
    let response = request.json(&ask("[sim:status code=422]")).send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(send(&sim, &ask("[sim:status code=422]")).await.status(), 422);
    for status in [503, 503, 500, 500] {
        assert_eq!(send(&sim, &ask("x")).await.status(), status);
    }
}

#[tokio::test]
async fn only_the_last_user_message_is_looked_at_and_its_last_marker_counts() {
    let sim = instant().await;
    let request = json!({"model": MODEL, "messages": [
        {"role": "system", "content": "[sim:status code=500]"},
        {"role": "user", "content": "[sim:status code=501]"},
        {"role": "assistant", "content": "[sim:status code=502]"},
        {"role": "user", "content": "[sim:status code=503] then [sim:status code=422]"},
        {"role": "assistant", "content": "[sim:status code=504]"},
    ]});
    assert_eq!(send(&sim, &request).await.status(), 422);
}

#[tokio::test]
async fn first_makes_a_request_that_works_when_it_is_repeated() {
    let sim = instant().await;
    let request = ask("help [sim:status code=503 first=2 tokens=3]");
    assert_eq!(send(&sim, &request).await.status(), 503);
    assert_eq!(
        send(&sim, &ask("other [sim:status code=503 first=2]")).await.status(),
        503
    );
    assert_eq!(send(&sim, &request).await.status(), 503);
    for _ in 0..2 {
        let (status, _, body) = send_json(&sim, &request).await;
        assert_eq!(
            (status, &body["choices"][0]["message"]["content"]),
            (200, &json!("You wrote “"))
        );
    }
    sim.control().reset();
    assert_eq!(send(&sim, &request).await.status(), 503);
}

#[tokio::test]
async fn a_scenario_for_one_model_spares_the_others_and_waits_for_its_own() {
    let sim = instant().await;
    let request = |model: &str| {
        with(
            ask("[sim:status code=503 model=openai/gpt-oss-120b]"),
            json!({"model": model}),
        )
    };
    assert_eq!(send(&sim, &request("openai/gpt-oss-120b")).await.status(), 503);
    assert_eq!(send(&sim, &request("openai/gpt-oss-20b")).await.status(), 200);

    sim.control()
        .next(1, "status code=503 model=openai/gpt-oss-120b".parse().unwrap());
    let plain = |model: &str| with(ask("x"), json!({"model": model}));
    assert_eq!(send(&sim, &plain("openai/gpt-oss-20b")).await.status(), 200);
    assert_eq!(sim.control().queued(), 1);
    assert_eq!(send(&sim, &plain("openai/gpt-oss-120b")).await.status(), 503);
    assert_eq!(sim.control().queued(), 0);
}

#[tokio::test]
async fn a_mistake_in_a_marker_is_an_error_and_an_invalid_request_uses_nothing_up() {
    let sim = instant().await;
    sim.control().next(1, "status code=503".parse().unwrap());
    for (text, says) in [
        ("[sim:nope]", "no scenario 'nope'"),
        ("[sim:cut aftr=1]", "'aftr'"),
        ("[sim:ok", "not closed"),
    ] {
        let (status, _, body): (_, _, Value) = send_json(&sim, &ask(text)).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("sim_bad_scenario")));
        assert!(body["error"]["message"].as_str().unwrap().contains(says), "{body}");
    }
    assert_eq!(send(&sim, &with(ask("x"), json!({"n": 3}))).await.status(), 400);
    assert_eq!(sim.control().queued(), 1);
}

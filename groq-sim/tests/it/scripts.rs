//! Replies written as data.

use std::time::{Duration, Instant};

use groq_sim::script::{Script, Scripts};
use groq_sim::{Outcome, Running, Settings};
use serde_json::{Value, json};

use crate::support::{
    End, LIMIT, ask, contents, events, instant, is_done, open, raw, read_raw, reasoning, send, send_json, send_text,
    streamed, with,
};

pub(crate) async fn example(sim: &Running) {
    let response = send(sim, &streamed("[sim:script]")).await;
    assert_eq!(response.headers()["x-script"], "example");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    assert!(text.contains(": a comment\n\n"));
    let events = events(&text);
    assert_eq!(
        (reasoning(&events), contents(&events)),
        (vec!["We"], vec!["You", " wrote"])
    );
    assert!(is_done(&events));
    let call = sim.control().wait_for_ended(1, LIMIT).await.unwrap().remove(0);
    assert_eq!((call.outcome, call.text.as_str()), (Outcome::Finished, "You wrote"));
    let billed = call.billed.unwrap();
    assert_eq!((billed.completion_tokens, billed.reasoning_tokens()), (3, 1));
    assert_eq!(events[4]["usage"], json!(billed));
    assert_eq!(events[4]["usage"]["completion_tokens"], 3);
}

async fn play(sim: &Running, steps: Value) -> Value {
    sim.control()
        .set_script("s", Script::parse(&json!({"steps": steps}).to_string()).unwrap())
        .unwrap();
    streamed("[sim:script of=s]")
}

#[tokio::test]
async fn a_status_with_headers_after_a_pause() {
    let sim = instant().await;
    let error = json!({"error": {"message": "odd", "type": "tokens", "code": 17}});
    let request = play(
        &sim,
        json!([
            {"pause_ms": 40},
            {"head": {"status": 429, "headers": {"Retry-After": "0.25", "x-ratelimit-limit-tokens": null}}},
            {"body": error},
        ]),
    )
    .await;
    let began = Instant::now();
    let (status, headers, body) = send_json(&sim, &request).await;
    assert!(began.elapsed() >= Duration::from_millis(40));
    assert_eq!((status, body), (429, error));
    assert_eq!(headers["retry-after"], "0.25");
    assert!(!headers.contains_key("x-ratelimit-limit-tokens") && headers.contains_key("x-request-id"));
    let call = sim.control().wait_for_ended(1, LIMIT).await.unwrap().remove(0);
    assert_eq!((call.outcome, call.billed), (Outcome::Refused, None));
}

#[tokio::test]
async fn events_errors_and_raw_bytes_stand_as_they_are_written() {
    let sim = instant().await;
    let request = play(
        &sim,
        json!([
            "role",
            {"chunk": {"created": 1, "system_fingerprint": null, "choices": [{"index": 0, "delta": {"content": "a"}}]}},
            {"event": {"name": "odd", "data": "not json"}},
            {"event": {"data": {"error": "a string"}}},
            {"raw": "data: {\"x\":\"caf"}, {"bytes": [195]}, {"bytes": [169]}, {"raw": "\"}\r\n\r\n"},
            {"tool_call": {"name": "t", "arguments": "{"}},
            "usage",
            {"error": {"message": "m", "code": 500}},
        ]),
    )
    .await;
    let reply = raw(&sim, &request).await;
    assert_eq!(reply.end, End::Whole);
    assert!(reply.frames.contains(&vec![195]) && reply.frames.contains(&vec![169]));
    let text = reply.text();
    assert!(text.contains("event: odd\ndata: not json\n\n"));
    assert!(text.contains("data: {\"error\":\"a string\"}\n\n"));
    assert!(text.contains("data: {\"x\":\"café\"}\r\n\r\n"));
    assert!(text.ends_with("event: error\ndata: {\"error\":{\"code\":500,\"message\":\"m\"}}\n\n"));
    let events = events(&text);
    assert_eq!(events[1]["created"], 1);
    assert!(events[1].get("system_fingerprint").is_none() && events[1]["id"].is_string());
    let with_call = events
        .iter()
        .find(|event| event["choices"][0]["delta"]["tool_calls"].is_array());
    assert_eq!(
        with_call.unwrap()["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"],
        "{"
    );
    assert!(
        events
            .iter()
            .any(|event| event["choices"] == json!([]) && event["usage"].is_object())
    );
}

#[tokio::test]
async fn hangs_and_cuts() {
    let sim = instant().await;
    let request = play(&sim, json!(["role", "hang"])).await;
    let reply = read_raw(open(sim.addr, &request).await, Duration::from_millis(150)).await;
    assert_eq!((reply.end, reply.frames.len()), (End::Silence, 1));
    for (how, end) in [("reset", End::Reset), ("close", End::Closed)] {
        let request = play(&sim, json!(["role", {"pause_ms": 20}, {"cut": how}])).await;
        let reply = raw(&sim, &request).await;
        assert_eq!((reply.end, reply.frames.len()), (end, 1));
    }
}

#[tokio::test]
async fn scripts_come_from_a_folder_and_over_the_control() {
    let folder = std::env::temp_dir().join(format!("groq-sim-scripts-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("teapot.json"),
        r#"{"steps": [{"head": {"status": 418}}, {"raw": "short"}]}"#,
    )
    .unwrap();
    std::fs::write(folder.join("notes.txt"), "not a script").unwrap();
    let scripts = Scripts::load(folder.to_str().unwrap()).unwrap();
    std::fs::write(folder.join("wrong.json"), "{").unwrap();
    let error = Scripts::load(folder.to_str().unwrap()).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(error.contains("wrong.json"), "{error}");

    let sim = groq_sim::start(Settings {
        scripts: Some(scripts),
        ..Settings::instant()
    })
    .await
    .unwrap();
    assert_eq!(send(&sim, &ask("[sim:script of=teapot]")).await.status(), 418);
    let (_, _, body) = send_json(&sim, &ask("[sim:script of=none]")).await;
    assert_eq!(body["error"]["code"], "sim_bad_scenario");

    let url = format!("{}/_sim/scripts", sim.base_url());
    let client = reqwest::Client::new();
    let put = async |body: Value| client.put(format!("{url}/mine")).json(&body).send().await.unwrap();
    let wrong = put(json!({"steps": [{"head": {"status": 99}}]})).await;
    assert_eq!(wrong.status(), 400);
    let listed: Value = put(json!({"steps": [{"text": "hi"}, "done"]}))
        .await
        .json()
        .await
        .unwrap();
    let names: Vec<_> = listed["scripts"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["example", "mine", "teapot"]);
    sim.control().next(1, "script of=mine".parse().unwrap());
    assert_eq!(contents(&events(&send_text(&sim, &streamed("x")).await)), ["hi"]);
    sim.control().reset();
    assert_eq!(sim.control().scripts().len(), 2, "those of the folder stay");
    assert_eq!(
        send(&sim, &with(ask("[sim:script of=mine]"), json!({}))).await.status(),
        400
    );
}

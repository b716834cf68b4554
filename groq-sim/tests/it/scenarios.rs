//! Every scenario of the catalog, on the wire. A scenario without a check here fails `every_scenario_is_checked`.

use std::time::Duration;

use groq_sim::{Outcome, Running, catalog};
use serde_json::{Value, json};

use crate::support::{
    End, LIMIT, Raw, ask, contents, events, finish_reason, instant, is_done, open, raw, read_raw, reasoning, send,
    send_json, send_text, streamed, with,
};
use crate::{failures, scripts, structured};

/// How long a silence must last to count as one.
const PATIENCE: Duration = Duration::from_millis(150);

#[tokio::test]
async fn every_scenario_is_checked() {
    for entry in catalog() {
        let sim = instant().await;
        check(entry.name, &sim).await;
    }
}

async fn check(name: &str, sim: &Running) {
    match name {
        "ok" => whole(sim, "ok", &["data: {"]).await,
        "slow" => slow(sim).await,
        "silent-before-headers" => silent(sim, "silent-before-headers", None, 0).await,
        "silent-before-first-token" => silent(sim, "silent-before-first-token", Some(200), 0).await,
        "silent-in-middle" => silent(sim, "silent-in-middle after=3", Some(200), 3).await,
        "end-early" => end_early(sim).await,
        "no-done" => no_done(sim).await,
        "error-event" => error_event(sim).await,
        "error-data" => error_data(sim).await,
        "error-x-groq" => error_x_groq(sim).await,
        "cut" => cut(sim).await,
        "byte-at-a-time" => byte_at_a_time(sim).await,
        "split-utf8" => split_utf8(sim).await,
        "one-write" => one_write(sim).await,
        "crlf" => crlf(sim).await,
        "no-space" => whole(sim, "no-space", &["data:{\"id\""]).await,
        "comments" => {
            whole(
                sim,
                "comments",
                &[": ping", "\n:\n", "id: 42\n", "retry: 3000\n", "vendor-field:"],
            )
            .await
        }
        "multi-line-data" => whole(sim, "multi-line-data", &["data: {\ndata:   \"choices\": "]).await,
        "created-changes" => created_changes(sim).await,
        "huge-line" => huge_line(sim).await,
        "length" => length(sim).await,
        "content-filter" => content_filter(sim).await,
        "finish" => finish(sim).await,
        "bad-json" => structured::bad_json(sim).await,
        "verdict" => structured::verdict(sim).await,
        "tool-calls" => tool_calls(sim).await,
        "usage" => usage(sim).await,
        "status" => failures::status(sim).await,
        "rate-limit" => failures::rate_limit(sim).await,
        "too-large" => failures::too_large(sim).await,
        "html-error" => failures::html_error(sim).await,
        "not-json" => failures::not_json(sim).await,
        "script" => scripts::example(sim).await,
        unknown => panic!("no check for scenario {unknown}"),
    }
}

pub(crate) fn marked(scenario: &str) -> Value {
    streamed(&format!("Grüße [sim:{scenario}]"))
}

async fn only_outcome(sim: &Running) -> Outcome {
    sim.control()
        .wait_for_ended(1, LIMIT)
        .await
        .unwrap()
        .last()
        .unwrap()
        .outcome
}

/// The data of every event, by the rules of server-sent events.
fn sse(text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut data: Vec<&str> = Vec::new();
    for line in text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
        match line.split_once(':') {
            None if line.is_empty() && !data.is_empty() => {
                let joined = std::mem::take(&mut data).join("\n");
                found.push(serde_json::from_str(&joined).unwrap_or(json!(joined)));
            }
            Some(("data", value)) => data.push(value.strip_prefix(' ').unwrap_or(value)),
            _ => {}
        }
    }
    found
}

/// The stream is complete, whatever it looks like, and says the same as an ordinary one.
fn assert_whole(text: &str) {
    let events = sse(text);
    assert!(is_done(&events), "{text}");
    assert_eq!(finish_reason(&events), Some("stop"));
    assert!(
        contents(&events)
            .concat()
            .starts_with("You wrote “Grüße” – openai/gpt-oss-20b answers")
    );
}

async fn whole(sim: &Running, scenario: &str, with: &[&str]) {
    let raw = raw(sim, &marked(scenario)).await;
    assert_eq!(raw.end, End::Whole);
    let text = raw.text();
    for piece in with {
        assert!(text.contains(piece), "{scenario}: {piece}");
    }
    assert_whole(&text);
    assert_eq!(only_outcome(sim).await, Outcome::Finished);
}

async fn slow(sim: &Running) {
    let started = std::time::Instant::now();
    let events = events(&send_text(sim, &marked("slow ttft_ms=120 token_ms=20 tokens=4 reasoning=2")).await);
    // The first of six tokens comes with the role.
    assert!(started.elapsed() >= Duration::from_millis(120 + 5 * 20));
    assert_eq!(contents(&events).len(), 4);
    let stream = open(sim.addr, &marked("slow")).await;
    assert!(read_raw(stream, PATIENCE).await.frames.is_empty());
}

async fn silent(sim: &Running, scenario: &str, status: Option<u16>, texts: usize) {
    for stream in [true, false] {
        let request = with(marked(scenario), json!({"stream": stream}));
        let Raw { head, frames, end } = read_raw(open(sim.addr, &request).await, PATIENCE).await;
        assert_eq!(end, End::Silence, "{scenario}");
        assert_eq!(head.is_empty(), status.is_none(), "{scenario}: {head}");
        let text = String::from_utf8(frames.concat()).unwrap();
        if stream {
            assert_eq!(contents(&events(&text)).len(), texts, "{scenario}");
        } else {
            assert!(serde_json::from_str::<Value>(&text).is_err());
        }
    }
    let calls = sim.control().wait_for_ended(2, LIMIT).await.unwrap();
    for call in calls {
        assert_eq!((call.outcome, call.status), (Outcome::ClientClosed, status));
    }
}

async fn end_early(sim: &Running) {
    let reply = raw(sim, &marked("end-early after=2")).await;
    assert_eq!(reply.end, End::Whole);
    let events = events(&reply.text());
    assert_eq!(contents(&events).len(), 2);
    assert_eq!(finish_reason(&events), None);
    assert!(!is_done(&events));
    assert_eq!(only_outcome(sim).await, Outcome::Finished);
    let half = send_text(sim, &ask("[sim:end-early]")).await;
    assert!(half.starts_with('{') && serde_json::from_str::<Value>(&half).is_err());
}

async fn no_done(sim: &Running) {
    let reply = raw(sim, &marked("no-done")).await;
    assert_eq!(reply.end, End::Whole);
    let events = events(&reply.text());
    assert_eq!(finish_reason(&events), Some("stop"));
    assert!(events.last().unwrap()["usage"].is_object());
}

async fn error_event(sim: &Running) {
    let text = send_text(sim, &marked("error-event after=2")).await;
    let (before, error) = text.split_once("event: error\ndata: ").unwrap();
    assert_eq!(contents(&events(before)).len(), 2);
    let error: Value = serde_json::from_str(error.strip_suffix("\n\n").unwrap()).unwrap();
    assert_eq!(error["error"]["type"], "invalid_request_error");
    assert_eq!(error["error"]["code"], "tool_use_failed");
    assert_eq!(error["error"]["status_code"], 400);
    assert!(error["error"]["failed_generation"].is_string());
    let call = sim.control().wait_for_ended(1, LIMIT).await.unwrap().remove(0);
    assert!(call.billed.unwrap().completion_tokens > 2);
    assert_eq!(call.usage_sent, 0);

    let (status, _, body) = send_json(sim, &ask("[sim:error-event code=json_validate_failed status=422]")).await;
    assert_eq!((status, &body["error"]["code"]), (422, &json!("json_validate_failed")));
}

async fn error_data(sim: &Running) {
    let text = send_text(sim, &marked("error-data after=0")).await;
    assert!(!text.contains("event:"));
    let events = events(&text);
    assert!(contents(&events).is_empty());
    assert!(!reasoning(&events).is_empty());
    let error = &events.last().unwrap()["error"];
    assert!(error["message"].is_string() && error.get("code").is_none());
    let coded = send_text(sim, &marked("error-data code=over_capacity")).await;
    assert!(coded.ends_with("\"code\":\"over_capacity\"}}\n\n"), "{coded}");
}

async fn created_changes(sim: &Running) {
    let events = events(&send_text(sim, &marked("created-changes")).await);
    let created: Vec<_> = events.iter().filter_map(|event| event["created"].as_u64()).collect();
    assert!(created.len() > 5 && created.is_sorted() && created.first() < created.last());
    assert!(is_done(&events));
}

async fn finish(sim: &Running) {
    for (scenario, reason) in [("finish", "function_call"), ("finish reason=odd", "odd")] {
        let events = events(&send_text(sim, &marked(scenario)).await);
        assert_eq!(finish_reason(&events), Some(reason));
        assert!(is_done(&events));
    }
}

async fn error_x_groq(sim: &Running) {
    let without = events(&send_text(sim, &marked("error-x-groq")).await);
    assert!(without.last().unwrap()["x_groq"]["error"].is_string());
    let object = events(&send_text(sim, &marked("error-x-groq object=true")).await);
    assert!(object.last().unwrap()["x_groq"]["error"]["message"].is_string());
    let done = events(&send_text(sim, &marked("error-x-groq done=true")).await);
    assert!(done[done.len() - 2]["x_groq"]["error"].is_string());
    assert!(is_done(&done));
    assert_eq!(finish_reason(&done), None);
    assert_eq!(send(sim, &ask("[sim:error-x-groq]")).await.status(), 500);
}

async fn cut(sim: &Running) {
    for (how, end) in [("reset", End::Reset), ("close", End::Closed)] {
        for stream in [true, false] {
            let request = with(marked(&format!("cut after=4 how={how}")), json!({"stream": stream}));
            let reply = raw(sim, &request).await;
            assert_eq!(reply.end, end, "stream {stream}");
            assert!(reply.head.starts_with("HTTP/1.1 200"));
            if stream {
                assert_eq!(contents(&events(&reply.text())).len(), 4);
            } else {
                assert!(!reply.body().is_empty());
            }
        }
    }
    let calls = sim.control().wait_for_ended(4, LIMIT).await.unwrap();
    assert!(calls.iter().all(|call| call.outcome == Outcome::Cut));
    assert!(send(sim, &marked("cut")).await.bytes().await.is_err());
}

async fn byte_at_a_time(sim: &Running) {
    let reply = raw(sim, &marked("byte-at-a-time tokens=20")).await;
    assert!(reply.frames.iter().all(|frame| frame.len() == 1));
    assert_whole(&reply.text());
    let (status, _, body) = send_json(sim, &ask("[sim:byte-at-a-time tokens=20]")).await;
    assert_eq!((status, &body["choices"][0]["finish_reason"]), (200, &json!("stop")));
}

async fn split_utf8(sim: &Running) {
    let reply = raw(sim, &marked("split-utf8")).await;
    let torn = reply
        .frames
        .iter()
        .filter(|frame| std::str::from_utf8(frame).is_err())
        .count();
    assert!(torn > 4, "{torn}");
    assert_whole(&reply.text());
}

async fn one_write(sim: &Running) {
    let reply = raw(sim, &marked("one-write")).await;
    assert_eq!(reply.frames.len(), 1);
    assert_whole(&reply.text());
    let ordinary = raw(sim, &marked("ok")).await;
    assert_eq!(ordinary.frames.len(), sse(&ordinary.text()).len());
}

async fn crlf(sim: &Running) {
    let text = raw(sim, &marked("crlf")).await.text();
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    assert_whole(&text);
}

async fn huge_line(sim: &Running) {
    let text = send_text(sim, &marked("huge-line after=1")).await;
    let longest = text.lines().map(str::len).max().unwrap();
    assert!(longest > 10 * 1024 * 1024);
    assert!(is_done(&events(&text)));
    let (_, _, body) = send_json(sim, &ask("[sim:huge-line bytes=5000]")).await;
    assert_eq!(body["choices"][0]["message"]["content"].as_str().unwrap().len(), 5000);
}

async fn length(sim: &Running) {
    let cut = events(&send_text(sim, &marked("length after=9")).await);
    assert_eq!((contents(&cut).len(), finish_reason(&cut)), (9, Some("length")));
    let request = with(marked("length empty=true"), json!({"max_completion_tokens": 64}));
    let empty = events(&send_text(sim, &request).await);
    assert_eq!((contents(&empty).len(), reasoning(&empty).len()), (0, 64));
    assert_eq!(finish_reason(&empty), Some("length"));
    let (_, _, body) = send_json(sim, &with(request, json!({"stream": false}))).await;
    assert_eq!(body["choices"][0]["message"]["content"], "");
    assert_eq!(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 64);
}

async fn content_filter(sim: &Running) {
    let events = events(&send_text(sim, &marked("content-filter after=3")).await);
    assert_eq!(
        (contents(&events).len(), finish_reason(&events)),
        (3, Some("content_filter"))
    );
    assert!(is_done(&events));
}

async fn tool_calls(sim: &Running) {
    let parameters = json!({"type": "object", "properties": {"why": {"type": "string"}}});
    let tools = json!([{"type": "function", "function": {"name": "hand_off", "parameters": parameters}}]);
    let events_of =
        async |scenario: &str| events(&send_text(sim, &with(marked(scenario), json!({"tools": tools}))).await);
    let plain = events_of("tool-calls after=2").await;
    assert_eq!((contents(&plain).len(), finish_reason(&plain)), (2, Some("tool_calls")));
    let calls: Vec<_> = plain
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["tool_calls"].as_array())
        .collect();
    assert_eq!(calls.len(), 1);
    let call = &calls[0][0];
    assert_eq!((&call["type"], &call["index"]), (&json!("function"), &json!(0)));
    assert!(call["id"].as_str().unwrap().starts_with("fc_"));
    assert_eq!(
        call["function"],
        json!({"name": "hand_off", "arguments": r#"{"why":"Grüße"}"#})
    );

    let given = events_of(r#"tool-calls tool=other arguments="{\"why\": ]""#).await;
    let call = given
        .iter()
        .find_map(|event| event["choices"][0]["delta"]["tool_calls"].get(0))
        .unwrap();
    assert_eq!(call["function"], json!({"name": "other", "arguments": "{\"why\": ]"}));
}

async fn usage(sim: &Running) {
    for times in 0..=3_usize {
        let text = send_text(sim, &marked(&format!("usage times={times}"))).await;
        assert_eq!(text.matches("\"usage\":{").count(), times);
        let calls = sim.control().wait_for_ended(times + 1, LIMIT).await.unwrap();
        let call = calls.last().unwrap();
        assert_eq!(call.usage_sent as usize, times);
        assert!(call.billed.is_some());
    }
    let (_, _, body) = send_json(sim, &ask("[sim:usage times=0]")).await;
    assert!(body.get("usage").is_none());
}

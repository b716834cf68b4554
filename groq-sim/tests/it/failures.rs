//! The checks of scenarios that answer something other than a stream or a completion; `scenarios.rs` calls them.

use groq_sim::{Outcome, Running};
use serde_json::json;

use crate::scenarios::marked;
use crate::support::{LIMIT, send, send_json, send_text, with};

pub(crate) async fn status(sim: &Running) {
    let cases: [(&str, u16, Option<&str>, &str); 18] = [
        ("code=400", 400, None, "Bad Request"),
        (
            "code=400 error=json_validate_failed",
            400,
            Some("json_validate_failed"),
            "Failed to generate JSON",
        ),
        (
            "code=400 error=tool_use_failed",
            400,
            Some("tool_use_failed"),
            "Failed to call a function",
        ),
        (
            "code=400 error=model_decommissioned",
            400,
            Some("model_decommissioned"),
            "has been decommissioned",
        ),
        (
            "code=400 error=blocked_api_access",
            400,
            Some("blocked_api_access"),
            "spend limit",
        ),
        (
            "code=400 error=context_length_exceeded",
            400,
            Some("context_length_exceeded"),
            "reduce the length",
        ),
        ("code=401", 401, Some("invalid_api_key"), "Invalid API Key"),
        ("code=403", 403, None, "permission"),
        ("code=404", 404, Some("model_not_found"), "does not exist"),
        ("code=413", 413, Some("rate_limit_exceeded"), "Request too large"),
        ("code=422", 422, None, "could not be followed"),
        ("code=424", 424, None, "remote tool"),
        ("code=429", 429, Some("rate_limit_exceeded"), "tokens per minute (TPM)"),
        ("code=498", 498, Some("capacity_exceeded"), "Flex tier"),
        ("code=499", 499, None, "cancelled"),
        ("code=500", 500, None, "Internal Server Error"),
        ("code=502 message=\"so it is\"", 502, None, "so it is"),
        (
            "code=503",
            503,
            None,
            "is currently over capacity. Please try again and back off exponentially",
        ),
    ];
    for (scenario, status, code, says) in cases {
        for stream in [true, false] {
            let request = with(marked(&format!("status {scenario}")), json!({"stream": stream}));
            let (got, headers, body) = send_json(sim, &request).await;
            assert_eq!(got, status, "{scenario}");
            let error = &body["error"];
            assert_eq!(error["code"].as_str(), code, "{scenario}");
            assert!(error["message"].as_str().unwrap().contains(says), "{scenario}: {error}");
            assert!(error["type"].is_string());
            assert_eq!(headers.contains_key("retry-after"), status == 429, "{scenario}");
            assert!(headers.contains_key("x-request-id"));
        }
    }
    let calls = sim.control().calls();
    assert!(
        calls
            .iter()
            .all(|call| call.outcome == Outcome::Refused && call.billed.is_none())
    );
}

pub(crate) async fn rate_limit(sim: &Running) {
    let cases = [
        (
            "tpm",
            "tokens",
            "tokens per minute (TPM): Limit 8000, Used 7739, Requested 1108",
            "6.3525s",
            "6.3525",
        ),
        ("tpd", "tokens", "tokens per day (TPD)", "17m13.344s", "1033.344"),
        ("rpm", "requests", "requests per minute (RPM)", "2s", "2"),
        ("rpd", "requests", "requests per day (RPD)", "1m26.4s", "86.4"),
    ];
    for (kind, error_type, says, again, after) in cases {
        let (status, headers, body) = send_json(sim, &marked(&format!("rate-limit kind={kind}"))).await;
        assert_eq!(status, 429);
        let error = &body["error"];
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!(error_type), &json!("rate_limit_exceeded"))
        );
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(says) && message.contains(&format!("Please try again in {again}.")),
            "{message}"
        );
        assert_eq!(headers["retry-after"], after);
        assert_eq!(headers["x-ratelimit-limit-tokens"], "8000");
        match kind {
            "tpm" => assert_eq!(headers["x-ratelimit-remaining-tokens"], "261"),
            "rpd" => assert_eq!(headers["x-ratelimit-reset-requests"], "1m26.4s"),
            _ => {}
        }
    }
    let (_, headers, body) = send_json(sim, &marked("rate-limit wait=0.5775 retry_after=none")).await;
    assert!(!headers.contains_key("retry-after"));
    assert!(body["error"]["message"].as_str().unwrap().contains("577.5ms"));
    let (_, headers, _) = send_json(sim, &marked("rate-limit retry_after=\"in a while\"")).await;
    assert_eq!(headers["retry-after"], "in a while");
}

pub(crate) async fn too_large(sim: &Running) {
    for code in [413, 429] {
        let (status, headers, body) = send_json(sim, &marked(&format!("too-large code={code}"))).await;
        assert_eq!(status, code);
        assert_eq!(
            (&body["error"]["type"], &body["error"]["code"]),
            (&json!("tokens"), &json!("rate_limit_exceeded"))
        );
        let message = body["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("Request too large") && message.contains("Limit 8000, Requested 8222"),
            "{message}"
        );
        assert!(!headers.contains_key("retry-after"));
    }
}

pub(crate) async fn html_error(sim: &Running) {
    let response = send(sim, &marked("html-error")).await;
    assert_eq!(response.status(), 502);
    assert_eq!(response.headers()["content-type"], "text/html");
    assert!(response.text().await.unwrap().starts_with("<html>"));
}

pub(crate) async fn not_json(sim: &Running) {
    let response = send(sim, &marked("not-json")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain");
    assert_eq!(response.text().await.unwrap(), "upstream ok");
    assert_eq!(send_text(sim, &marked("not-json body=\"\"")).await, "");
    let calls = sim.control().wait_for_ended(2, LIMIT).await.unwrap();
    assert!(calls.iter().all(|call| call.outcome == Outcome::Finished));
}

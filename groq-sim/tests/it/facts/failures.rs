//! The table of failures: status, body and headers of each row, streamed or not.

use groq_sim::{Outcome, Running};
use serde_json::{Value, json};

use crate::support::{LIMIT, ask, instant, send_json, with};

const MODEL: &str = "openai/gpt-oss-20b";
const ORGANIZATION: &str = "org_01simulated0000000000000000";
const UPGRADE: &str = "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing";

struct Row {
    scenario: &'static str,
    status: u16,
    /// All but `failed_generation`, which must be there where this has it.
    error: Value,
    /// On 429 only.
    retry_after: Option<&'static str>,
}

fn row(scenario: &'static str, status: u16, error: Value) -> Row {
    Row {
        scenario,
        status,
        error,
        retry_after: None,
    }
}

fn invalid(code: &str, message: &str) -> Value {
    json!({"message": message, "type": "invalid_request_error", "code": code})
}

/// The words of a limit that is reached.
fn limit(scenario: &'static str, what: &str, kind: &str, figures: &str, again: &str, retry_after: &'static str) -> Row {
    let message = format!(
        "Rate limit reached for model `{MODEL}` in organization `{ORGANIZATION}` service tier `on_demand` on {what}: \
         {figures}. Please try again in {again}. {UPGRADE}"
    );
    Row {
        retry_after: Some(retry_after),
        ..row(
            scenario,
            429,
            json!({"message": message, "type": kind, "code": "rate_limit_exceeded"}),
        )
    }
}

fn too_large(scenario: &'static str, status: u16) -> Row {
    let message = format!(
        "Request too large for model `{MODEL}` in organization `{ORGANIZATION}` service tier `on_demand` on tokens per \
         minute (TPM): Limit 8000, Requested 8222, please reduce your message size and try again. {UPGRADE}"
    );
    row(
        scenario,
        status,
        json!({"message": message, "type": "tokens", "code": "rate_limit_exceeded"}),
    )
}

fn refusals() -> Vec<Row> {
    let generation = |mut error: Value| {
        error["failed_generation"] = json!("");
        error
    };
    vec![
        row(
            "status code=400 error=json_validate_failed",
            400,
            generation(invalid(
                "json_validate_failed",
                "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.",
            )),
        ),
        row(
            "status code=400 error=tool_use_failed",
            400,
            generation(invalid(
                "tool_use_failed",
                "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
            )),
        ),
        row(
            "status code=400 error=model_decommissioned",
            400,
            invalid(
                "model_decommissioned",
                &format!(
                    "The model `{MODEL}` has been decommissioned and is no longer supported. Please refer to \
                     https://console.groq.com/docs/deprecations for a recommendation on which model to use instead."
                ),
            ),
        ),
        row(
            "status code=404",
            404,
            invalid(
                "model_not_found",
                &format!("The model `{MODEL}` does not exist or you do not have access to it."),
            ),
        ),
        row(
            "status code=400 error=blocked_api_access",
            400,
            invalid(
                "blocked_api_access",
                "API access is blocked because the organization has reached its spend limit. Raise it at \
                 https://console.groq.com/settings/billing",
            ),
        ),
        row("status code=401", 401, invalid("invalid_api_key", "Invalid API Key")),
        row(
            "status code=403",
            403,
            json!({"message": "You do not have permission to use this resource.", "type": "permissions_error"}),
        ),
        row(
            "status code=422",
            422,
            json!({"message": "The request was well formed, but it could not be followed.",
                "type": "invalid_request_error"}),
        ),
        row(
            "status code=424",
            424,
            json!({"message": "A remote tool could not be reached.", "type": "failed_dependency"}),
        ),
        row(
            "status code=498",
            498,
            json!({"message": format!("Flex tier capacity for model `{MODEL}` is exceeded. Please try again, or use \
                another tier."), "type": "capacity_exceeded", "code": "capacity_exceeded"}),
        ),
        row(
            "status code=499",
            499,
            json!({"message": "The request was cancelled by the caller.", "type": "request_cancelled"}),
        ),
        row(
            "status code=408",
            408,
            json!({"message": "Request Timeout", "type": "invalid_request_error"}),
        ),
        row(
            "status code=409",
            409,
            json!({"message": "Conflict", "type": "invalid_request_error"}),
        ),
        row(
            "status code=500",
            500,
            json!({"message": "Internal Server Error", "type": "internal_server_error"}),
        ),
        row(
            "status code=502",
            502,
            json!({"message": "Bad Gateway", "type": "internal_server_error"}),
        ),
        row(
            "status code=503",
            503,
            json!({"message": format!("{MODEL} is currently over capacity. Please try again and back off exponentially. \
                Visit https://groqstatus.com to see if there is an active incident."),
                "type": "internal_server_error"}),
        ),
    ]
}

fn limits() -> Vec<Row> {
    let minute = "tokens per minute (TPM)";
    vec![
        too_large("too-large code=413", 413),
        too_large("too-large code=429", 429),
        too_large("status code=413", 413),
        // The three forms of a duration.
        limit(
            "rate-limit",
            minute,
            "tokens",
            "Limit 8000, Used 7739, Requested 1108",
            "6.3525s",
            "6.3525",
        ),
        limit(
            "rate-limit wait=0.5775",
            minute,
            "tokens",
            "Limit 8000, Used 7739, Requested 1108",
            "577.5ms",
            "0.5775",
        ),
        limit(
            "rate-limit kind=tpd",
            "tokens per day (TPD)",
            "tokens",
            "Limit 200000, Used 199700, Requested 2692",
            "17m13.344s",
            "1033.344",
        ),
        limit(
            "rate-limit kind=rpm",
            "requests per minute (RPM)",
            "requests",
            "Limit 30, Used 30, Requested 1",
            "2s",
            "2",
        ),
        limit(
            "rate-limit kind=rpd",
            "requests per day (RPD)",
            "requests",
            "Limit 1000, Used 1000, Requested 1",
            "1m26.4s",
            "86.4",
        ),
    ]
}

async fn check(sim: &Running, row: Row) {
    let scenario = row.scenario;
    for stream in [true, false] {
        let request = with(ask(&format!("[sim:{scenario}]")), json!({"stream": stream}));
        let (status, headers, mut body) = send_json(sim, &request).await;
        assert_eq!(status, row.status, "{scenario}");
        let mut expected = row.error.clone();
        for error in [&mut body["error"], &mut expected] {
            if let Some(generation) = error.get_mut("failed_generation") {
                assert!(generation.is_string());
                *generation = json!("");
            }
        }
        assert_eq!(body, json!({"error": expected}), "{scenario}");
        let retry_after = headers.get("retry-after").map(|value| value.to_str().unwrap());
        assert_eq!(retry_after, row.retry_after, "{scenario}");
        let call = sim.control().wait_for_ended(1, LIMIT).await.unwrap().pop().unwrap();
        assert_eq!(headers["x-request-id"], call.request_id.as_str(), "{scenario}");
        assert_eq!(headers["content-type"], "application/json", "{scenario}");
        assert_eq!(
            (call.outcome, call.billed),
            (Outcome::Refused, None),
            "{scenario}: not billed"
        );
    }
}

#[tokio::test]
async fn refusals_and_faults() {
    let sim = instant().await;
    for row in refusals() {
        check(&sim, row).await;
    }
}

/// `retry-after` comes with 429 only, and not where the request alone is larger than the limit.
#[tokio::test]
async fn limits_that_are_reached() {
    let sim = instant().await;
    for row in limits() {
        check(&sim, row).await;
    }
}

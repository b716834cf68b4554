//! Replies that are an error status, in Groq's words, and those that are not Groq's at all.

use std::time::Duration;

use bytes::Bytes;

use super::framing::{Notes, Piece, Step};
use super::headers::{self, Headers, Standing};
use super::{Hold, Parts, Plan, chunks, go_duration};
use crate::quota::Over;
use crate::request::{ChatRequest, Refusal};
use crate::scenario::{ErrorCode, Fault, LimitKind, Options};
use crate::settings::Limits;

const ORGANIZATION: &str = "org_01simulated0000000000000000";
const UPGRADE: &str = "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing";
const FAILED_GENERATION: &str = "{\"answer\": \"Grüße – this never en";

/// The failure that the scenario asks for, if it is one.
pub(super) fn of(parts: &Parts<'_>) -> Option<Plan> {
    let ids = || headers::request_id(&parts.envelope.request_id);
    let with_standing = || [ids(), Standing::of(parts).headers(parts)].concat();
    let plan = match &parts.scenario.fault {
        Fault::Status {
            code: 429,
            error: None,
            message,
        } => rate_limit(parts, LimitKind::Tpm, None, None, message.as_deref()),
        Fault::Status { code, error, message } => {
            let mut refusal = of_status(parts, *code, *error);
            if let Some(message) = message {
                refusal.detail.message.clone_from(message);
            }
            refuse(
                &refusal,
                if matches!(code, 413 | 498) {
                    with_standing()
                } else {
                    ids()
                },
            )
        }
        Fault::RateLimit {
            kind,
            wait,
            retry_after,
        } => rate_limit(parts, *kind, *wait, retry_after.as_deref(), None),
        Fault::TooLarge { code, limit, requested } => {
            let words = too_large(parts.request, *code, LimitKind::Tpm, *limit, *requested);
            refuse(&words, with_standing())
        }
        Fault::HtmlError { code } => html(*code),
        Fault::NotJson { body } => plain(
            200,
            vec![headers::content_type("text/plain")],
            Bytes::from(body.clone()),
        ),
        Fault::ErrorEvent { code, status, .. } if !parts.request.stream => {
            let mut body = chunks::in_stream_error(code, *status);
            body.error.status_code = None;
            refuse(
                &Refusal {
                    status: *status,
                    detail: Box::new(body.error),
                },
                ids(),
            )
        }
        Fault::ErrorData { .. } | Fault::ErrorXGroq { .. } if !parts.request.stream => {
            refuse(&of_status(parts, 500, None), ids())
        }
        _ => return None,
    };
    Some(plan)
}

pub(super) fn refuse(refusal: &Refusal, mut headers: Headers) -> Plan {
    headers.push(headers::content_type("application/json"));
    let body = serde_json::to_vec(&refusal.body()).unwrap_or_default();
    plain(refusal.status, headers, body.into())
}

fn plain(status: u16, headers: Headers, bytes: Bytes) -> Plan {
    let length = Some(bytes.len() as u64);
    let steps = vec![Step::Send(Piece {
        bytes,
        notes: Notes {
            chunks: 1,
            ..Notes::default()
        },
    })];
    Plan {
        hold: Hold::For(Duration::ZERO),
        status,
        headers,
        length,
        steps,
        bill: None,
        generating: None,
    }
}

fn of_status(parts: &Parts<'_>, status: u16, error: Option<ErrorCode>) -> Refusal {
    let model = parts.request.model.id;
    let invalid = |code: Option<&str>, message: &str| Refusal::new(status, "invalid_request_error", code, message);
    if let Some(code) = error {
        let refusal = match code {
            ErrorCode::JsonValidateFailed => invalid(
                Some("json_validate_failed"),
                "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.",
            )
            .failed_generation(FAILED_GENERATION),
            ErrorCode::ToolUseFailed => invalid(
                Some("tool_use_failed"),
                "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
            )
            .failed_generation(FAILED_GENERATION),
            ErrorCode::ModelDecommissioned => Refusal::decommissioned(model),
            ErrorCode::BlockedApiAccess => invalid(
                Some("blocked_api_access"),
                "API access is blocked because the organization has reached its spend limit. Raise it at \
                 https://console.groq.com/settings/billing",
            ),
            ErrorCode::ContextLengthExceeded => Refusal::context_length(),
        };
        return Refusal { status, ..refusal };
    }
    let internal = |message: &str| Refusal::new(status, "internal_server_error", None, message);
    match status {
        401 => Refusal::unauthorized(),
        408 => invalid(None, "Request Timeout"),
        409 => invalid(None, "Conflict"),
        403 => Refusal::new(
            status,
            "permissions_error",
            None,
            "You do not have permission to use this resource.",
        ),
        404 => Refusal::model_not_found(model),
        413 => too_large(parts.request, 413, LimitKind::Tpm, 8000, 8222),
        422 => invalid(None, "The request was well formed, but it could not be followed."),
        424 => Refusal::new(status, "failed_dependency", None, "A remote tool could not be reached."),
        498 => Refusal::new(
            status,
            "capacity_exceeded",
            Some("capacity_exceeded"),
            format!("Flex tier capacity for model `{model}` is exceeded. Please try again, or use another tier."),
        ),
        499 => Refusal::new(
            status,
            "request_cancelled",
            None,
            "The request was cancelled by the caller.",
        ),
        502 => internal("Bad Gateway"),
        503 => internal(&format!(
            "{model} is currently over capacity. Please try again and back off exponentially. Visit \
             https://groqstatus.com to see if there is an active incident."
        )),
        500..=599 => internal("Internal Server Error"),
        _ => invalid(None, "Bad Request"),
    }
}

/// How messages name a limit, and the `type` of their errors.
fn names(kind: LimitKind) -> (&'static str, &'static str) {
    match kind {
        LimitKind::Tpm => ("tokens per minute (TPM)", "tokens"),
        LimitKind::Tpd => ("tokens per day (TPD)", "tokens"),
        LimitKind::Rpm => ("requests per minute (RPM)", "requests"),
        LimitKind::Rpd => ("requests per day (RPD)", "requests"),
    }
}

fn too_large(request: &ChatRequest, status: u16, kind: LimitKind, limit: u64, requested: u64) -> Refusal {
    let model = request.model.id;
    let tier = &request.service_tier;
    let (what, error_type) = names(kind);
    Refusal::new(
        status,
        error_type,
        Some("rate_limit_exceeded"),
        format!(
            "Request too large for model `{model}` in organization `{ORGANIZATION}` service tier `{tier}` on {what}: \
             Limit {limit}, Requested {requested}, please reduce your message size and try again. {UPGRADE}"
        ),
    )
}

fn reached(request: &ChatRequest, kind: LimitKind, limit: u64, used: u64, requested: u64, wait: Duration) -> Refusal {
    let model = request.model.id;
    let tier = &request.service_tier;
    let (what, error_type) = names(kind);
    let again = go_duration::format(wait);
    Refusal::new(
        429,
        error_type,
        Some("rate_limit_exceeded"),
        format!(
            "Rate limit reached for model `{model}` in organization `{ORGANIZATION}` service tier `{tier}` on {what}: \
             Limit {limit}, Used {used}, Requested {requested}. Please try again in {again}. {UPGRADE}"
        ),
    )
}

/// The refusal of a request that is over an enforced limit.
pub(super) fn over_limit(over: &Over, limits: Limits, request: &ChatRequest, request_id: &str) -> Plan {
    let standing = Standing::with(limits, over.standing.requests_day, over.standing.tokens_minute);
    let mut headers = headers::request_id(request_id);
    headers.extend(standing.headers_but(&Options::default()));
    let Some(wait) = over.wait else {
        let words = too_large(request, 413, over.kind, over.limit, over.requested);
        return refuse(&words, headers);
    };
    headers.push(headers::retry_after(&wait.as_secs_f64().to_string()));
    let words = reached(request, over.kind, over.limit, over.used, over.requested, wait);
    refuse(&words, headers)
}

fn rate_limit(
    parts: &Parts<'_>,
    kind: LimitKind,
    wait: Option<f64>,
    retry_after: Option<&str>,
    message: Option<&str>,
) -> Plan {
    // Figures of the free plan, so that text, header and arithmetic agree.
    let (limit, used, requested, usual_wait) = match kind {
        LimitKind::Tpm => (8000, 7739, 1108, 6.3525),
        LimitKind::Tpd => (200_000, 199_700, 2692, 1033.344),
        LimitKind::Rpm => (30, 30, 1, 2.0),
        LimitKind::Rpd => (1000, 1000, 1, 86.4),
    };
    let seconds = wait.unwrap_or(usual_wait);
    let wait = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let mut refusal = reached(parts.request, kind, limit, used, requested, wait);
    if let Some(message) = message {
        message.clone_into(&mut refusal.detail.message);
    }

    let mut standing = Standing::of(parts);
    standing.limits = Limits::FREE;
    standing.remaining_requests = standing.remaining_requests.min(999);
    standing.remaining_tokens = standing.remaining_tokens.min(8000);
    match kind {
        LimitKind::Tpm => {
            standing.remaining_tokens = limit - used;
            standing.reset_tokens = wait;
        }
        LimitKind::Rpd => {
            standing.remaining_requests = 0;
            standing.reset_requests = wait;
        }
        // Only the text tells of a day's tokens and of a minute's requests.
        LimitKind::Tpd | LimitKind::Rpm => {}
    }
    let mut headers = [headers::request_id(&parts.envelope.request_id), standing.headers(parts)].concat();
    match retry_after {
        Some("none") => {}
        Some(given) => headers.push(headers::retry_after(given)),
        None => headers.push(headers::retry_after(&seconds.to_string())),
    }
    refuse(&refusal, headers)
}

fn html(status: u16) -> Plan {
    let page = format!(
        "<html>\r\n<head><title>{status} Bad Gateway</title></head>\r\n<body>\r\n<center><h1>{status} Bad \
         Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
    );
    plain(status, vec![headers::content_type("text/html")], page.into())
}

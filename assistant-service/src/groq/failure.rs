//! What can go wrong with a call to the provider, by what can be done about it.

use std::num::NonZeroU32;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::classify::{classify, limit_of_requests};
use super::retry_after;
use super::wire::{Code, ErrorBody, Fault, FaultBody};

/// How a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No connection came about.
    Unreachable,
    /// The connection broke in the middle.
    Broken,
    /// A time limit of ours was over.
    TimedOut(Phase),
    /// What came is no answer in the provider's protocol.
    Protocol(&'static str),
    /// The provider has a fault, or too much to do. Not billed.
    Overloaded,
    /// The service tier is full; another may not be.
    TierFull,
    /// A rate limit is used up.
    RateLimited(Window),
    /// The request alone is more than the limit allows: waiting never helps.
    TooLarge,
    /// The model is gone, or not for us.
    ModelUnavailable,
    /// The model wrote something that is not what was asked for.
    InvalidOutput,
    /// Our account with the provider may spend no more.
    SpendCapReached,
    /// The provider does not know us.
    Unauthenticated,
    /// The provider refuses the request.
    Rejected,
    /// The provider believes that we went away.
    Abandoned,
    /// The answer reached its length limit.
    Truncated,
    /// The provider's content filter stopped the answer.
    ContentFiltered,
    /// The model ended without a word.
    Empty,
    /// What the caller allows leaves no room for one call; none was made.
    OverAllowance,
    /// Another call would help, and whoever asked makes one call at a time.
    OneCall,
}

/// What was being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A connection.
    Connecting,
    /// The first token.
    FirstToken,
    /// The next chunk.
    NextChunk,
    /// The answer's end.
    Total,
    /// The same, when the caller's time was over.
    Deadline,
}

/// Which rate limit is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// One that comes back within the minute.
    Minute,
    /// One of the day.
    Day,
}

/// A failed call: the kind for programs, the rest for the logs. Nothing of what the provider wrote may reach a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?}")]
pub struct Failure {
    /// How it failed.
    pub kind: Kind,
    /// How long the provider says to wait.
    pub retry_after: Option<Duration>,
    /// What the logs want to know.
    pub detail: Detail,
}

/// What is known of a failure beyond its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// HTTP status, of the response or named inside its stream.
    pub status: Option<u16>,
    /// The limit of requests a minute, where it is the one that is used up: no header tells of it.
    pub requests_a_minute: Option<NonZeroU32>,
    /// The provider's code or type.
    pub code: Option<String>,
    /// The provider's or the network's words. May quote the prompt: never above debug level, never to a caller.
    pub text: Option<String>,
}

impl Failure {
    /// A failure that is known by itself.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            retry_after: None,
            detail: Detail::default(),
        }
    }

    /// A failure of the network.
    pub fn from_transport(error: reqwest::Error) -> Self {
        // The connect limit is the only one that the HTTP client knows.
        let kind = if error.is_timeout() {
            Kind::TimedOut(Phase::Connecting)
        } else if error.is_connect() {
            Kind::Unreachable
        } else {
            Kind::Broken
        };
        let mut text = error.without_url();
        Self {
            detail: Detail {
                text: Some(chain(&mut text)),
                ..Detail::default()
            },
            ..Self::new(kind)
        }
    }

    /// An HTTP error. `body` may be anything, a proxy's HTML page too.
    pub fn from_response(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let fault = match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) => told(body.error),
            Err(_) => FaultBody {
                message: Some(String::from_utf8_lossy(body).into_owned()),
                ..FaultBody::default()
            },
        };
        let kind = classify(Some(status.as_u16()), &fault);
        let retry_after = retry_after::from_header(headers).or_else(|| match kind {
            Kind::RateLimited(_) => retry_after_token_limit(headers, &fault),
            _ => None,
        });
        Self {
            kind,
            retry_after,
            detail: detail(kind, Some(status.as_u16()), fault),
        }
    }

    /// An error inside a stream that began well.
    pub fn from_stream(fault: Fault) -> Self {
        let fault = told(fault);
        let status = fault.status_code.or(match &fault.code {
            Some(Code::Number(status)) => Some(*status),
            // Numbers come as words, too.
            Some(Code::Word(word)) => word.parse().ok().filter(|status| (400..=599).contains(status)),
            _ => None,
        });
        let kind = classify(status, &fault);
        let retry_after = match kind {
            Kind::RateLimited(_) => fault.message.as_deref().and_then(retry_after::from_text),
            _ => None,
        };
        Self {
            kind,
            retry_after,
            detail: detail(kind, status, fault),
        }
    }
}

fn chain(error: &mut dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn told(fault: Fault) -> FaultBody {
    match fault {
        Fault::Told(body) => body,
        Fault::Said(message) => FaultBody {
            message: Some(message),
            ..FaultBody::default()
        },
        Fault::Other(_) => FaultBody::default(),
    }
}

fn detail(kind: Kind, status: Option<u16>, fault: FaultBody) -> Detail {
    const LONGEST_TEXT: usize = 500;
    let requests_a_minute = match kind {
        Kind::RateLimited(Window::Minute) => fault.message.as_deref().and_then(limit_of_requests),
        _ => None,
    };
    let code = match fault.code {
        Some(Code::Word(code)) => Some(code),
        Some(Code::Number(_) | Code::Other(_)) | None => fault.kind,
    };
    // A code is an identifier; anything else could be somebody's words.
    let code = code.filter(|code| {
        code.len() <= 64
            && code
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    });
    let text = fault.message.map(|text| text.chars().take(LONGEST_TEXT).collect());
    Detail {
        status,
        requests_a_minute,
        code,
        text,
    }
}

fn retry_after_token_limit(headers: &HeaderMap, fault: &FaultBody) -> Option<Duration> {
    let text = fault.message.as_deref().unwrap_or_default();
    let per_minute_tokens = text.contains("tokens per minute") || text.contains("(TPM)");
    let reset = per_minute_tokens
        .then(|| retry_after::from_token_reset(headers))
        .flatten();
    reset.or_else(|| retry_after::from_text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&'static str, &str)], body: &str) -> Failure {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Failure::from_response(
            StatusCode::from_u16(status).unwrap(),
            &headers.collect(),
            body.as_bytes(),
        )
    }

    fn body(message: &str, code: &str) -> String {
        serde_json::json!({"error": {"message": message, "type": "t", "code": code}}).to_string()
    }

    #[test]
    fn a_proxy_s_page_is_classified_by_its_status() {
        let page = "<html><body><h1>502 Bad Gateway</h1></body></html>";
        assert_eq!(response(502, &[], page).kind, Kind::Overloaded);
        assert_eq!(response(403, &[], page).kind, Kind::Unauthenticated);
        assert_eq!(response(500, &[], "\u{fffd}").kind, Kind::Overloaded);
        for odd in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"error":null}"#,
            r#"{"error":5}"#,
            r#"{"error":{"message":5,"code":[1]}}"#,
        ] {
            assert_eq!(response(503, &[], odd).kind, Kind::Overloaded, "{odd}");
        }
    }

    #[test]
    fn the_wait_is_the_header_s_then_the_reset_s_then_the_text_s() {
        let minute = body(
            "Rate limit reached on tokens per minute (TPM): Please try again in 3s.",
            "rate_limit_exceeded",
        );
        let all = [("retry-after", "1.5"), ("x-ratelimit-reset-tokens", "2.5s")];
        let wait = |headers: &[_], body: &str| response(429, headers, body).retry_after;

        assert_eq!(wait(&all, &minute), Some(Duration::from_millis(1_500)));
        assert_eq!(wait(&all[1..], &minute), Some(Duration::from_millis(2_500)));
        assert_eq!(wait(&[], &minute), Some(Duration::from_secs(3)));
        let requests = body(
            "Rate limit reached on requests per minute (RPM): try again in 3s",
            "rate_limit_exceeded",
        );
        assert_eq!(
            wait(&all[1..], &requests),
            Some(Duration::from_secs(3)),
            "the reset is of tokens"
        );
        assert_eq!(wait(&[("retry-after", "soon")], "<html>"), None);
    }

    #[test]
    fn errors_inside_a_stream() {
        let fault = |json: &str| Failure::from_stream(serde_json::from_str(json).unwrap());

        let tool =
            fault(r#"{"message":"m","type":"invalid_request_error","code":"tool_use_failed","status_code":400}"#);
        assert_eq!(tool.kind, Kind::InvalidOutput);
        assert_eq!(tool.detail.status, Some(400));
        assert_eq!(tool.detail.code.as_deref(), Some("tool_use_failed"));
        assert_eq!(fault(r#"{"code":503,"message":"m"}"#).kind, Kind::Overloaded);
        assert_eq!(fault(r#"{"type":"invalid_request_error"}"#).kind, Kind::Rejected);
        assert_eq!(
            fault(r#"{"code":"429","message":"m"}"#).kind,
            Kind::RateLimited(Window::Minute)
        );
        assert_eq!(fault(r#"{"code":"7","message":"m"}"#).detail.status, None);
        assert_eq!(fault(r#""over capacity""#).kind, Kind::Overloaded);
        assert_eq!(fault("[1]").kind, Kind::Overloaded);
        let limited = fault(r#""Rate limit reached on tokens per day (TPD): try again in 7m""#);
        assert_eq!(limited.kind, Kind::RateLimited(Window::Day));
        assert_eq!(limited.retry_after, Some(Duration::from_mins(7)));
    }

    #[test]
    fn a_code_that_is_no_identifier_is_not_kept() {
        let failure = response(400, &[], &body("m", "my password is hunter2"));
        assert_eq!(failure.detail.code, None);
        assert!(!failure.to_string().contains('m'));
    }
}

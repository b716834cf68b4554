//! Response headers.

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue};

use super::{Counted, Parts, go_duration};
use crate::scenario::Options;
use crate::settings::Limits;

pub(super) type Headers = Vec<(HeaderName, HeaderValue)>;

const DAY: f64 = 86_400.0;
const MINUTE: f64 = 60.0;

/// What the six `x-ratelimit-*` headers say.
pub(super) struct Standing {
    pub(super) limits: Limits,
    pub(super) remaining_requests: u64,
    pub(super) reset_requests: Duration,
    pub(super) remaining_tokens: u64,
    pub(super) reset_tokens: Duration,
}

impl Standing {
    /// With enforced limits as they are: a stream, whose headers come first, holds what it reserved, and a whole answer
    /// what it used. Without, as if this were the only call of the day. Cached tokens are free.
    pub(super) fn of(parts: &Parts<'_>) -> Self {
        let prompt = parts.bill.prompt_tokens - parts.bill.cached_tokens;
        let tokens = u64::from(prompt + parts.answer.completion_tokens());
        match parts.counted {
            None => Self::with(parts.limits, 1, tokens),
            Some(Counted { used, .. }) if parts.request.stream => {
                Self::with(parts.limits, used.requests_day, used.tokens_minute)
            }
            Some(Counted { used, reserved }) => {
                let others = used.tokens_minute.saturating_sub(reserved);
                Self::with(parts.limits, used.requests_day, others + tokens)
            }
        }
    }

    pub(super) fn with(limits: Limits, requests: u64, tokens: u64) -> Self {
        Self {
            limits,
            remaining_requests: limits.requests_per_day.saturating_sub(requests),
            reset_requests: share(DAY, requests, limits.requests_per_day),
            remaining_tokens: limits.tokens_per_minute.saturating_sub(tokens),
            reset_tokens: share(MINUTE, tokens, limits.tokens_per_minute),
        }
    }

    pub(super) fn headers(&self, parts: &Parts<'_>) -> Headers {
        self.headers_but(&parts.scenario.options)
    }

    /// What the options say goes first; of what is not limited nothing is said.
    pub(super) fn headers_but(&self, options: &Options) -> Headers {
        let count = |value: u64| HeaderValue::from(value);
        let reset = |asked: &Option<String>, computed| text(asked.as_deref().unwrap_or(&go_duration::format(computed)));
        let mut headers = vec![
            (name("x-ratelimit-limit-requests"), count(self.limits.requests_per_day)),
            (name("x-ratelimit-limit-tokens"), count(self.limits.tokens_per_minute)),
            (
                name("x-ratelimit-remaining-requests"),
                count(options.remaining_requests.unwrap_or(self.remaining_requests)),
            ),
            (
                name("x-ratelimit-remaining-tokens"),
                count(options.remaining_tokens.unwrap_or(self.remaining_tokens)),
            ),
            (
                name("x-ratelimit-reset-requests"),
                reset(&options.reset_requests, self.reset_requests),
            ),
            (
                name("x-ratelimit-reset-tokens"),
                reset(&options.reset_tokens, self.reset_tokens),
            ),
        ];
        for (limit, ending) in [
            (self.limits.requests_per_day, "-requests"),
            (self.limits.tokens_per_minute, "-tokens"),
        ] {
            if limit == 0 {
                headers.retain(|(name, _)| !name.as_str().ends_with(ending));
            }
        }
        headers
    }
}

/// How long it takes until `used` of `limit` is there again, to the millisecond.
fn share(period: f64, used: u64, limit: u64) -> Duration {
    let seconds = period * used as f64 / limit.max(1) as f64;
    Duration::from_millis((seconds * 1000.0).ceil() as u64)
}

pub(super) fn request_id(id: &str) -> Headers {
    vec![(name("x-request-id"), text(id))]
}

pub(super) fn content_type(value: &'static str) -> (HeaderName, HeaderValue) {
    (CONTENT_TYPE, HeaderValue::from_static(value))
}

pub(super) fn no_cache() -> (HeaderName, HeaderValue) {
    (CACHE_CONTROL, HeaderValue::from_static("no-cache"))
}

pub(super) fn retry_after(value: &str) -> (HeaderName, HeaderValue) {
    (RETRY_AFTER, text(value))
}

fn name(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

/// A header cannot hold everything that a scenario may say; what it cannot hold is left empty.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""))
}

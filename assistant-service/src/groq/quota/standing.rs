//! What the headers of an answer say of the limits.

use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::groq::retry_after::go_duration;

/// What the headers of an answer say of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// How much there is in all.
    pub limit: Option<u64>,
    /// How much is left.
    pub remaining: Option<u64>,
    /// When all of it is there again.
    pub reset: Option<Duration>,
}

/// What the headers of an answer say of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Of a minute.
    pub tokens: Window,
    /// Of a day.
    pub requests: Window,
}

impl Standing {
    /// What `headers` say.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
        let count = |name| text(name)?.parse().ok();
        let reset = |name| go_duration(text(name)?);
        Self {
            tokens: Window {
                limit: count("x-ratelimit-limit-tokens"),
                remaining: count("x-ratelimit-remaining-tokens"),
                reset: reset("x-ratelimit-reset-tokens"),
            },
            requests: Window {
                limit: count("x-ratelimit-limit-requests"),
                remaining: count("x-ratelimit-remaining-requests"),
                reset: reset("x-ratelimit-reset-requests"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_provider() {
        let headers = [
            ("x-ratelimit-limit-requests", "14400"),
            ("x-ratelimit-limit-tokens", "8000"),
            ("x-ratelimit-remaining-requests", "14370"),
            ("x-ratelimit-remaining-tokens", "7997"),
            ("x-ratelimit-reset-requests", "2m59.56s"),
            ("x-ratelimit-reset-tokens", "22.5ms"),
        ];
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let standing = Standing::of(&headers);
        assert_eq!(standing.tokens.limit, Some(8_000));
        assert_eq!(standing.tokens.remaining, Some(7_997));
        assert_eq!(standing.tokens.reset, Some(Duration::from_millis(23)));
        assert_eq!(standing.requests.limit, Some(14_400));
        assert_eq!(standing.requests.reset, Some(Duration::from_millis(179_560)));
        assert_eq!(Standing::of(&HeaderMap::new()), Standing::default());
    }
}

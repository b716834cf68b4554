//! Which kind of failure an error of the provider is.

use std::num::NonZeroU32;

use super::failure::{Kind, Window};
use super::wire::{Code, FaultBody};

/// The code says most, then the text, then the HTTP status.
pub(super) fn classify(status: Option<u16>, fault: &FaultBody) -> Kind {
    let text = fault.message.as_deref().unwrap_or_default();
    match &fault.code {
        Some(Code::Word(code)) => match code.as_str() {
            "json_validate_failed" | "tool_use_failed" => return Kind::InvalidOutput,
            "model_decommissioned" | "model_not_found" => return Kind::ModelUnavailable,
            "blocked_api_access" => return Kind::SpendCapReached,
            "context_length_exceeded" | "request_too_large" => return Kind::TooLarge,
            "rate_limit_exceeded" => return rate_limit(text),
            "capacity_exceeded" => return Kind::TierFull,
            "invalid_api_key" => return Kind::Unauthenticated,
            _ => {}
        },
        Some(Code::Number(_) | Code::Other(_)) | None => {}
    }
    if text.contains("has been decommissioned") {
        return Kind::ModelUnavailable;
    }
    match status {
        Some(401 | 403) => Kind::Unauthenticated,
        Some(408 | 409) => Kind::Overloaded,
        Some(413) => Kind::TooLarge,
        Some(429) => rate_limit(text),
        Some(498) => Kind::TierFull,
        Some(499) => Kind::Abandoned,
        Some(400..=499) => Kind::Rejected,
        Some(500..=599) => Kind::Overloaded,
        Some(_) => Kind::Protocol("an HTTP status that is neither success nor error"),
        None => without_a_status(text, fault.kind.as_deref().unwrap_or_default()),
    }
}

fn rate_limit(text: &str) -> Kind {
    if text.contains("Request too large") {
        return Kind::TooLarge;
    }
    let of_the_day = text.contains("per day") || text.contains("(TPD)") || text.contains("(RPD)");
    Kind::RateLimited(if of_the_day { Window::Day } else { Window::Minute })
}

/// The limit of requests a minute that an error says is reached, such as `on requests per minute (RPM): Limit 30, Used 30`.
pub(super) fn limit_of_requests(text: &str) -> Option<NonZeroU32> {
    const WORD: &str = "Limit ";
    let (_, figures) = text.split_once("requests per minute (RPM)")?;
    let (_, limit) = figures.split_once(WORD)?;
    let digits = limit.find(|c: char| !c.is_ascii_digit()).unwrap_or(limit.len());
    limit.get(..digits)?.parse().ok()
}

/// An error inside a stream that names no status: only its words are left.
fn without_a_status(text: &str, kind: &str) -> Kind {
    if text.contains("Request too large") || text.contains("Rate limit reached") {
        return rate_limit(text);
    }
    if kind == "invalid_request_error" {
        return Kind::Rejected;
    }
    Kind::Overloaded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_requests_is_read_from_the_words() {
        let said =
            "Rate limit reached for model `m` on requests per minute (RPM): Limit 30, Used 30, Requested 1. Please";
        assert_eq!(limit_of_requests(said), NonZeroU32::new(30));
        for other in [
            "on tokens per minute (TPM): Limit 8000, Used 7739",
            "on requests per day (RPD): Limit 1000",
            "on requests per minute (RPM): Limit many",
            "on requests per minute (RPM): Limit 0,",
            "on requests per minute (RPM)",
            "Limit 30 on requests per minute (RPM)",
            "",
        ] {
            assert_eq!(limit_of_requests(other), None, "{other}");
        }
    }

    #[test]
    fn every_row_of_the_provider_s_table() {
        let minute = "Rate limit reached for model `m` on tokens per minute (TPM): Limit 8000, Used 7739, Requested 1108. \
                      Please try again in 6.3525s.";
        let day =
            "Rate limit reached for model `m` on tokens per day (TPD): Limit 200000. Please try again in 17m13.344s.";
        let large = "Request too large for model `m` on tokens per minute (TPM): Limit 8000, Requested 8222";
        let rows = [
            (400, "", "json_validate_failed", Kind::InvalidOutput),
            (400, "", "tool_use_failed", Kind::InvalidOutput),
            (400, "", "model_decommissioned", Kind::ModelUnavailable),
            (
                400,
                "The model `X` has been decommissioned and is no longer supported.",
                "",
                Kind::ModelUnavailable,
            ),
            (404, "", "model_not_found", Kind::ModelUnavailable),
            (404, "", "", Kind::Rejected),
            (400, "", "blocked_api_access", Kind::SpendCapReached),
            (400, "", "context_length_exceeded", Kind::TooLarge),
            (400, "property 'reasoning' is unsupported", "", Kind::Rejected),
            (401, "Invalid API Key", "invalid_api_key", Kind::Unauthenticated),
            (403, "", "", Kind::Unauthenticated),
            (413, large, "rate_limit_exceeded", Kind::TooLarge),
            (413, "", "", Kind::TooLarge),
            (429, large, "rate_limit_exceeded", Kind::TooLarge),
            (429, minute, "rate_limit_exceeded", Kind::RateLimited(Window::Minute)),
            (429, day, "rate_limit_exceeded", Kind::RateLimited(Window::Day)),
            (429, "", "", Kind::RateLimited(Window::Minute)),
            (422, "", "", Kind::Rejected),
            (424, "", "", Kind::Rejected),
            (498, "", "capacity_exceeded", Kind::TierFull),
            (499, "", "", Kind::Abandoned),
            (500, "", "", Kind::Overloaded),
            (502, "", "", Kind::Overloaded),
            (
                503,
                "m is currently over capacity. Please try again and back off exponentially.",
                "",
                Kind::Overloaded,
            ),
            (
                302,
                "",
                "",
                Kind::Protocol("an HTTP status that is neither success nor error"),
            ),
        ];
        for (status, message, code, kind) in rows {
            let fault = FaultBody {
                message: Some(message.to_owned()),
                code: Some(Code::Word(code.to_owned())),
                ..FaultBody::default()
            };
            assert_eq!(classify(Some(status), &fault), kind, "{status} {message} {code}");
        }
    }
}

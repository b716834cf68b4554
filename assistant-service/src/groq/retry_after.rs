//! How long the provider says to wait: in headers, or in the text of an error.

use std::time::Duration;

use reqwest::header::HeaderMap;

/// Waits longer than this are taken for nonsense.
const LONGEST: Duration = Duration::from_hours(48);

/// The header `retry-after`: seconds, which may have a fraction.
pub fn from_header(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("retry-after")?.to_str().ok()?.trim();
    in_milliseconds(value, 1_000.0)
}

/// When the tokens of this minute come back: a Go duration.
pub fn from_token_reset(headers: &HeaderMap) -> Option<Duration> {
    go_duration(headers.get("x-ratelimit-reset-tokens")?.to_str().ok()?.trim())
}

/// The words `try again in 6.3525s` of an error's text.
pub fn from_text(text: &str) -> Option<Duration> {
    const WORDS: &str = "try again in ";
    let at = text.to_ascii_lowercase().find(WORDS)? + WORDS.len();
    let rest = text.get(at..)?;
    let word = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).next()?;
    // The full stop of the sentence may have come along.
    go_duration(word.trim_end_matches('.'))
}

/// A duration as Go writes it, such as `17m13.344s` or `577.5ms`, rounded up to milliseconds.
pub(super) fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, from_unit) = rest.split_at(unit_at);
        let unit_end = from_unit
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(from_unit.len());
        let (unit, after) = from_unit.split_at(unit_end);
        let milliseconds_each = match unit {
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1_000.0,
            "ms" => 1.0,
            "us" | "µs" => 0.001,
            "ns" => 0.000_001,
            _ => return None,
        };
        sum = sum.checked_add(in_milliseconds(number, milliseconds_each)?)?;
        rest = after;
    }
    (!text.is_empty() && sum <= LONGEST).then_some(sum)
}

fn in_milliseconds(number: &str, milliseconds_each: f64) -> Option<Duration> {
    // Digits and a point only: `f64` also reads `inf`, `nan` and `1e9`.
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let milliseconds = number.parse::<f64>().ok()? * milliseconds_each;
    // Less than a nanosecond is the binary fraction's doing, and not rounded up.
    let whole = (milliseconds - 0.000_001).ceil().max(0.0);
    Duration::try_from_secs_f64(whole / 1_000.0)
        .ok()
        .filter(|wait| *wait <= LONGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(milliseconds: u64) -> Option<Duration> {
        Some(Duration::from_millis(milliseconds))
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn seconds_may_have_a_fraction_and_are_rounded_up() {
        for (value, wait) in [
            ("7", ms(7_000)),
            ("6.3525", ms(6_353)),
            ("0.1", ms(100)),
            ("0", ms(0)),
            (" 2 ", ms(2_000)),
        ] {
            assert_eq!(from_header(&headers("retry-after", value)), wait, "{value}");
        }
        for wrong in [
            "",
            "soon",
            "-1",
            "inf",
            "NaN",
            "1e3",
            "1.2.3",
            "99999999",
            "Wed, 21 Oct 2026 07:28:00 GMT",
        ] {
            assert_eq!(from_header(&headers("retry-after", wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn go_durations() {
        let cases = [
            ("6s", 6_000),
            ("130ms", 130),
            ("2m59.56s", 179_560),
            ("17m13.344s", 1_033_344),
            ("1h0m1s", 3_601_000),
        ];
        for (value, wait) in cases {
            assert_eq!(
                from_token_reset(&headers("x-ratelimit-reset-tokens", value)),
                ms(wait),
                "{value}"
            );
        }
        for wrong in ["", "6", "s", "6x", "6s7", "6.s.", "99999h", "6m s"] {
            assert_eq!(
                from_token_reset(&headers("x-ratelimit-reset-tokens", wrong)),
                None,
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_text_of_an_error() {
        let cases = [
            (
                "Limit 8000, Used 7739, Requested 1108. Please try again in 6.3525s. Need more tokens?",
                ms(6_353),
            ),
            ("Please try again in 577.5ms. Visit", ms(578)),
            ("Please Try Again In 17m13.344s.", ms(1_033_344)),
            ("try again in 7m", ms(420_000)),
            ("try again in a while", None),
            ("try again in ", None),
            ("nothing of the sort", None),
        ];
        for (text, wait) in cases {
            assert_eq!(from_text(text), wait, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = go_duration(&text);
            let _ = from_text(&format!("try again in {text}"));
        }
    }
}

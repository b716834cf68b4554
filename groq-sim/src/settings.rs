//! What can be set at start; `--help` is made of these comments.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::answer::Language;
use crate::scenario::Scenario;
use crate::scenario::script::Scripts;

/// Everything that the simulator can be told at start. The control endpoints change some of it later; a reset brings
/// these values back.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Settings {
    /// How fast answers come.
    #[command(flatten)]
    pub pace: Pace,

    /// How much may be asked for.
    #[command(flatten)]
    pub limits: Limits,

    /// Tokens in an answer's visible text; unset: 60 to 120, decided by the request.
    #[arg(long = "answer-tokens", env = "GROQ_SIM_ANSWER_TOKENS", value_name = "TOKENS")]
    pub answer_tokens: Option<u32>,

    /// The scenario of requests that ask for none, as in a marker: `slow ttft_ms=3000`.
    #[arg(
        long = "scenario",
        env = "GROQ_SIM_SCENARIO",
        value_name = "SCENARIO",
        default_value = "ok"
    )]
    pub scenario: Scenario,

    /// Tokens come as fast as Groq says that the model is, where it says so: 1,000 a second from gpt-oss-20b, 500 from
    /// gpt-oss-120b. A scenario's `token_ms` goes first.
    #[arg(long = "model-speed", env = "GROQ_SIM_MODEL_SPEED")]
    pub model_speed: bool,

    /// The language of answers: `auto` is that of the last user message, as far as that can be told, or one of en, de,
    /// es, fr; unset: English with words of other languages.
    #[arg(long = "answer-language", env = "GROQ_SIM_ANSWER_LANGUAGE", value_name = "LANGUAGE")]
    pub answer_language: Option<Language>,

    /// A folder of scripts, `*.json`, for `script of=<name of the file>`.
    #[arg(long = "scripts", env = "GROQ_SIM_SCRIPTS", value_name = "FOLDER", value_parser = Scripts::load)]
    pub scripts: Option<Scripts>,

    /// How many requests, and how many calls, are kept for `/_sim/requests` and `/_sim/calls`.
    #[command(flatten)]
    pub keep: Keep,
}

impl Settings {
    /// No delays at all: what most tests want.
    #[must_use]
    pub fn instant() -> Self {
        Self {
            pace: Pace::INSTANT,
            ..Self::default()
        }
    }
}

/// How fast tokens come. Fractions of milliseconds are fine; negative values count as 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Milliseconds from the request to the first token.
    #[arg(long, env = "GROQ_SIM_TTFT_MS", value_name = "MS", default_value_t = Pace::REALISTIC.ttft_ms)]
    pub ttft_ms: f64,

    /// Milliseconds from one token to the next; 5 is 200 tokens a second.
    #[arg(long, env = "GROQ_SIM_TOKEN_MS", value_name = "MS", default_value_t = Pace::REALISTIC.token_ms)]
    pub token_ms: f64,
}

impl Pace {
    /// 150 ms to the first token, then 200 tokens a second: what a small prompt sees from the real service, at the
    /// slower end, so that a development run looks like typing.
    pub const REALISTIC: Self = Self {
        ttft_ms: 150.0,
        token_ms: 5.0,
    };

    /// The same to the first token, then so many tokens a second.
    pub(crate) fn at_speed(self, tokens_per_second: u32) -> Self {
        Self {
            token_ms: 1000.0 / f64::from(tokens_per_second.max(1)),
            ..self
        }
    }

    /// No delay.
    pub const INSTANT: Self = Self {
        ttft_ms: 0.0,
        token_ms: 0.0,
    };

    pub(crate) fn to_first_token(self) -> Duration {
        milliseconds(self.ttft_ms)
    }

    pub(crate) fn per_token(self) -> Duration {
        milliseconds(self.token_ms)
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::REALISTIC
    }
}

/// Negative, infinite and absurd values become no wait, so that no setting can panic.
pub(crate) fn milliseconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or_default()
}

/// How much may be asked for, for each model; 0 is no limit. The `x-ratelimit-*` headers tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests a minute. No header tells of them.
    #[arg(
        long = "limit-requests-minute",
        env = "GROQ_SIM_LIMIT_REQUESTS_MINUTE",
        value_name = "COUNT",
        default_value_t = Limits::GENEROUS.requests_per_minute
    )]
    #[serde(default)]
    pub requests_per_minute: u64,

    /// Requests a day.
    #[arg(
        long = "limit-requests",
        env = "GROQ_SIM_LIMIT_REQUESTS",
        value_name = "COUNT",
        default_value_t = Limits::GENEROUS.requests_per_day
    )]
    #[serde(default)]
    pub requests_per_day: u64,

    /// Tokens a minute.
    #[arg(
        long = "limit-tokens",
        env = "GROQ_SIM_LIMIT_TOKENS",
        value_name = "COUNT",
        default_value_t = Limits::GENEROUS.tokens_per_minute
    )]
    #[serde(default)]
    pub tokens_per_minute: u64,

    /// Tokens a day. No header tells of them.
    #[arg(
        long = "limit-tokens-day",
        env = "GROQ_SIM_LIMIT_TOKENS_DAY",
        value_name = "COUNT",
        default_value_t = Limits::GENEROUS.tokens_per_day
    )]
    #[serde(default)]
    pub tokens_per_day: u64,

    /// Refuse what is over a limit. Without it the headers speak as if each call were the only one, so that a client
    /// that respects them is never held up. JSON that leaves it out means yes.
    #[arg(long = "enforce-limits", env = "GROQ_SIM_ENFORCE_LIMITS")]
    #[serde(default = "yes")]
    pub enforce: bool,
}

fn yes() -> bool {
    true
}

impl Limits {
    /// Of the size of a paid plan, and not enforced.
    pub const GENEROUS: Self = Self {
        requests_per_minute: 1000,
        requests_per_day: 500_000,
        tokens_per_minute: 250_000,
        tokens_per_day: 0,
        enforce: false,
    };

    /// The free plan's for each of the models, as of 2026-10, enforced.
    pub const FREE: Self = Self {
        requests_per_minute: 30,
        requests_per_day: 1000,
        tokens_per_minute: 8000,
        tokens_per_day: 200_000,
        enforce: true,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::GENEROUS
    }
}

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Keep {
    /// Requests and calls kept for `/_sim/requests` and `/_sim/calls`; the oldest go first.
    #[arg(long = "keep", env = "GROQ_SIM_KEEP", value_name = "COUNT", default_value_t = Keep::DEFAULT.calls)]
    pub calls: usize,
}

impl Keep {
    const DEFAULT: Self = Self { calls: 1000 };
}

impl Default for Keep {
    fn default() -> Self {
        Self::DEFAULT
    }
}

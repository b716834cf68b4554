//! Settings: flags, each with a variable of the same meaning. `--help` documents them all.

mod kept;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use service_kit::telemetry;

pub use kept::Kept;

use crate::prompt::LEAST_BUDGET;
use crate::usage::Prices;

/// The provider that is asked unless another is set. It takes no call without a key.
const GROQ: &str = "https://api.groq.com";
/// No call may take longer than this, whatever is set: a stream without a deadline of its caller's ends soon after.
pub(crate) const LONGEST_LIMIT: Duration = Duration::from_secs(110);

/// The assistant of a customer-support desk: prompts, and calls to the model's provider.
#[derive(Clone, Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// Instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub settings: Settings,
    /// What is logged, and how.
    #[command(flatten)]
    pub telemetry: telemetry::Settings,
}

/// What else can be done.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Asks the service at ASSISTANT_SERVICE_ADDR whether it is healthy: ends with 0 if so, else with 1.
    Health,
}

/// How the service serves.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Where it listens.
    #[command(flatten)]
    pub listen: Listen,
    /// Whom it asks.
    #[command(flatten)]
    pub provider: Provider,
    /// How it bears the provider's failures and limits.
    #[command(flatten)]
    pub calls: Calls,
    /// How much it sends and takes.
    #[command(flatten)]
    pub sizes: Sizes,
    /// What it tells the model.
    #[command(flatten)]
    pub prompts: Prompts,
    /// What it keeps from the model, and from those who read what it wrote.
    #[command(flatten)]
    pub kept: Kept,
}

/// What the model is told.
#[derive(Args, Clone, Debug)]
pub struct Prompts {
    /// Directory of prompts of your own. A file there is used instead of the built-in one of the same name; changes are
    /// taken within seconds, broken ones are not. docs/prompts.md says more.
    #[arg(long = "prompts-dir", env = "PROMPTS_DIR", value_name = "FOLDER")]
    directory: Option<String>,
}

impl Prompts {
    /// The directory; none where the variable is empty.
    pub fn directory(&self) -> Option<PathBuf> {
        let directory = self.directory.as_ref().filter(|directory| !directory.is_empty());
        directory.map(PathBuf::from)
    }
}

/// Where the service listens.
#[derive(Args, Clone, Debug)]
pub struct Listen {
    /// Address of the gRPC server.
    #[arg(long = "listen", env = "ASSISTANT_SERVICE_ADDR", default_value = "127.0.0.1:50052")]
    pub address: SocketAddr,
}

/// Whom the service asks.
#[derive(Args, Clone, Debug)]
pub struct Provider {
    /// Where the provider's API is: Groq's, or another with the same paths under /openai/v1.
    #[arg(long = "groq-base-url", env = "GROQ_BASE_URL", default_value = GROQ, value_parser = parse_base_url)]
    pub base_url: Url,
    /// The key for it. Groq's own API needs one.
    #[arg(long = "groq-api-key", env = "GROQ_API_KEY", hide_env_values = true)]
    pub api_key: Option<SecretString>,
    /// The model that is asked.
    #[arg(long = "groq-model", env = "GROQ_MODEL", default_value = "openai/gpt-oss-120b", value_parser = parse_model)]
    pub model: String,
    /// The model that is asked where that one is gone, keeps failing, or has used up its day; empty for none.
    #[arg(
        long = "groq-fallback-model",
        env = "GROQ_FALLBACK_MODEL",
        default_value = "openai/gpt-oss-20b",
        value_parser = parse_fallback
    )]
    pub fallback_model: String,
    /// How long it may take.
    #[command(flatten)]
    pub limits: Limits,
}

/// How long a call to the provider may take. Values are a number and `ms`, `s` or `m`; at most 110s.
#[derive(Args, Clone, Copy, Debug)]
pub struct Limits {
    /// Until there is a connection.
    #[arg(long = "connect-limit", env = "GROQ_CONNECT_LIMIT", default_value = "5s", value_parser = parse_limit)]
    pub connect: Duration,
    /// From the request's sending to the model's first token, reasoning included.
    #[arg(long = "first-token-limit", env = "GROQ_FIRST_TOKEN_LIMIT", default_value = "20s", value_parser = parse_limit)]
    pub first_token: Duration,
    /// From one chunk of the answer to the next.
    #[arg(long = "chunk-limit", env = "GROQ_CHUNK_LIMIT", default_value = "20s", value_parser = parse_limit)]
    pub between_chunks: Duration,
    /// From the request's sending to the end.
    #[arg(long = "total-limit", env = "GROQ_TOTAL_LIMIT", default_value = "60s", value_parser = parse_limit)]
    pub total: Duration,
}

/// How the provider's failures and limits are borne, and what its work costs.
#[derive(Args, Clone, Debug)]
pub struct Calls {
    /// How often one request is tried again after a failure that may pass. All requests together get a tenth of their number.
    #[arg(long = "groq-retries", env = "GROQ_RETRIES", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=5))]
    pub retries: u32,
    /// After so many failures in a row a model is left alone; 0 for never.
    #[arg(long, env = "GROQ_BREAKER_FAILURES", default_value_t = 5)]
    pub breaker_failures: u32,
    /// How long it is left alone before one call tries it again.
    #[arg(long, env = "GROQ_BREAKER_COOL_DOWN", default_value = "10s", value_parser = parse_limit)]
    pub breaker_cool_down: Duration,
    /// While the provider refuses our key, how long it is left between looks at its list of models, which show when it takes
    /// the key again; six times as long while it has lost a model.
    #[arg(long = "groq-look-interval", env = "GROQ_LOOK_INTERVAL", default_value = "10s", value_parser = parse_limit)]
    pub look_interval: Duration,
    /// How much of the provider's limits is ours, more than 0 and at most 1: of four replicas, each gets 0.25.
    #[arg(long, env = "QUOTA_SHARE", default_value_t = 1.0, value_parser = parse_share)]
    pub quota_share: f64,
    /// A JSON file of prices, instead of the built-in ones: by model `{"input", "cached_input", "output"}` in millionths of a
    /// US dollar per million tokens. The built-in ones are Groq's of 2026-10.
    #[arg(long = "prices-file", env = "PRICES_FILE")]
    pub prices: Option<PathBuf>,
}

/// How much is sent to the model and taken from it, in tokens. The defaults together stay under 8,000, which is what the
/// provider's free plan takes a minute: a larger request would be refused however long one waits.
#[derive(Args, Clone, Copy, Debug)]
pub struct Sizes {
    /// Most tokens of a prompt, by the bytes that tokens have had so far; what is older than fits is left out.
    #[arg(long, env = "PROMPT_TOKENS", default_value_t = 4_800, value_parser = clap::value_parser!(u32).range(i64::from(LEAST_BUDGET)..=1_000_000))]
    pub prompt_tokens: u32,
    /// Most tokens of an answer's text.
    #[arg(long, env = "ANSWER_TOKENS", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(16..=65_536))]
    pub answer_tokens: u32,
    /// Room for reasoning on top of it, for models that reason.
    #[arg(long, env = "REASONING_TOKENS", default_value_t = 2_048, value_parser = clap::value_parser!(u32).range(0..=65_536))]
    pub reasoning_tokens: u32,
}

impl Settings {
    /// What no single value shows.
    ///
    /// # Errors
    /// Where the settings do not go together; the text names the variable.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.provider.key().is_none() && self.provider.base_url.as_str().starts_with(GROQ) {
            bail!(
                "GROQ_API_KEY is not set, and {GROQ} takes no call without one (GROQ_BASE_URL names another provider)"
            );
        }
        Prices::read(self.calls.prices.as_deref())?;
        self.provider.authorization().map(drop)
    }
}

impl Provider {
    /// The key; none where the variable is empty.
    pub fn key(&self) -> Option<&SecretString> {
        self.api_key.as_ref().filter(|key| !key.expose_secret().is_empty())
    }

    /// The model that is asked where the first cannot be, if it is another.
    pub fn fallback(&self) -> Option<&str> {
        let name = self.fallback_model.as_str();
        (!name.is_empty() && name != self.model).then_some(name)
    }

    /// What the header `authorization` says; none without a key. Not shown by `Debug`.
    ///
    /// # Errors
    /// Where the key holds what no header can.
    pub fn authorization(&self) -> anyhow::Result<Option<HeaderValue>> {
        let Some(key) = self.key() else {
            return Ok(None);
        };
        let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
            // The error would not say more, and must not.
            .map_err(|_| anyhow::anyhow!("GROQ_API_KEY holds characters that no key has"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// The address of one of the API's resources.
    ///
    /// # Errors
    /// Where the base URL cannot be built upon.
    pub fn url(&self, resource: &str) -> anyhow::Result<Url> {
        let base = self.base_url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/openai/v1/{resource}")).context("GROQ_BASE_URL cannot be built upon")
    }
}

fn parse_base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|wrong| wrong.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("it must begin with http:// or https:// and a host".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err("it must have no query, fragment or credentials".to_owned());
    }
    Ok(url)
}

fn parse_model(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        return Err("it must be a model's name, at most 200 bytes".to_owned());
    }
    Ok(name.to_owned())
}

fn parse_fallback(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    parse_model(text)
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "it must be more than 0 and at most 1".to_owned())
}

fn parse_limit(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let value: u64 = digits
        .parse()
        .map_err(|_| "it must be a number and ms, s or m, such as 20s".to_owned())?;
    let limit = match text.get(digits.len()..) {
        Some("ms") => Duration::from_millis(value),
        Some("s") => Duration::from_secs(value),
        Some("m") => Duration::from_secs(value.saturating_mul(60)),
        _ => return Err("it must be a number and ms, s or m, such as 20s".to_owned()),
    };
    if limit.is_zero() || limit > LONGEST_LIMIT {
        return Err(format!(
            "it must be more than 0 and at most {}s",
            LONGEST_LIMIT.as_secs()
        ));
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["assistant-service"], arguments].concat())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_key_is_in_no_help_and_no_debug_output() {
        let cli = parse(&["--groq-api-key", "gsk_canary"]).unwrap();
        let header = cli.settings.provider.authorization().unwrap().unwrap();
        assert_eq!(header, "Bearer gsk_canary");
        assert!(!format!("{cli:?} {header:?}").contains("gsk_canary"));
        let argument = Cli::command();
        let argument = argument
            .get_arguments()
            .find(|argument| argument.get_id() == "api_key")
            .unwrap();
        assert!(argument.is_hide_env_values_set());
    }

    #[test]
    fn wrong_values_are_refused_with_their_name() {
        for (flag, wrong) in [
            ("--groq-base-url", "api.groq.com"),
            ("--groq-base-url", "ftp://x"),
            ("--groq-base-url", "https://user:pw@x"),
            ("--groq-base-url", "https://x?y"),
            ("--groq-model", " "),
            ("--total-limit", "0s"),
            ("--total-limit", "111s"),
            ("--total-limit", "20"),
            ("--total-limit", "s"),
            ("--total-limit", "18446744073709551615m"),
            ("--prompt-tokens", "3999"),
            ("--quota-share", "0"),
            ("--quota-share", "1.1"),
            ("--quota-share", "NaN"),
            ("--groq-retries", "6"),
            ("--listen", "localhost"),
            ("--redact", "emails"),
            ("--links-allowed", "https://example.com"),
        ] {
            let error = parse(&[flag, wrong]).unwrap_err().to_string();
            assert!(error.contains(flag), "{error}");
        }
    }

    #[test]
    fn the_fallback_is_another_model_or_none() {
        let fallback = |arguments: &[&str]| {
            parse(arguments)
                .unwrap()
                .settings
                .provider
                .fallback()
                .map(str::to_owned)
        };
        assert_eq!(fallback(&[]).as_deref(), Some("openai/gpt-oss-20b"));
        assert_eq!(fallback(&["--groq-fallback-model", ""]), None);
        assert_eq!(fallback(&["--groq-model", "openai/gpt-oss-20b"]), None);
    }

    #[test]
    fn limits_have_units() {
        assert_eq!(parse_limit("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_limit("1m"), Ok(Duration::from_secs(60)));
    }

    #[test]
    fn the_defaults_fit_the_free_plan() {
        let sizes = parse(&[]).unwrap().settings.sizes;
        assert!(sizes.prompt_tokens + sizes.answer_tokens + sizes.reasoning_tokens < 8_000);
    }

    #[test]
    fn groq_needs_a_key_and_others_do_not() {
        let check = |arguments: &[&str]| parse(arguments).unwrap().settings.check();
        let groq = ["--groq-base-url", GROQ];
        assert!(
            check(&[&groq[..], &["--groq-api-key", ""]].concat())
                .unwrap_err()
                .to_string()
                .contains("GROQ_API_KEY")
        );
        assert!(check(&[&groq[..], &["--groq-api-key", "gsk_x"]].concat()).is_ok());
        assert!(check(&["--groq-base-url", "http://127.0.0.1:1", "--groq-api-key", ""]).is_ok());
        let garbled = check(&["--groq-api-key", "gsk_canary\n"]).unwrap_err();
        assert!(garbled.to_string().contains("GROQ_API_KEY") && !format!("{garbled:?}").contains("canary"));
    }

    #[test]
    fn prices_that_cannot_be_read_are_refused_at_the_start() {
        let settings = parse(&["--groq-api-key", "k", "--prices-file", "/nowhere"])
            .unwrap()
            .settings;
        assert!(settings.check().unwrap_err().to_string().contains("PRICES_FILE"));
    }

    #[test]
    fn paths_are_built_upon_the_base() {
        let url = |base| {
            parse(&["--groq-base-url", base])
                .unwrap()
                .settings
                .provider
                .url("models")
                .unwrap()
                .to_string()
        };
        assert_eq!(url("http://x:1"), "http://x:1/openai/v1/models");
        assert_eq!(url("https://x/proxy/"), "https://x/proxy/openai/v1/models");
    }
}

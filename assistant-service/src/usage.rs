//! What calls cost: tokens, as the provider says or by an estimate on the safe side, and their price.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

use crate::groq::wire;

/// Groq's prices of 2026-10.
const BUILT_IN: &str = include_str!("prices.json");
/// Faster than any model of the provider writes (1,000 a second, 2026-10).
const TOKENS_PER_SECOND: u64 = 1_500;
/// How long the provider may go on writing after we closed the connection.
const CLOSING: Duration = Duration::from_millis(250);
/// Marks that a model writes around its text, and that never arrive.
const MARKS: u64 = 64;

/// Tokens of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the prompt, cached ones included.
    pub input: u64,
    /// Of the prompt, those that the provider had cached.
    pub cached_input: u64,
    /// Written by the model, reasoning included.
    pub output: u64,
    /// Spent on reasoning.
    pub reasoning: u64,
}

impl Tokens {
    /// What counts towards the provider's limits: cached tokens do not.
    pub fn counted(&self) -> u64 {
        self.input.saturating_sub(self.cached_input).saturating_add(self.output)
    }
}

impl From<wire::Usage> for Tokens {
    fn from(usage: wire::Usage) -> Self {
        let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
        let reasoning = usage
            .completion_tokens_details
            .and_then(|details| details.reasoning_tokens);
        Self {
            input: usage.prompt_tokens.into(),
            cached_input: cached.unwrap_or_default().into(),
            output: usage.completion_tokens.into(),
            reasoning: reasoning.unwrap_or_default().into(),
        }
    }
}

/// Where a count comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the provider: equal to its books. A call that it refused, or that never reached it, is zero there.
    Reported,
    /// From us, never below what the provider can count.
    Estimated,
}

/// What is known of a call whose provider did not say what it cost.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// No prompt has more tokens than this.
    pub input_at_most: u64,
    /// No answer has more tokens than this.
    pub output_at_most: u64,
    /// Bytes of text and reasoning that arrived. A token is at least one byte.
    pub bytes: u64,
    /// For how long the model may have written unheard.
    pub silent: Duration,
}

impl Heard {
    /// A count that is not below the provider's: all that arrived as if each byte were a token, and all that the model can
    /// have written since.
    pub fn estimate(&self) -> Tokens {
        let silent = u64::try_from(self.silent.saturating_add(CLOSING).as_millis()).unwrap_or(u64::MAX);
        let unheard = silent.saturating_mul(TOKENS_PER_SECOND).div_ceil(1_000);
        let output = self.bytes.saturating_add(unheard).saturating_add(MARKS);
        Tokens {
            input: self.input_at_most,
            output: output.min(self.output_at_most),
            ..Tokens::default()
        }
    }
}

/// What a model's tokens cost, in millionths of a US dollar per million tokens: $0.15 is 150000.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Tokens of the prompt.
    pub input: u32,
    /// Those of them that the provider had cached.
    pub cached_input: u32,
    /// Tokens that the model writes.
    pub output: u32,
}

impl Price {
    /// The price of `tokens` in millionths of a US dollar, rounded up.
    pub fn of(&self, tokens: &Tokens) -> u64 {
        let cached = tokens.cached_input.min(tokens.input);
        let each = |count: u64, price: u32| u128::from(count) * u128::from(price);
        let sum = each(tokens.input - cached, self.input)
            + each(cached, self.cached_input)
            + each(tokens.output, self.output);
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// Prices by the model's name.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Prices(HashMap<String, Price>);

impl Prices {
    /// Those of `file`, instead of the built-in ones; those where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read or is not a table of prices.
    pub fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else {
            return serde_json::from_str(BUILT_IN).context("the built-in prices cannot be read");
        };
        let text = std::fs::read(file).with_context(|| format!("PRICES_FILE: cannot read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("PRICES_FILE: {} holds no prices", file.display()))
    }

    /// The price of a model, if there is one.
    pub fn of(&self, model: &str) -> Option<Price> {
        self.0.get(model).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_built_in_prices_are_the_provider_s() {
        let prices = Prices::read(None).unwrap();
        let tokens = |input, cached_input, output| Tokens {
            input,
            cached_input,
            output,
            reasoning: 0,
        };
        let big = prices.of("openai/gpt-oss-120b").unwrap();
        for (tokens, cost) in [
            (tokens(0, 0, 0), 0),
            (tokens(1_000_000, 0, 0), 150_000),
            (tokens(0, 0, 1_000_000), 600_000),
            (tokens(1_000_000, 1_000_000, 0), 75_000),
            (tokens(1_000, 400, 200), 90 + 30 + 120),
            // 0.15 and 0.6: never rounded to nothing.
            (tokens(1, 0, 0), 1),
            (tokens(1, 0, 1), 1),
            (tokens(u64::MAX, 0, u64::MAX), 13_835_058_055_282_163_712),
            // More cached than there are says nothing.
            (tokens(2, 5, 0), 1),
        ] {
            assert_eq!(big.of(&tokens), cost, "{tokens:?}");
        }
        assert_eq!(prices.of("some/model"), None);
    }

    #[test]
    fn a_file_replaces_them_and_mistakes_are_named() {
        let folder = std::env::temp_dir().join(format!("deskhand-prices-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("prices.json");
        std::fs::write(&file, r#"{"my/model": {"input": 1, "cached_input": 2, "output": 3}}"#).unwrap();
        let prices = Prices::read(Some(&file)).unwrap();
        assert_eq!(prices.of("my/model").map(|price| price.output), Some(3));
        assert_eq!(prices.of("openai/gpt-oss-120b"), None);
        for wrong in [
            "",
            "[]",
            r#"{"m":{"input":1}}"#,
            r#"{"m":{"input":-1,"cached_input":0,"output":0}}"#,
        ] {
            std::fs::write(&file, wrong).unwrap();
            let error = Prices::read(Some(&file)).unwrap_err().to_string();
            assert!(error.contains("PRICES_FILE"), "{error}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(
            Prices::read(Some(&file))
                .unwrap_err()
                .to_string()
                .contains("PRICES_FILE")
        );
    }

    #[test]
    fn an_estimate_covers_what_the_model_may_have_written_unheard() {
        let heard = |bytes, seconds| Heard {
            input_at_most: 900,
            output_at_most: 3_072,
            bytes,
            silent: Duration::from_secs(seconds),
        };
        assert_eq!(heard(100, 0).estimate().output, 100 + 64 + 375);
        assert_eq!(heard(0, 1).estimate().output, 64 + 1_875);
        assert_eq!(heard(0, 60).estimate().output, 3_072);
        assert_eq!(heard(0, u64::MAX).estimate().output, 3_072);
        assert_eq!(heard(1, 0).estimate().input, 900);
    }

    proptest! {
        #[test]
        fn a_cost_never_falls_short(input in 0_u64..1 << 40, cached in 0_u64..1 << 40, output in 0_u64..1 << 40) {
            let price = Price { input: 150_000, cached_input: 75_000, output: 600_000 };
            let tokens = Tokens { input, cached_input: cached.min(input), output, reasoning: 0 };
            let exact = (input - cached.min(input)) as f64 * 0.15 + cached.min(input) as f64 * 0.075 + output as f64 * 0.6;
            let cost = price.of(&tokens) as f64;
            prop_assert!(cost >= exact - 1e-3 && cost < exact + 1.001);
        }
    }
}

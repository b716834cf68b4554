//! How many tokens a prompt has, by what prompts had before.
//!
//! There is no encoder here: one costs 53 MB, serves one family of models, and nothing needs the exact number
//! beforehand. Instead each model's tokens per byte are learned from the usage that the provider reports, cached tokens
//! included. An estimate is the moving average, and three times the mean by which prompts exceeded it, so that it stays
//! on the safe side where prompts differ, and closes in on the truth where they are alike.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tokens per byte before anything is learned: 3 bytes a token, fewer than in most languages.
const START: f64 = 1.0 / 3.0;
/// The fewest and the most tokens per byte that are believed: 5 and 2 bytes a token.
const LEAST: f64 = 1.0 / 5.0;
/// See [`LEAST`].
const MOST: f64 = 1.0 / 2.0;
/// The fewest bytes that a token is ever taken to have: what fits by this always fits.
pub const LEAST_BYTES_PER_TOKEN: usize = 2;
/// How much one prompt moves the average, and how much it moves the excess.
const GAIN: f64 = 1.0 / 8.0;
/// How much of the mean excess an estimate adds.
const MARGIN: f64 = 3.0;
/// Shorter prompts say little: what is not text outweighs the text.
const SHORTEST: usize = 500;
/// Nobody sets more models than this; what is beyond is not learned.
const MOST_MODELS: usize = 64;

/// What is learned, by model.
#[derive(Debug, Default)]
pub struct Ratios {
    models: Mutex<HashMap<String, Ratio>>,
}

/// What is known of one model at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Tokens per byte, on average.
    mean: f64,
    /// By how much prompts exceeded the average, on average.
    excess: f64,
}

impl Default for Ratio {
    fn default() -> Self {
        Self {
            mean: START,
            excess: 0.0,
        }
    }
}

impl Ratios {
    /// Learns that a prompt of `bytes` bytes had `tokens` tokens, as the provider counts them.
    pub fn learn(&self, model: &str, bytes: usize, tokens: u32) {
        if bytes < SHORTEST || tokens == 0 {
            return;
        }
        let mut models = self.locked();
        if let Some(ratio) = models.get_mut(model) {
            *ratio = ratio.after(bytes, tokens);
        } else if models.len() < MOST_MODELS {
            models.insert(model.to_owned(), Ratio::default().after(bytes, tokens));
        }
    }

    /// The tokens that `model` is taken to count in a prompt of `bytes` bytes.
    pub fn estimate(&self, model: &str, bytes: usize) -> u32 {
        self.of(model).tokens(bytes)
    }

    /// What is known of `model` now.
    pub fn of(&self, model: &str) -> Ratio {
        self.locked().get(model).copied().unwrap_or_default()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Ratio>> {
        // What is kept is whole at every moment.
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ratio {
    /// The tokens that a prompt of `bytes` bytes is taken for.
    pub fn tokens(self, bytes: usize) -> u32 {
        // Casts of floats saturate.
        (bytes as f64 * self.per_byte()).ceil() as u32
    }

    /// The most bytes that are taken for no more than `tokens`.
    pub fn bytes(self, tokens: u32) -> usize {
        let mut bytes = (f64::from(tokens) / self.per_byte()) as usize;
        while bytes > 0 && self.tokens(bytes) > tokens {
            bytes -= 1;
        }
        bytes
    }

    fn per_byte(self) -> f64 {
        (self.mean + MARGIN * self.excess).clamp(LEAST, MOST)
    }

    fn after(self, bytes: usize, tokens: u32) -> Self {
        let seen = (f64::from(tokens) / bytes as f64).clamp(LEAST, MOST);
        let excess = (seen - self.mean).max(0.0);
        Self {
            mean: self.mean + GAIN * (seen - self.mean),
            excess: self.excess + GAIN * (excess - self.excess),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_begins_on_the_safe_side_and_each_model_learns_alone() {
        let ratios = Ratios::default();
        assert_eq!(ratios.estimate("a", 3_000), 1_000);
        for _ in 0..100 {
            ratios.learn("a", 4_400, 1_000);
        }
        let learned = ratios.estimate("a", 4_400);
        assert!((1_000..1_005).contains(&learned), "{learned}");
        assert_eq!(ratios.estimate("b", 3_000), 1_000);
    }

    #[test]
    fn an_estimate_never_moves_away_from_a_truth_that_holds_still() {
        for tokens in [600, 1_000, 1_700] {
            let ratios = Ratios::default();
            let wrong = |ratios: &Ratios| (i64::from(ratios.estimate("a", 4_000)) - tokens).abs();
            for _ in 0..60 {
                let before = wrong(&ratios);
                ratios.learn("a", 4_000, tokens as u32);
                // Where prompts turn out denser than thought, the margin overshoots, on the safe side.
                assert!(tokens > 1_334 || wrong(&ratios) <= before.max(60));
            }
            let left = if tokens == 600 { 800 - 600 } else { 0 };
            assert!(wrong(&ratios) - left <= tokens / 50, "{tokens}: {}", wrong(&ratios));
        }
    }

    #[test]
    fn where_prompts_differ_it_stays_above_most_of_them() {
        let ratios = Ratios::default();
        let prompts = [850_u32, 950, 1_000, 1_050, 1_150];
        for round in 0..200 {
            ratios.learn("a", 4_000, prompts[round % prompts.len()]);
        }
        let estimate = ratios.estimate("a", 4_000);
        assert!((1_100..1_300).contains(&estimate), "{estimate}");
    }

    proptest! {
        #[test]
        fn whatever_is_reported_it_stays_bounded(
            reports in prop::collection::vec((0_usize..usize::MAX, any::<u32>()), 0..50),
            bytes in 0_usize..10_000_000,
        ) {
            let ratios = Ratios::default();
            for (bytes, tokens) in reports {
                ratios.learn("a", bytes, tokens);
            }
            let estimate = ratios.estimate("a", bytes) as usize;
            prop_assert!(estimate >= bytes / 5 && estimate <= bytes.div_ceil(LEAST_BYTES_PER_TOKEN));
        }

        #[test]
        fn what_fits_is_estimated_to_fit_and_a_byte_more_is_not(
            tokens in 0_u32..1_000_000,
            reports in prop::collection::vec((500_usize..10_000, 1_u32..10_000), 0..20),
        ) {
            let ratio = reports.iter().fold(Ratio::default(), |ratio, (bytes, tokens)| ratio.after(*bytes, *tokens));
            let bytes = ratio.bytes(tokens);
            prop_assert!(ratio.tokens(bytes) <= tokens);
            prop_assert!(ratio.tokens(bytes + 2) > tokens);
        }
    }
}

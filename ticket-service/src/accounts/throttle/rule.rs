//! How long the next try waits: the rule alone, without clock or database.

use std::time::Duration;

/// So many tries are free; then each makes the next one wait, twice as long every time, up to a bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// Tries without a wait between them.
    pub(super) free: u32,
    /// The wait after the last free one.
    pub(super) first: Duration,
    /// The longest wait.
    pub(super) most: Duration,
}

impl Rule {
    /// How long the next try waits after `tries` without success.
    pub(super) fn wait_after(self, tries: u32) -> Duration {
        let Some(doublings) = tries.checked_sub(self.free) else {
            return Duration::ZERO;
        };
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        self.first.checked_mul(factor).unwrap_or(self.most).min(self.most)
    }

    /// The waits in seconds after the first try, the second, and so on; after the last of them it stays.
    pub(super) fn waits(self) -> Vec<f64> {
        let rising = (1..).take_while(|&tries| self.wait_after(tries) < self.most);
        let waits = rising.map(|tries| self.wait_after(tries));
        waits.chain([self.most]).map(|wait| wait.as_secs_f64()).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::accounts::throttle::LOG_INS;

    #[test]
    fn five_are_free_then_a_second_doubles_to_a_quarter_of_an_hour() {
        let waits: Vec<u64> = (1..=17).map(|tries| LOG_INS.wait_after(tries).as_secs()).collect();
        assert_eq!(
            waits,
            [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
        );
    }

    fn rules() -> impl Strategy<Value = Rule> {
        (0_u32..50, 1_u64..3600, 0_u64..100_000).prop_map(|(free, first, more)| Rule {
            free,
            first: Duration::from_secs(first),
            most: Duration::from_secs(first + more),
        })
    }

    proptest! {
        #[test]
        fn waits_never_fall_and_never_pass_the_bound(rule in rules(), tries: u32) {
            let (wait, next) = (rule.wait_after(tries), rule.wait_after(tries.saturating_add(1)));
            prop_assert!(wait <= next && next <= rule.most);
            prop_assert_eq!(wait.is_zero(), tries < rule.free);
            prop_assert!(tries < rule.free || next == rule.most || next == wait * 2);
        }

        #[test]
        fn the_list_says_the_same(rule in rules(), tries in 1_u32..200) {
            let waits = rule.waits();
            let at = (tries as usize).min(waits.len()) - 1;
            prop_assert_eq!(waits[at], rule.wait_after(tries).as_secs_f64());
            prop_assert_eq!(waits.last().copied(), Some(rule.most.as_secs_f64()));
        }
    }
}

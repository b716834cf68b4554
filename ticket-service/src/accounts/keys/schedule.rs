//! Which key does what, and when: rules over the times at which keys were made, and a clock.
//!
//! The newest key that has been published long enough signs. A key that verifiers have never seen must not sign, for they
//! keep the set for minutes; so a new one is published at once and signs [`PUBLISHED_FIRST`] later. The oldest key signs
//! from the beginning: where it is the only one, nothing else could. Every key verifies and is published until it is
//! retired.

use std::time::Duration;

use time::OffsetDateTime;

use crate::accounts::tokens;

/// How long a key is published before it signs; longer than anyone may keep the published set.
pub(super) const PUBLISHED_FIRST: Duration = Duration::from_secs(15 * 60);
/// How long the last token of a key is accepted.
const ACCEPTED: Duration = Duration::from_secs(tokens::LIFETIME.as_secs() + tokens::LEEWAY);
/// How far clocks of replicas may be apart.
const CLOCKS: Duration = Duration::from_secs(tokens::LEEWAY);

/// When a key was made; `None` where its file's name does not say it, which counts as before all others.
pub(super) type Made = Option<OffsetDateTime>;

/// What a key does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is published, and will sign.
    Next,
    /// It signs.
    Signing,
    /// A newer one signs, and its own tokens may live.
    VerifyingOnly,
    /// Its last token has ended.
    CanBeRetired,
}

/// Why a key must not be retired yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("this key signs now; make another one, which takes over after 15 minutes")]
    Signs,
    #[error("this key is about to sign; make another one, which takes over after 15 minutes")]
    AboutToSign,
    #[error("tokens that this key signed are accepted until {}", crate::timestamp::rfc3339(*.0))]
    TokensLive(OffsetDateTime),
}

/// All keys of a folder by the times at which they were made, the oldest first; never empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule<'a>(pub(super) &'a [Made]);

impl Schedule<'_> {
    /// When this key begins to sign; `None`: it always has.
    pub(super) fn signs_from(self, key: usize) -> Made {
        let made = self.0[key];
        if key == 0 {
            made
        } else {
            made.map(|made| made + PUBLISHED_FIRST)
        }
    }

    /// The key that signs.
    pub(super) fn signing(self, now: OffsetDateTime) -> usize {
        let has_begun = |key: &usize| self.signs_from(*key).is_none_or(|from| from <= now);
        (0..self.0.len()).rev().find(has_begun).unwrap_or(0)
    }

    /// What this key does.
    pub(super) fn state(self, key: usize, now: OffsetDateTime) -> State {
        let signing = self.signing(now);
        if key > signing {
            State::Next
        } else if key == signing {
            State::Signing
        } else if self.last_token_ends(key).is_none_or(|end| end <= now) {
            State::CanBeRetired
        } else {
            State::VerifyingOnly
        }
    }

    /// Whether this key may go without taking a token with it that lives, or leaving nothing that signs.
    pub(super) fn may_retire(self, key: usize, now: OffsetDateTime) -> Result<(), Refusal> {
        match self.state(key, now) {
            State::Signing => Err(Refusal::Signs),
            // A replica whose clock is ahead may sign with it already.
            State::Next if self.signing(now + CLOCKS) >= key => Err(Refusal::AboutToSign),
            State::Next | State::CanBeRetired => Ok(()),
            State::VerifyingOnly => self
                .last_token_ends(key)
                .map_or(Ok(()), |end| Err(Refusal::TokensLive(end))),
        }
    }

    /// When the last token that this key may have signed ends; `None`: long ago.
    fn last_token_ends(self, key: usize) -> Made {
        self.signs_from(key + 1).map(|taken_over| taken_over + ACCEPTED)
    }
}

/// The time that a new key is given, in whole seconds: after all others even where a clock was set back, so that the order
/// is the one in which keys were made.
pub(super) fn time_of_new(newest: Made, now: OffsetDateTime) -> OffsetDateTime {
    let second = time::Duration::SECOND;
    let whole = now.replace_nanosecond(0).unwrap_or(now);
    let rounded_up = if whole < now { whole + second } else { whole };
    newest.map_or(rounded_up, |newest| rounded_up.max(newest + second))
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::collection::vec;
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
    const MINUTE: time::Duration = time::Duration::MINUTE;

    fn states(made: &[Made], now: OffsetDateTime) -> Vec<State> {
        (0..made.len()).map(|key| Schedule(made).state(key, now)).collect()
    }

    #[test]
    fn a_first_key_signs_at_once() {
        for made in [None, Some(NOON), Some(NOON + MINUTE)] {
            assert_eq!(states(&[made], NOON), [State::Signing]);
            assert_eq!(Schedule(&[made]).may_retire(0, NOON), Err(Refusal::Signs));
        }
    }

    #[test]
    fn a_rotation_from_its_beginning_to_its_end() {
        use State::{CanBeRetired, Next, Signing, VerifyingOnly};
        let made = [None, Some(NOON)];
        let ends = NOON + 25 * MINUTE + time::Duration::seconds(15);
        let blink = time::Duration::NANOSECOND;
        for (now, expected, old, new) in [
            (NOON, [Signing, Next], Err(Refusal::Signs), Ok(())),
            (
                NOON + 15 * MINUTE - blink,
                [Signing, Next],
                Err(Refusal::Signs),
                Err(Refusal::AboutToSign),
            ),
            (
                NOON + 15 * MINUTE,
                [VerifyingOnly, Signing],
                Err(Refusal::TokensLive(ends)),
                Err(Refusal::Signs),
            ),
            (
                ends - blink,
                [VerifyingOnly, Signing],
                Err(Refusal::TokensLive(ends)),
                Err(Refusal::Signs),
            ),
            (ends, [CanBeRetired, Signing], Ok(()), Err(Refusal::Signs)),
        ] {
            assert_eq!(states(&made, now), expected, "{now}");
            assert_eq!(Schedule(&made).may_retire(0, now), old, "{now}");
            assert_eq!(Schedule(&made).may_retire(1, now), new, "{now}");
        }
    }

    #[test]
    fn of_keys_without_a_time_the_last_signs() {
        assert_eq!(states(&[None, None], NOON), [State::CanBeRetired, State::Signing]);
    }

    #[test]
    fn a_new_key_s_time_is_whole_and_after_all_others() {
        let half = NOON + time::Duration::milliseconds(500);
        let second = time::Duration::SECOND;
        assert_eq!(time_of_new(None, NOON), NOON);
        assert_eq!(time_of_new(None, half), NOON + second);
        assert_eq!(time_of_new(Some(NOON), NOON), NOON + second);
        assert_eq!(time_of_new(Some(NOON + MINUTE), NOON), NOON + MINUTE + second);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(u16),
        Generate,
        Retire(prop::sample::Index),
        Force(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..1500_u16).prop_map(Step::Wait),
            3 => Just(Step::Generate),
            4 => any::<prop::sample::Index>().prop_map(Step::Retire),
            1 => any::<prop::sample::Index>().prop_map(Step::Force),
        ];
        vec(step, 1..60)
    }

    /// A folder of keys that are told apart by number, as the commands change it.
    #[derive(Default)]
    struct Folder {
        keys: Vec<(u32, Made)>,
        published: HashMap<u32, OffsetDateTime>,
        forced_out: HashSet<u32>,
        count: u32,
    }

    impl Folder {
        fn times(&self) -> Vec<Made> {
            self.keys.iter().map(|(_, made)| *made).collect()
        }

        fn generate(&mut self, now: OffsetDateTime) {
            let newest = self.keys.last().and_then(|(_, made)| *made);
            self.keys.push((self.count, Some(time_of_new(newest, now))));
            self.published.insert(self.count, now);
            self.count += 1;
        }

        fn step(&mut self, step: &Step, now: OffsetDateTime) {
            match step {
                Step::Wait(_) => {}
                Step::Generate => self.generate(now),
                Step::Retire(index) => {
                    let key = index.index(self.keys.len());
                    if Schedule(&self.times()).may_retire(key, now).is_ok() {
                        self.keys.remove(key);
                    }
                }
                Step::Force(index) => {
                    if self.keys.len() == 1 {
                        self.generate(now);
                    }
                    let key = index.index(self.keys.len());
                    self.forced_out.insert(self.keys.remove(key).0);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn one_signs_its_tokens_live_and_verifiers_know_it_before(steps in steps(), legacy: bool) {
            let mut now = NOON;
            let mut folder = Folder::default();
            folder.generate(now);
            if legacy {
                folder.keys[0].1 = None;
            }
            // Of each key the last; where that one is accepted, earlier ones are.
            let mut last_tokens: HashMap<u32, OffsetDateTime> = HashMap::new();
            for step in &steps {
                let seconds = if let Step::Wait(seconds) = step { i64::from(*seconds) } else { 0 };
                folder.step(step, now);
                let begin = now;
                for passed in (0..=seconds).step_by(5).chain([seconds]) {
                    now = begin + time::Duration::seconds(passed);
                    let times = folder.times();
                    let signing = Schedule(&times).signing(now);
                    let states = states(&times, now);
                    prop_assert_eq!(states.iter().filter(|state| **state == State::Signing).count(), 1);
                    prop_assert_eq!(states[signing], State::Signing);

                    let signer = folder.keys[signing].0;
                    let alone = signer == 0 || (signing == 0 && !folder.forced_out.is_empty());
                    prop_assert!(alone || now - folder.published[&signer] >= PUBLISHED_FIRST);
                    last_tokens.insert(signer, now);
                    for (signer, issued) in &last_tokens {
                        let verifies = folder.keys.iter().any(|(key, _)| key == signer);
                        prop_assert!(verifies || now - *issued >= ACCEPTED || folder.forced_out.contains(signer));
                    }
                }
            }
        }
    }
}

//! The books, by themselves.

use proptest::prelude::*;

use super::*;

fn told(limit: u64, remaining: u64) -> Standing {
    Standing {
        tokens: Window {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: None,
        },
        ..Standing::default()
    }
}

/// Books that know a limit, all of which is left.
fn knowing(limit: u64, share: f64, now: Instant) -> Ledger {
    let mut ledger = Ledger::new(share, now);
    let held = ledger.hold(1, now).unwrap();
    ledger.learn(&held, &told(limit, limit), now);
    ledger.settle(held, 0, true, now);
    ledger
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn without_known_limits_nothing_is_held_back() {
    let now = Instant::now();
    let mut ledger = Ledger::new(1.0, now);
    for _ in 0..1_000 {
        ledger.hold(1_000_000, now).unwrap();
    }
}

#[test]
fn what_was_sent_before_the_limit_was_known_counts() {
    let now = Instant::now();
    let mut ledger = Ledger::new(1.0, now);
    let first = ledger.hold(3_000, now).unwrap();
    let _second = ledger.hold(3_000, now).unwrap();
    ledger.learn(&first, &told(8_000, 8_000), now);
    assert_eq!(ledger.hold(3_000, now).unwrap_err().likely, ms(7_500));
    ledger.hold(2_000, now).unwrap();
}

#[test]
fn a_call_waits_until_enough_has_come_back() {
    let now = Instant::now();
    let mut ledger = knowing(8_000, 1.0, now);
    let held = ledger.hold(6_000, now).unwrap();
    let wait = ledger.hold(4_000, now).unwrap_err();
    assert_eq!((wait.likely, wait.least), (ms(15_000), Duration::ZERO));
    assert!(ledger.hold(4_000, now + ms(14_999)).is_err());
    ledger.settle(held, 1_000, true, now);
    ledger.hold(4_000, now + ms(15_000)).unwrap();
}

#[test]
fn what_was_not_used_goes_back_and_what_was_used_beyond_is_taken() {
    let now = Instant::now();
    let mut ledger = knowing(8_000, 1.0, now);
    let held = ledger.hold(6_000, now).unwrap();
    ledger.settle(held, 500, true, now);
    let held = ledger.hold(7_500, now).unwrap();
    assert!(ledger.hold(1, now).is_err());
    ledger.settle(held, 8_500, true, now);
    assert_eq!(ledger.hold(1_000, now).unwrap_err().likely, ms(15_000));
}

#[test]
fn a_share_is_ours_and_the_rest_is_not() {
    let now = Instant::now();
    let mut ledger = knowing(8_000, 0.25, now);
    ledger.hold(2_000, now).unwrap();
    assert!(ledger.hold(1, now).is_err());
    // More than the share, not more than the limit: waits for all of the share.
    let mut ledger = knowing(8_000, 0.25, now);
    ledger.hold(1_000, now).unwrap();
    assert_eq!(ledger.hold(5_000, now).unwrap_err().likely, Duration::from_secs(30));
    // More than the limit: the provider's to refuse, at once.
    ledger.hold(8_001, now).unwrap();
}

#[test]
fn never_more_than_the_provider_says_is_left() {
    let now = Instant::now();
    let mut ledger = knowing(8_000, 1.0, now);
    let held = ledger.hold(1_000, now).unwrap();
    let later = ledger.hold(500, now).unwrap();
    // Somebody else has used 4,000; the later call may not be counted yet.
    ledger.learn(&held, &told(8_000, 3_000), now);
    assert!(ledger.hold(2_501, now).is_err());
    ledger.learn(&later, &told(8_000, 2_500), now);
    ledger.hold(2_500, now).unwrap();
}

#[test]
fn what_is_left_is_shared_too() {
    let now = Instant::now();
    let mut ledger = knowing(8_000, 0.5, now);
    let held = ledger.hold(1_000, now).unwrap();
    ledger.learn(&held, &told(8_000, 3_000), now);
    assert!(ledger.hold(1_501, now).is_err());
    ledger.hold(1_500, now).unwrap();
}

#[test]
fn requests_of_a_day_are_counted_too() {
    let now = Instant::now();
    let mut ledger = Ledger::new(1.0, now);
    let held = ledger.hold(1, now).unwrap();
    let requests = Window {
        limit: Some(1_000),
        remaining: Some(1),
        reset: None,
    };
    let standing = Standing {
        requests,
        ..Standing::default()
    };
    ledger.learn(&held, &standing, now);
    ledger.settle(held, 1, true, now);
    let last = ledger.hold(1, now).unwrap();
    assert_eq!(ledger.hold(1, now).unwrap_err().likely, ms(86_400));
    // It never left: no request.
    ledger.settle(last, 0, false, now);
    ledger.hold(1, now).unwrap();
}

#[test]
fn the_reset_mends_what_was_counted_too_high() {
    let now = Instant::now();
    let mut ledger = knowing(8_000, 1.0, now);
    let held = ledger.hold(2_000, now).unwrap();
    let mut standing = told(8_000, 10);
    standing.tokens.reset = Some(ms(2_000));
    ledger.learn(&held, &standing, now);
    ledger.settle(held, 2_000, true, now);
    assert!(ledger.hold(6_000, now + ms(1_999)).is_err());
    ledger.hold(6_000, now + ms(2_000)).unwrap();
    assert!(ledger.hold(6_000, now + ms(2_000)).is_err());
}

#[test]
fn after_a_refusal_nothing_is_sent_before_its_time() {
    let now = Instant::now();
    let mut ledger = Ledger::new(1.0, now);
    ledger.close(ms(500), now);
    ledger.close(ms(100), now);
    assert_eq!(ledger.hold(1, now).unwrap_err().likely, ms(500));
    ledger.hold(1, now + ms(500)).unwrap();
}

#[test]
fn a_limit_of_requests_a_minute_is_learned_from_a_refusal_and_forgotten() {
    let began = Instant::now();
    for (share, apart) in [(1.0, 2_000), (0.5, 4_000)] {
        let mut now = began;
        let mut ledger = Ledger::new(share, now);
        let refused = ledger.hold(10, now).unwrap();
        ledger.used_up_requests(30, now);
        ledger.settle(refused, 0, true, now);
        // From now on as many as come back, evenly.
        for _ in 0..100 {
            assert_eq!(ledger.hold(10, now).unwrap_err().likely, ms(apart));
            now += ms(apart);
            let held = ledger.hold(10, now).unwrap();
            ledger.settle(held, 10, true, now);
        }
        // After a quiet minute, all of our share at once.
        now += MINUTE;
        let at_once = (0..60).take_while(|_| ledger.hold(0, now).is_ok()).count();
        assert_eq!(at_once as f64, 30.0 * share);
        now = began + BELIEVED;
        assert!((0..1_000).all(|_| ledger.hold(0, now).is_ok()));
    }
}

#[test]
fn a_call_that_never_left_is_no_request_of_the_minute() {
    let mut now = Instant::now();
    let mut ledger = Ledger::new(1.0, now);
    ledger.used_up_requests(60, now);
    now += ms(1_000);
    let held = ledger.hold(1, now).unwrap();
    assert_eq!(ledger.hold(1, now).unwrap_err().likely, ms(1_000));
    ledger.settle(held, 0, false, now);
    let held = ledger.hold(1, now).unwrap();
    ledger.give_up(held, now);
    assert_eq!(ledger.hold(1, now).unwrap_err().likely, ms(1_000));
}

#[derive(Clone, Debug)]
enum Deed {
    Hold(u64),
    Settle(prop::sample::Index, u64),
    GiveUp(prop::sample::Index),
    Pass(u64),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        3 => (1_u64..6_000).prop_map(Deed::Hold),
        2 => (any::<prop::sample::Index>(), 0_u64..101).prop_map(|(which, used)| Deed::Settle(which, used)),
        1 => any::<prop::sample::Index>().prop_map(Deed::GiveUp),
        1 => (0_u64..20_000).prop_map(Deed::Pass),
    ];
    prop::collection::vec(deed, 0..60)
}

proptest! {
    #[test]
    fn no_more_is_used_than_there_is_and_nothing_is_lost(deeds in deeds(), limit in 6_000_u64..20_000) {
        let began = Instant::now();
        let mut now = began;
        let mut ledger = knowing(limit, 1.0, now);
        let mut open: Vec<(Held, u64)> = Vec::new();
        let mut used = 0_u64;
        for deed in deeds {
            match deed {
                Deed::Hold(tokens) => if let Ok(held) = ledger.hold(tokens, now) {
                    open.push((held, tokens));
                },
                Deed::Settle(which, percent) if !open.is_empty() => {
                    let (held, tokens) = open.swap_remove(which.index(open.len()));
                    let counted = tokens * percent / 100;
                    used += counted;
                    ledger.settle(held, counted, true, now);
                }
                Deed::GiveUp(which) if !open.is_empty() => {
                    let (held, tokens) = open.swap_remove(which.index(open.len()));
                    used += tokens;
                    ledger.give_up(held, now);
                }
                Deed::Pass(milliseconds) => now += ms(milliseconds),
                _ => {}
            }
            // All that was used and all that may yet be is within the limit and what has come back since.
            let held: u64 = open.iter().map(|(_, tokens)| tokens).sum();
            let allowed = limit as f64 * (1.0 + (now - began).as_secs_f64() / 60.0);
            prop_assert!((used + held) as f64 <= allowed + 1.0, "{used} + {held} of {allowed}");
            prop_assert_eq!(ledger.tokens.held, i128::from(held) * PARTS);
            prop_assert!(ledger.tokens.level >= 0 && ledger.tokens.level <= ledger.tokens.capacity);
        }
        // Settled as unused, all of it is back but what was used; a minute later all of it.
        ledger.wait(0, 0, 0, now);
        let before = ledger.tokens.level;
        let held: i128 = open.iter().map(|(held, _)| held.tokens.amount).sum();
        for (held, _) in open {
            ledger.settle(held, 0, true, now);
        }
        prop_assert_eq!(ledger.tokens.level.min(ledger.tokens.capacity), (before + held).min(ledger.tokens.capacity));
        prop_assert_eq!(ledger.tokens.held, 0);
        prop_assert!(ledger.hold(limit, now + MINUTE + ms(1)).is_ok());
    }

    #[test]
    fn a_call_that_waited_as_long_as_it_was_told_fits(first in 1_u64..8_000, second in 1_u64..8_000, share in 0.05_f64..1.0) {
        let now = Instant::now();
        let mut ledger = knowing(8_000, share, now);
        let _ = ledger.hold(first, now);
        if let Err(wait) = ledger.hold(second, now) {
            prop_assert!(wait.least <= wait.likely);
            let just_before = wait.likely.saturating_sub(ms(1));
            if !just_before.is_zero() {
                prop_assert!(ledger.hold(second, now + just_before).is_err());
            }
            prop_assert!(ledger.hold(second, now + wait.likely).is_ok());
        }
    }
}

//! The limit of requests a minute, which no header tells: one refusal teaches it.

use std::time::{Duration, Instant};

use groq_sim::{Limits, Settings};

use crate::harness::{Desk, about, within};

/// One each half second.
const A_MINUTE: u64 = 120;

#[tokio::test]
async fn after_one_refusal_what_would_be_refused_is_held_back() {
    let limits = Limits {
        requests_per_minute: A_MINUTE,
        requests_per_day: 0,
        tokens_per_minute: 0,
        tokens_per_day: 0,
        enforce: true,
    };
    let sim = groq_sim::start(Settings {
        limits,
        ..Settings::instant()
    })
    .await
    .unwrap();
    let desk = Desk::asking(&sim.base_url(), &["--groq-retries", "0", "--groq-fallback-model", ""]).await;
    // All of the minute at once, and one more.
    let (mut answered, mut refused) = (0, 0);
    while refused == 0 {
        let reply = desk.reply(about("hello")).await;
        answered += usize::from(reply.finished());
        refused += usize::from(!reply.finished());
        assert!(answered < 200, "nothing is ever refused");
    }
    assert!(answered >= A_MINUTE as usize);
    // From now on whoever can wait does, and who cannot is told at once.
    let began = Instant::now();
    let mut waited = 0;
    while began.elapsed() < Duration::from_secs(3) {
        let reply = desk
            .reply(within(about("hello"), Some(Duration::from_millis(1_500))))
            .await;
        assert!(reply.finished(), "{reply:?}");
        waited += 1;
        let hasty = desk
            .reply(within(about("hello"), Some(Duration::from_millis(100))))
            .await;
        if !hasty.finished() {
            assert_eq!(hasty.failure().1, "UPSTREAM_RATE_LIMITED");
            assert!(hasty.events.is_empty() && hasty.retry_delay().unwrap() <= Duration::from_millis(600));
        }
    }
    let statuses: Vec<_> = sim
        .control()
        .calls()
        .into_iter()
        .filter_map(|call| call.status)
        .collect();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    println!(
        "{answered} at once, then {waited} in {:?}; {refused} refused",
        began.elapsed()
    );
    assert_eq!(refused, 1, "one refusal is enough");
    assert!(waited >= 4, "what comes back is used: {waited}");
}

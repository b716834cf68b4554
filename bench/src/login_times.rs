//! Whether the time of a failed log-in tells why it failed.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tonic::Code;

use crate::desk::{Desk, USERS, log_in};
use crate::table::{Table, milliseconds, quantile};

/// Of one account, so that the throttle lets all of them through.
const TRIES_PER_ACCOUNT: usize = 4;

pub(crate) async fn run(time: Duration) -> anyhow::Result<Table> {
    let desk = Desk::open().await?;
    desk.execute("UPDATE users SET disable_time = now() WHERE email LIKE 'user%1@example.com'")?;
    let mut client = desk.client().await?;
    let kinds = ["wrong password", "unknown address", "disabled account"];
    let mut times = kinds.map(|_| Vec::new());
    let began = Instant::now();
    let mut round = 0;
    while began.elapsed() < 3 * time && round / TRIES_PER_ACCOUNT * 10 + 1 < USERS {
        let account = round / TRIES_PER_ACCOUNT * 10;
        let emails = [
            format!("user{account}@example.com"),
            format!("nobody{account}@example.com"),
            format!("user{}@example.com", account + 1),
        ];
        // Another one is first each time, so that none always follows the same.
        for turn in 0..kinds.len() {
            let kind = (round + turn) % kinds.len();
            let (Some(email), Some(times)) = (emails.get(kind), times.get_mut(kind)) else {
                continue;
            };
            let asked = Instant::now();
            let answer = log_in(&mut client, email.clone(), "wrong horse battery").await;
            times.push(asked.elapsed());
            ensure!(
                answer.is_err_and(|status| status.code() == Code::Unauthenticated),
                "a log-in was to fail"
            );
        }
        round += 1;
    }
    let mut table = Table::default();
    let yardstick = times.first_mut().map_or(Duration::ZERO, |times| quantile(times, 500));
    for (kind, times) in kinds.iter().zip(&mut times) {
        let median = quantile(times, 500);
        let ratio = median.as_secs_f64() / yardstick.as_secs_f64();
        table.row(
            &format!("median of {} × {kind}", times.len()),
            milliseconds(median),
            Some((ratio, "a wrong password's")),
        );
    }
    Ok(table)
}

//! What 200 log-ins at once do to memory and to others, and how many a second there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use deskhand_proto::accounts::v1::GetMeRequest;
use tokio::task::JoinSet;
use tonic::{Code, Request};

use crate::desk::{Desk, PASSWORD, USERS, log_in};
use crate::table::{Spread, Table};

const AT_ONCE: usize = 200;
const CONNECTIONS: usize = 8;
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
/// Between two calls of one who reads: a light load, whose latency is what it meets, not what it makes.
const PAUSE: Duration = Duration::from_millis(10);
const READERS: usize = 2;
const ROUNDS: u32 = 3;
/// Of reading, the quiet and the other in turns: how far rounds of one kind lie apart is the noise.
const READ_ROUNDS: u32 = 7;

pub(crate) async fn run(time: Duration) -> anyhow::Result<Table> {
    let desk = Desk::open().await?;
    let slots = desk.threads("password")?;
    let (idle, _) = desk.resident_kib()?;

    // In turns, so that a change of the machine's pace meets both.
    let (mut alone, mut rate) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        let time = time / ROUNDS;
        alone += tokio::task::spawn_blocking(move || argon2_rate(slots, time)).await? / f64::from(ROUNDS);
        rate += storm(&desk, 4 * slots, time, false).await?.0 / f64::from(ROUNDS);
    }
    let (mut quiet, mut beside, mut storm_rate) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..READ_ROUNDS {
        quiet.push(read(&desk, time / 2).await?);
        let (rate, times) = storm(&desk, AT_ONCE, time / 2, true).await?;
        beside.push(times);
        storm_rate += rate / f64::from(READ_ROUNDS);
    }
    let (_, most) = desk.resident_kib()?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let (after, _) = desk.resident_kib()?;

    let mut table = Table::default();
    table.row(
        &format!("argon2id alone, {slots} threads"),
        format!("{alone:.1} /s"),
        None,
    );
    table.row(
        &format!("LogIn, {} callers", 4 * slots),
        format!("{rate:.1} /s"),
        Some((rate / alone, "argon2id alone")),
    );
    table.row(
        &format!("LogIn, {AT_ONCE} callers, others beside"),
        format!("{storm_rate:.1} /s"),
        Some((storm_rate / alone, "argon2id alone")),
    );
    for (name, thousandths) in [("p50", 500), ("p99", 990)] {
        let [quiet, beside] = [&mut quiet, &mut beside].map(|rounds| Spread::of(rounds, thousandths));
        table.row(&format!("GetMe {name}, quiet"), quiet.to_string(), None);
        let ratio = beside.median.as_secs_f64() / quiet.median.as_secs_f64();
        table.row(
            &format!("GetMe {name}, {AT_ONCE} log-ins beside"),
            beside.to_string(),
            Some((ratio, "quiet")),
        );
    }
    let mebibytes = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
    table.row("resident before", mebibytes(idle), None);
    table.row("resident at most", mebibytes(most), None);
    let bound = slots as u64 * u64::from(MEMORY_KIB);
    table.row(
        &format!("  less {slots} slots × 19 MiB"),
        mebibytes(most.saturating_sub(bound)),
        None,
    );
    table.row("resident 12 s after", mebibytes(after), None);
    Ok(table)
}

/// Hashes a second, on so many threads.
fn argon2_rate(threads: usize, time: Duration) -> f64 {
    let began = Instant::now();
    let hash = || {
        let Ok(params) = Params::new(MEMORY_KIB, PASSES, 1, None) else {
            return 0;
        };
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut count = 0_u64;
        while began.elapsed() < time {
            count += u64::from(
                argon2
                    .hash_password_into(PASSWORD.as_bytes(), b"0123456789abcdef", &mut [0; 32])
                    .is_ok(),
            );
        }
        count
    };
    let count: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(hash)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).sum()
    });
    count as f64 / began.elapsed().as_secs_f64()
}

/// So many callers log in without pause, each with accounts of its own; log-ins a second, and what readers met meanwhile.
async fn storm(desk: &Desk, callers: usize, time: Duration, readers: bool) -> anyhow::Result<(f64, Vec<Duration>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(desk.client().await?);
    }
    let mut tasks = JoinSet::new();
    for (caller, mut client) in (0..callers).zip(connections.iter().cycle().cloned()) {
        let (stop, count) = (stop.clone(), count.clone());
        tasks.spawn(async move {
            let mut account = caller;
            while !stop.load(Ordering::Relaxed) {
                match log_in(&mut client, format!("user{account}@example.com"), PASSWORD).await {
                    Ok(_) => count.fetch_add(1, Ordering::Relaxed),
                    Err(status) if status.code() == Code::ResourceExhausted => 0,
                    Err(status) => return Err(anyhow::Error::from(status)),
                };
                account = (account + callers) % USERS;
            }
            Ok(())
        });
    }
    // Until the first ones are through, it has not begun.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (began, before) = (Instant::now(), count.load(Ordering::Relaxed));
    let times = if readers {
        read(desk, time).await?
    } else {
        tokio::time::sleep(time).await;
        Vec::new()
    };
    let rate = (count.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok((rate, times))
}

/// How long calls of GetMe take, a light load of them.
async fn read(desk: &Desk, time: Duration) -> anyhow::Result<Vec<Duration>> {
    let mut tasks = JoinSet::new();
    for _ in 0..READERS {
        let mut client = desk.client().await?;
        tasks.spawn(async move {
            let token = log_in(&mut client, "first@example.com".to_owned(), PASSWORD)
                .await?
                .access_token;
            let began = Instant::now();
            let mut times = Vec::new();
            while began.elapsed() < time {
                let mut request = Request::new(GetMeRequest {});
                request
                    .metadata_mut()
                    .insert("authorization", format!("Bearer {token}").parse()?);
                let asked = Instant::now();
                client.get_me(request).await?;
                times.push(asked.elapsed());
                tokio::time::sleep(PAUSE).await;
            }
            Ok::<_, anyhow::Error>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(read) = tasks.join_next().await {
        times.extend(read??);
    }
    Ok(times)
}

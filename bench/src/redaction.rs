//! What it costs that values do not leave and answers do nothing, by the KiB of text.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use assistant_service::guard::Guard;
use assistant_service::guard::hosts::Hosts;
use assistant_service::guard::mark::Mark;
use assistant_service::prompt::untrusted::clean;
use assistant_service::redaction::Redactor;
use assistant_service::redaction::kind::Kinds;

use crate::table::Table;

/// As much as is sent of a ticket at most, and somewhat more.
const BYTES: usize = 16 * 1024;
/// An answer's pieces have about as many.
const PIECE: usize = 6;
/// Parts of it, so that what disturbs disturbs all alike.
const ROUNDS: u32 = 10;

const PROSE: &str = "Hello, since 22.11.2026, 18:25, order 2024-0012345678 cannot be paid: version 2.1.4 says \u{201c}declined\u{201d} \
                     (error 402), though 49.99 € are there. Ich habe es dreimal versucht – 何も起こりません. What next?\n";
const VALUES: &str = "I am jane.doe@mail.example, +49 30 1234567; card 4111 1111 1111 1111, DE89 3704 0044 0532 0130 00, from \
                      203.0.113.77 with gsk_abcdefghijklmnopqrstuvwxyz012345.\n";

/// Something that is done with a text of [`BYTES`].
type Work<'a> = &'a dyn Fn(&str) -> usize;

pub(crate) fn run(time: Duration) -> anyhow::Result<Table> {
    let prose = PROSE.repeat(BYTES.div_ceil(PROSE.len()));
    let mixed = format!("{PROSE}{PROSE}{PROSE}{VALUES}");
    let mixed = mixed.repeat(BYTES.div_ceil(mixed.len()));
    let redactor = Redactor::new(Kinds::ALL)?;
    let mut redaction = redactor.begin();
    let leaves = redaction.conceal(&mixed);
    let placeholders = Arc::new(redaction.standing_in(std::iter::once(leaves.as_str())));
    let guard = Guard::new(Mark::new()?, Hosts::default(), Arc::clone(&placeholders));
    ensure!(!leaves.contains("jane.doe"), "a value leaves");
    ensure!(placeholders.restore(&leaves) == mixed, "what left does not come back");

    let copy: Work<'_> = &|text| str::from_utf8(black_box(text.as_bytes())).map_or(0, |text| text.to_owned().len());
    let clean: Work<'_> = &|text| clean(text).len();
    let conceal: Work<'_> = &|text| redactor.begin().conceal(text).len();
    let restore: Work<'_> = &|text| placeholders.restore(text).len();
    let filter: Work<'_> = &|text| {
        let mut filter = guard.stream();
        let mut told = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.ceil_char_boundary(PIECE.min(rest.len())));
            told += filter.push(piece).map_or(0, |text| text.len());
            rest = after;
        }
        told + filter.finish().map_or(0, |text| text.len())
    };
    let works: [(&str, &str, Work<'_>); 6] = [
        ("copied and checked for UTF-8", &mixed, copy),
        ("cleaned", &mixed, clean),
        ("redacted, prose", &prose, conceal),
        ("redacted, every fourth line of values", &mixed, conceal),
        ("restored, whole", &leaves, restore),
        ("an answer filtered, piece by piece", &leaves, filter),
    ];
    let mut took = [(Duration::ZERO, 0_usize); 6];
    for _ in 0..ROUNDS {
        for ((_, text, work), (took, bytes)) in works.iter().zip(&mut took) {
            let began = Instant::now();
            while began.elapsed() < time / ROUNDS {
                ensure!(black_box(work(black_box(text))) > 0, "nothing came of it");
                *bytes += text.len();
            }
            *took += began.elapsed();
        }
    }
    let mut table = Table::default();
    let a_kib = |(took, bytes): &(Duration, usize)| took.as_secs_f64() * 1e9 / (*bytes as f64 / 1024.0);
    let yardstick = took.first().map_or(f64::NAN, a_kib);
    for ((name, ..), took) in works.iter().zip(&took) {
        let nanoseconds = a_kib(took);
        let figure = format!("{:.2} µs/KiB", nanoseconds / 1000.0);
        table.row(name, figure, Some((nanoseconds / yardstick, "copying")));
    }
    Ok(table)
}

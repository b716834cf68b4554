//! Numbers of payment cards and telephones.
//!
//! A card's number has 13 to 19 digits, begins as one of the networks' does, is grouped as people write it, and passes the
//! Luhn check. A telephone's is found in its international form only, `+49 …` or `0049 …`: without it nothing tells one
//! from the number of an order.

use std::ops::Range;

use regex::Regex;

use super::find::{Found, after, before, is_word};

/// Between the digits of a number.
const GAP: &str = r" \x{a0}\x{2007}\x{2009}\x{202f}.\-\x{2010}\x{2011}\x{2013}";
/// Digits of a telephone number with its country's code, at most (E.164).
const MOST_PHONE_DIGITS: usize = 15;
/// And at least.
const LEAST_PHONE_DIGITS: usize = 8;

#[derive(Debug)]
pub(super) struct Numbers {
    card: Regex,
    phone: Regex,
    uuid: Regex,
}

impl Numbers {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            // A card's may be broken over lines: how it is grouped and its check tell it from a list.
            card: Regex::new(&format!(r"[0-9](?:[{GAP}\t\n]{{0,2}}[0-9]){{12,}}"))?,
            phone: Regex::new(&format!(
                r"(?:\+\(?|00[ \x{{a0}}(]?)[1-9](?:[{GAP}/()]{{0,3}}[0-9]){{6,}}"
            ))?,
            uuid: Regex::new(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")?,
        })
    }

    pub(super) fn cards(&self, text: &str) -> Vec<Range<usize>> {
        let mut cards = Vec::new();
        let mut uuids = None;
        for run in self.card.find_iter(text) {
            // The digits of a UUID are no card's, and there may be many of both.
            let uuids: &Vec<_> = uuids.get_or_insert_with(|| self.uuid.find_iter(text).collect());
            let next = uuids.partition_point(|uuid| uuid.end() <= run.start());
            if uuids.get(next).is_some_and(|uuid| uuid.start() < run.end()) {
                continue;
            }
            let groups = groups(text, run.range());
            let mut from = 0;
            while let Some(first) = groups.get(from) {
                match card(text, groups.get(from..).unwrap_or_default()) {
                    Some((end, count)) => {
                        cards.push(first.start..end);
                        from += count;
                    }
                    None => from += 1,
                }
            }
        }
        cards
    }

    /// Those that are no part of what is `found` already, in order and without overlaps.
    pub(super) fn phones(&self, text: &str, found: &[Found]) -> Vec<Range<usize>> {
        let runs = self.phone.find_iter(text);
        let phone = |run: Range<usize>| {
            let next = found.get(found.partition_point(|found| found.at.end <= run.start));
            let end = next.map_or(run.end, |next| run.end.min(next.at.start));
            phone(text, run.start..end.max(run.start))
        };
        runs.filter_map(|run| phone(run.range())).collect()
    }
}

/// The runs of digits in a part of `text`.
fn groups(text: &str, part: Range<usize>) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let bytes = text.as_bytes().get(part.clone()).unwrap_or_default();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        let at = part.start + at;
        match groups.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}

fn digits(text: &str, groups: &[Range<usize>]) -> Vec<u8> {
    let bytes = groups.iter().filter_map(|group| text.as_bytes().get(group.clone()));
    bytes.flatten().map(|byte| byte - b'0').collect()
}

/// Where the card ends that begins with the first group, and how many groups it has.
fn card(text: &str, groups: &[Range<usize>]) -> Option<(usize, usize)> {
    let start = groups.first()?.start;
    let before = before(text, start);
    if is_word(before) {
        return None;
    }
    (1..=groups.len().min(5)).rev().find_map(|count| {
        let groups = groups.get(..count)?;
        let end = groups.last()?.end;
        let lengths: Vec<_> = groups.iter().map(ExactSizeIterator::len).collect();
        if !is_grouped_as_cards_are(&lengths) || is_word(after(text, end)) {
            return None;
        }
        let digits = digits(text, groups);
        if before == Some('+') && digits.len() <= MOST_PHONE_DIGITS {
            return None;
        }
        (is_a_network_s(&digits) && passes_luhn(&digits)).then_some((end, count))
    })
}

fn is_grouped_as_cards_are(lengths: &[usize]) -> bool {
    matches!(
        lengths,
        [_] | [4, 6, 4 | 5] | [4, 5, 6] | [8, 8] | [6, 10] | [4, 4, 4, 1..=4] | [4, 4, 4, 4, 1..=3]
    )
}

/// Whether so many digits with such a beginning are given out: ISO/IEC 7812 as the networks use it.
fn is_a_network_s(digits: &[u8]) -> bool {
    let beginning = |count: usize| {
        let digits = digits.iter().take(count);
        digits.fold(0_u32, |number, digit| number * 10 + u32::from(*digit))
    };
    match digits.len() {
        13 => beginning(1) == 4,
        14 => matches!(beginning(2), 30 | 36 | 38 | 39),
        15 => matches!(beginning(2), 34 | 37),
        16..=19 => {
            matches!(beginning(1), 4..=6)
                || matches!(beginning(2), 30 | 35 | 36 | 38 | 39 | 81 | 82)
                || matches!(beginning(4), 2200..=2204 | 2221..=2720)
        }
        _ => false,
    }
}

fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

fn phone(text: &str, run: Range<usize>) -> Option<Range<usize>> {
    let plain = text.as_bytes().get(run.start) == Some(&b'+');
    let before = before(text, run.start);
    if is_word(before) || matches!(before, Some('+')) || (!plain && matches!(before, Some('.' | ',' | '-' | '/' | '#')))
    {
        return None;
    }
    let groups = groups(text, run.clone());
    // What follows may be another number, so the longest that is one counts.
    (1..=groups.len()).rev().find_map(|count| {
        let groups = groups.get(..count)?;
        let all = digits(text, groups);
        let national = all.get(if plain { 0 } else { 2 }..)?;
        let end = groups.last()?.end;
        let within = text.get(run.start..end)?;
        (is_a_phone_s(national) && !(plain && is_an_amount(within))).then_some(run.start..end)
    })
}

fn is_a_phone_s(digits: &[u8]) -> bool {
    match digits {
        [1, area, _, _, exchange, ..] => digits.len() == 11 && *area > 1 && *exchange > 1,
        _ => (LEAST_PHONE_DIGITS..=MOST_PHONE_DIGITS).contains(&digits.len()),
    }
}

/// `+23.456.789` is rather money than a telephone.
fn is_an_amount(text: &str) -> bool {
    let mut groups = text.trim_start_matches('+').split('.');
    let first = groups.next().map_or(0, str::len);
    let mut count = 1;
    (1..=3).contains(&first)
        && groups.all(|group| {
            count += 1;
            group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit())
        })
        && (2..=3).contains(&count)
}

//! Numbers of bank accounts, by the registry's lengths and forms and their check digits.

use std::ops::Range;

use iban::Iban;
use regex::Regex;

use super::find::{after, before, is_word};

/// The fewest and the most characters of one.
const LEAST: usize = 15;
const MOST: usize = 34;

#[derive(Debug)]
pub(super) struct Ibans {
    beginning: Regex,
}

impl Ibans {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            beginning: Regex::new("[A-Za-z]{2}[0-9]{2}")?,
        })
    }

    pub(super) fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(beginning) = self.beginning.find_at(text, from) {
            let end = if is_word(before(text, beginning.start())) {
                None
            } else {
                end(text, beginning.start())
            };
            found.extend(end.map(|end| beginning.start()..end));
            from = end.unwrap_or(beginning.start() + 1);
        }
        found
    }
}

/// Where the number that begins at `start` ends: the longest that is one.
fn end(text: &str, start: usize) -> Option<usize> {
    let mut number = String::with_capacity(MOST);
    let mut best = None;
    let mut gap = false;
    for (at, character) in text.get(start..)?.char_indices() {
        if character.is_ascii_alphanumeric() {
            number.push(character.to_ascii_uppercase());
            gap = false;
        } else if !gap && matches!(character, ' ' | '\t' | '\n' | '\u{a0}' | '\u{202f}' | '-' | '.') {
            gap = true;
            continue;
        } else {
            break;
        }
        let end = start + at + 1;
        if number.len() > MOST {
            break;
        }
        if number.len() >= LEAST && !is_word(after(text, end)) && number.parse::<Iban>().is_ok() {
            best = Some(end);
        }
    }
    best
}

//! Where in a text something stands that does not leave.

use std::cmp::Reverse;
use std::ops::Range;

use regex::Regex;

use super::address::Addresses;
use super::iban::Ibans;
use super::kind::{Kind, Kinds};
use super::number::Numbers;
use super::secret::Secrets;

/// What a placeholder is named by, where somebody's own words look like one of ours.
const TYPED: &str = "TEXT";

/// Finds what is of one kind.
type Find<'a> = &'a dyn Fn() -> Vec<Range<usize>>;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// In bytes.
    pub(super) at: Range<usize>,
    /// What its placeholder is named by.
    pub(super) label: &'static str,
}

impl Found {
    fn new(at: Range<usize>, label: &'static str) -> Self {
        Self { at, label }
    }
}

/// Finds the kinds that are set.
#[derive(Debug)]
pub(super) struct Finder {
    kinds: Kinds,
    typed: Regex,
    addresses: Addresses,
    ibans: Ibans,
    numbers: Numbers,
    secrets: Secrets,
}

impl Finder {
    pub(super) fn new(kinds: Kinds) -> anyhow::Result<Self> {
        Ok(Self {
            kinds,
            typed: Regex::new(&format!(r"\[(?:EMAIL|PHONE|CARD|IBAN|IP|SECRET|{TYPED})_[0-9]+\]"))?,
            addresses: Addresses::new()?,
            ibans: Ibans::new()?,
            numbers: Numbers::new()?,
            secrets: Secrets::new()?,
        })
    }

    /// Whatever in `text` looks like a placeholder.
    pub(super) fn placeholders<'a>(&self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let found: Vec<_> = self.typed.find_iter(text).map(|found| found.as_str()).collect();
        found.into_iter()
    }

    /// What there is in `text`, in order, without overlaps.
    pub(super) fn find(&self, text: &str) -> Vec<Found> {
        let mut all = Vec::new();
        if self.kinds.is_empty() {
            return all;
        }
        let finders: [(Kind, Find<'_>); 5] = [
            (Kind::Secret, &|| self.secrets.find(text)),
            (Kind::Email, &|| self.addresses.emails(text)),
            (Kind::Iban, &|| self.ibans.find(text)),
            (Kind::Card, &|| self.numbers.cards(text)),
            (Kind::Ip, &|| self.addresses.ips(text)),
        ];
        for (kind, find) in finders {
            if self.kinds.contains(kind) {
                all.extend(find().into_iter().map(|at| Found::new(at, kind.label())));
            }
        }
        all = apart(all);
        if self.kinds.contains(Kind::Phone) {
            // Last: nothing says where a telephone's number ends, but that something else begins.
            let phones = self.numbers.phones(text, &all);
            all.extend(phones.into_iter().map(|at| Found::new(at, Kind::Phone.label())));
        }
        all.extend(self.typed.find_iter(text).map(|found| Found::new(found.range(), TYPED)));
        apart(all)
    }
}

/// Joins what overlaps, so that no end of anything is left over.
fn apart(mut all: Vec<Found>) -> Vec<Found> {
    let is_secret = |found: &Found| found.label == Kind::Secret.label();
    all.sort_by_key(|found| (found.at.start, !is_secret(found), Reverse(found.at.end)));
    let mut apart: Vec<Found> = Vec::with_capacity(all.len());
    for found in all {
        match apart.last_mut() {
            // In a URL with a password what begins with the password looks like an e-mail address, and is a host.
            Some(last) if found.at.start < last.at.end && is_secret(last) && found.label == Kind::Email.label() => {}
            Some(last) if found.at.start < last.at.end => last.at.end = last.at.end.max(found.at.end),
            _ => apart.push(found),
        }
    }
    apart
}

/// The character before a place.
pub(super) fn before(text: &str, at: usize) -> Option<char> {
    text.get(..at).and_then(|before| before.chars().next_back())
}

/// The character at a place.
pub(super) fn after(text: &str, at: usize) -> Option<char> {
    text.get(at..).and_then(|after| after.chars().next())
}

/// Whether a word goes on with `character`.
pub(super) fn is_word(character: Option<char>) -> bool {
    character.is_some_and(|character| character.is_alphanumeric() || character == '_')
}

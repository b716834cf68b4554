//! Addresses: of mail, and of hosts by number.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use regex::Regex;

use super::find::{after, before, is_word};

/// The longest IPv6 address as text, without a zone.
const LONGEST_V6: usize = 45;
/// No domain has more characters.
const LONGEST_DOMAIN: usize = 253;
/// Before what looks like an IPv4 address and is not.
const OF_VERSIONS: &[&str] = &[
    "v",
    "ver",
    "version",
    "versions",
    "versión",
    "versione",
    "versão",
    "versie",
    "wersja",
    "release",
    "build",
    "firmware",
    "driver",
    "update",
    "section",
    "chapter",
    "article",
    "clause",
    "paragraph",
    "figure",
    "abschnitt",
    "kapitel",
    "artikel",
];

#[derive(Debug)]
pub(super) struct Addresses {
    at: Regex,
    domain: Regex,
    v4: Regex,
    v6: Regex,
}

impl Addresses {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            at: Regex::new("@|\u{ff20}|%40")?,
            domain: Regex::new(
                r"^(?:[\p{L}\p{M}\p{N}](?:[\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}])?\.)+(?:xn--[A-Za-z0-9-]+|[\p{L}\p{M}]{2,63})",
            )?,
            v4: Regex::new(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")?,
            v6: Regex::new(r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]+")?,
        })
    }

    pub(super) fn emails(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        // None goes back over another's, so that all together look at each character once.
        let mut from = 0;
        for at in self.at.find_iter(text) {
            let local = text.get(from..at.start()).map_or(0, local_part);
            from = at.end();
            let domain = text.get(at.end()..).unwrap_or_default();
            // With the letters of a sentence that goes on without a space, the sentence would belong to the address.
            let end = domain
                .char_indices()
                .take(LONGEST_DOMAIN)
                .find(|(_, c)| is_written_without_spaces(*c));
            let domain = domain.get(..end.map_or(domain.floor_char_boundary(4 * LONGEST_DOMAIN), |(end, _)| end));
            let domain = domain.and_then(|domain| self.domain.find(domain));
            if let (1.., Some(domain)) = (local, domain) {
                from += domain.end();
                found.push(at.start() - local..from);
            }
        }
        found
    }

    pub(super) fn ips(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<_> = self
            .v4
            .find_iter(text)
            .map(|one| one.range())
            .filter(|at| is_v4(text, at))
            .collect();
        found.extend(self.v6.find_iter(text).filter_map(|one| v6(text, one.range())));
        found
    }
}

/// How many bytes at the end of `text` are what stands before the `@` of an address.
fn local_part(text: &str) -> usize {
    let last = text.char_indices().rev();
    if text.ends_with('"') {
        let mut quoted = last.skip(1).take_while(|(_, c)| !matches!(c, '\n' | '@'));
        return quoted
            .find(|(_, c)| *c == '"')
            .map_or(0, |(start, _)| text.len() - start);
    }
    let goes_on = |c: char| match c {
        '.' | '_' | '%' | '+' | '\'' | '!' | '$' | '&' | '*' | '^' | '~' | '-' | '\u{300}'..='\u{36f}' => true,
        _ => c.is_alphanumeric() && !is_written_without_spaces(c),
    };
    let start = last
        .take_while(|(_, c)| goes_on(*c))
        .last()
        .map_or(text.len(), |(start, _)| start);
    // Quotation marks and the like before it are not its own.
    let own = text.get(start..).unwrap_or_default();
    own.trim_start_matches(['.', '\'', '!', '$', '&', '*', '^', '~', '-'])
        .len()
}

/// Letters of scripts that have no space between words.
fn is_written_without_spaces(character: char) -> bool {
    matches!(character,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
}

fn is_v4(text: &str, at: &Range<usize>) -> bool {
    let (before, after) = (before(text, at.start), text.get(at.end..).unwrap_or_default());
    let goes_on = is_word(after.chars().next())
        || after
            .strip_prefix('.')
            .is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit()));
    let address = text.get(at.clone()).unwrap_or_default();
    !is_word(before)
        && before != Some('.')
        && !goes_on
        && address.parse::<Ipv4Addr>().is_ok()
        && !is_a_version(text, at.start)
}

fn is_a_version(text: &str, start: usize) -> bool {
    let before = text.get(..start).unwrap_or_default();
    let before = before.trim_end_matches([' ', '\u{a0}', ':', '=', '-', '(', '.', '/']);
    if before.ends_with('§') {
        return true;
    }
    let from = before.rfind(|c: char| !c.is_alphabetic());
    let word = from.map_or(before, |from| before.get(from..).unwrap_or_default());
    let word = word.trim_start_matches(|c: char| !c.is_alphabetic()).to_lowercase();
    OF_VERSIONS.contains(&word.as_str())
}

/// `part` is whatever is written in an IPv6 address's characters; before its first colon there may be another word.
fn v6(text: &str, part: Range<usize>) -> Option<Range<usize>> {
    let whole = text.get(part.clone())?;
    let colon = whole.find(':')?;
    v6_at(text, part.start, whole).or_else(|| v6_at(text, part.start + colon + 1, whole.get(colon + 1..)?))
}

fn v6_at(text: &str, start: usize, whole: &str) -> Option<Range<usize>> {
    let is_address = |written: &&str| written.len() <= LONGEST_V6 && written.parse::<Ipv6Addr>().is_ok();
    // A full stop or a colon may be the sentence's.
    let written = [whole, whole.trim_end_matches('.'), whole.trim_end_matches(['.', ':'])];
    let written = written.into_iter().find(is_address)?;
    let end = start + written.len();
    let groups = written.split(':').filter(|group| !group.is_empty()).count();
    // `a::b` is rather the name of something in a program.
    let is_likely = groups > 3 || (groups > 0 && written.bytes().any(|byte| byte.is_ascii_digit()));
    (is_likely && !is_word(before(text, start)) && !is_word(after(text, end))).then_some(start..end)
}

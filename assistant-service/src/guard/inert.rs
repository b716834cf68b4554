//! What the model wrote, made inert: no HTML, no image, and no link but to hosts that are allowed.
//!
//! It works by one means: a space is put where one more character would make markup of text. `< b>` is no tag, `] (` no
//! link, `! [` no image, `] :` no definition, and `https:// evil.example` no address that anything makes a link of. So
//! what was written can still be read, in Markdown as in plain text; nothing depends on knowing what a renderer takes for
//! code; and nothing is held back, but where hosts are allowed, from `://` or `](` until the host is known.
//!
//! What nobody sees goes: control characters, and those that hide text or turn its direction around.

use super::hosts::{Hosts, LONGEST, is_of_host};

/// Words before a colon that can make a link, or worse, of what follows.
const SCHEMES: [&str; 12] = [
    "javascript",
    "vbscript",
    "data",
    "file",
    "blob",
    "about",
    "mailto",
    "xmpp",
    "tel",
    "sms",
    "livescript",
    "mocha",
];
const LONGEST_WORD: usize = 10;
/// What may stand between a host and the end of a word.
const CLOSING: &[char] = &[')', ']', '}', '>', '.', ',', ';', ':', '!', '\'', '"', '*', '_', '|'];

/// Makes a text inert that comes in pieces.
#[derive(Debug)]
pub(super) struct Inert {
    hosts: Hosts,
    tail: Tail,
    /// A link that is not decided yet, from its `(` or from behind its `://` or `www.` on.
    undecided: Option<(Link, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// In round brackets behind square ones.
    Bracketed,
    /// By itself.
    Bare,
}

/// The end of what was told.
#[derive(Debug, Default)]
struct Tail {
    /// The last characters, the newest first.
    last: [Option<char>; 3],
    /// The word that it ends with, or that stands before the last colon or full stop; small letters.
    word: String,
    /// Whether the word before the colon is a scheme.
    scheme: bool,
    /// Whether the word before the full stop is `www`.
    www: bool,
    /// Whether the word before the colon is one of the web's.
    web: bool,
}

impl Inert {
    pub(super) fn new(hosts: Hosts) -> Self {
        Self {
            hosts,
            tail: Tail::default(),
            undecided: None,
        }
    }

    /// What can be told after this piece.
    pub(super) fn push(&mut self, piece: &str) -> String {
        let mut told = String::with_capacity(piece.len() + 8);
        for character in piece.chars() {
            match character {
                '\u{2028}' | '\u{2029}' => self.take('\n', &mut told),
                '\n' | '\t' => self.take(character, &mut told),
                _ if is_unwanted(character) => {}
                _ => self.take(character, &mut told),
            }
        }
        told
    }

    /// What was held back, once the text is over.
    pub(super) fn finish(&mut self) -> String {
        let mut told = String::new();
        while let Some((link, held)) = self.undecided.take() {
            self.decide(link, &held, None, &mut told);
        }
        told
    }

    fn take(&mut self, character: char, told: &mut String) {
        match self.undecided.take() {
            Some((link, mut held)) => {
                if goes_on(link, &held, character) {
                    held.push(character);
                    self.undecided = Some((link, held));
                } else {
                    self.decide(link, &held, Some(character), told);
                    self.take(character, told);
                }
            }
            None => match self.tail.link(character).filter(|_| !self.hosts.is_empty()) {
                Some(link) => self.undecided = Some((link, character.to_string())),
                None => self.tail.tell(character, told),
            },
        }
    }

    /// Tells `held`, which `next` follows: as it is where its host is allowed, else so that it is no link.
    fn decide(&mut self, link: Link, held: &str, next: Option<char>, told: &mut String) {
        let host = match link {
            Link::Bracketed => {
                let host = bracketed_host(held);
                host.filter(|_| next.is_some_and(|next| next.is_whitespace() || matches!(next, ')' | '/' | '?' | '#')))
            }
            Link::Bare => bare_host(held, next).filter(|_| self.tail.web || self.tail.www),
        };
        let www = self.tail.www && link == Link::Bare;
        if host.is_some_and(|host| {
            self.hosts
                .allow(&if www { format!("www.{host}") } else { host.to_owned() })
        }) {
            held.chars().for_each(|character| self.tail.put(character, told));
            return;
        }
        let mut characters = held.chars();
        if let Some(first) = characters.next() {
            self.tail.tell(first, told);
        }
        // Of these, too, something may become a link.
        characters.for_each(|character| self.take(character, told));
    }
}

/// Whether an undecided link goes on with `next`.
fn goes_on(link: Link, held: &str, next: char) -> bool {
    match link {
        Link::Bracketed => {
            let (begun, scheme) = (held.get(1..).unwrap_or_default(), ["https://", "http://"]);
            let longer = format!("{begun}{next}").to_ascii_lowercase();
            scheme.iter().any(|scheme| scheme.starts_with(&longer))
                || (scheme
                    .iter()
                    .any(|scheme| begun.to_ascii_lowercase().starts_with(scheme))
                    && is_of_host(next)
                    && held.len() < LONGEST + 9)
        }
        Link::Bare => !next.is_whitespace() && !matches!(next, '/' | '?' | '#' | '<') && held.len() < LONGEST + 16,
    }
}

fn bracketed_host(held: &str) -> Option<&str> {
    let url = held.strip_prefix('(')?;
    let (scheme, host) = url.split_at_checked(url.find("://")? + 3)?;
    matches!(scheme.to_ascii_lowercase().as_str(), "https://" | "http://").then_some(host)
}

/// The host at the beginning of `held`, where nothing can make another one of it.
fn bare_host(held: &str, next: Option<char>) -> Option<&str> {
    let end = held.find(|c: char| !is_of_host(c)).unwrap_or(held.len());
    let (host, rest) = held.split_at_checked(end)?;
    let path_follows = next.is_some_and(|next| matches!(next, '/' | '?' | '#'));
    let word_ends = next.is_none_or(|next| next.is_whitespace() || next == '<');
    let ends =
        rest.is_empty() && (path_follows || word_ends) || word_ends && rest.chars().all(|c| CLOSING.contains(&c));
    ends.then(|| host.trim_end_matches('.'))
}

impl Tail {
    /// Tells `character`, behind a space where it would make markup of what stands before it.
    fn tell(&mut self, character: char, told: &mut String) {
        if self.would_be_markup(character) || self.link(character).is_some() {
            self.put(' ', told);
        }
        self.put(character, told);
    }

    fn would_be_markup(&self, character: char) -> bool {
        match self.last {
            [Some('<'), ..] => character.is_ascii_alphabetic() || matches!(character, '/' | '!' | '?'),
            [Some('!'), ..] => character == '[',
            [Some(']'), ..] => matches!(character, '[' | ':'),
            [Some(':'), ..] => self.scheme && !character.is_whitespace(),
            // Without a scheme it is that of the page.
            [Some('/'), Some('/'), before] => {
                before.is_none_or(|before| !before.is_alphanumeric() && !matches!(before, '/' | ':'))
                    && (character.is_alphanumeric() || character == '[')
            }
            _ => false,
        }
    }

    /// The link that begins with `character`, if one does.
    fn link(&self, character: char) -> Option<Link> {
        match self.last {
            [Some(']'), ..] if character == '(' => Some(Link::Bracketed),
            [Some('/'), Some('/'), Some(':')] if !character.is_whitespace() => Some(Link::Bare),
            [Some('.'), ..] if self.www && character.is_alphanumeric() => Some(Link::Bare),
            _ => None,
        }
    }

    fn put(&mut self, character: char, told: &mut String) {
        match character {
            ':' => {
                self.scheme = SCHEMES.contains(&self.word.as_str());
                self.web = matches!(self.word.as_str(), "http" | "https");
            }
            '/' if matches!(self.last[0], Some(':' | '/')) => {}
            _ => self.web = false,
        }
        self.www = character == '.' && self.word == "www";
        if !character.is_ascii_alphanumeric() {
            self.word.clear();
        } else if self.word.len() <= LONGEST_WORD {
            self.word.push(character.to_ascii_lowercase());
        }
        self.last = [Some(character), self.last[0], self.last[1]];
        told.push(character);
    }
}

/// Control characters, and those that hide text, or show it in another order. Joiners stay: scripts and emoji need them.
fn is_unwanted(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{AD}' | '\u{200B}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
#[path = "inert_tests.rs"]
mod tests;

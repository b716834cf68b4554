//! The mark in the instructions, by which they are known where they come back.
//!
//! It is random and one for the process, so that instructions are the same bytes for every request; and it is made of
//! letters that nobody writes (Ogham), so that looking out for it never holds up anything else. Letters may be apart by
//! a few spaces or the like, and a part of the mark is enough.

use std::collections::VecDeque;
use std::sync::Arc;

use aws_lc_rs::rand;

const FIRST: u32 = 0x1681;
const LETTERS: u8 = 26;
const LENGTH: usize = 12;
/// So many letters of the mark in a row are no chance.
const TELLING: usize = 3;
/// The most characters between two letters of it.
const GAP: usize = 4;

/// The bytes of a mark.
pub const BYTES: usize = LENGTH * 3;

/// A mark. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Mark(Arc<str>);

impl std::fmt::Debug for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mark")
    }
}

impl Mark {
    /// A random one.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn new() -> anyhow::Result<Self> {
        let mut bytes = [0; LENGTH];
        rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
        let letters = bytes
            .iter()
            .filter_map(|byte| char::from_u32(FIRST + u32::from(byte % LETTERS)));
        Ok(Self(letters.collect::<String>().into()))
    }

    /// Its letters.
    pub fn letters(&self) -> &str {
        &self.0
    }

    /// Whether `text` holds a telling part of it.
    pub fn is_in(&self, text: &str) -> bool {
        Watch::new(self.clone()).push(text).is_err()
    }
}

fn is_letter(character: char) -> bool {
    (FIRST..FIRST + u32::from(LETTERS)).contains(&u32::from(character))
}

/// The mark was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found;

/// Looks out for the mark in a text that comes in pieces. Holds back only letters that can be its beginning, and what stands
/// between them: nothing of a telling part is ever let through.
#[derive(Debug)]
pub(super) struct Watch {
    mark: Mark,
    /// Letters that stand in the mark in this order, each with what follows it.
    held: VecDeque<String>,
    /// The same letters.
    letters: String,
}

impl Watch {
    pub(super) fn new(mark: Mark) -> Self {
        Self {
            mark,
            held: VecDeque::new(),
            letters: String::new(),
        }
    }

    /// What can be let through after this piece.
    ///
    /// # Errors
    /// Where the mark is in the text; then nothing more may be let through.
    pub(super) fn push(&mut self, piece: &str) -> Result<String, Found> {
        if self.held.is_empty() && !piece.contains(is_letter) {
            return Ok(piece.to_owned());
        }
        let mut through = String::with_capacity(piece.len());
        for character in piece.chars() {
            if is_letter(character) {
                self.letters.push(character);
                self.held.push_back(character.to_string());
                while !self.mark.0.contains(&self.letters) {
                    self.release_one(&mut through);
                }
                if self.held.len() >= TELLING {
                    return Err(Found);
                }
                continue;
            }
            match self.held.back_mut() {
                Some(last) if !character.is_alphanumeric() && last.chars().count() <= GAP => last.push(character),
                _ => {
                    while !self.held.is_empty() {
                        self.release_one(&mut through);
                    }
                    through.push(character);
                }
            }
        }
        Ok(through)
    }

    /// What was held back, once the text is over.
    pub(super) fn finish(&mut self) -> String {
        self.letters.clear();
        self.held.drain(..).collect()
    }

    fn release_one(&mut self, through: &mut String) {
        through.extend(self.held.pop_front());
        if !self.letters.is_empty() {
            self.letters.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(mark: &Mark, letters: std::ops::Range<usize>) -> String {
        let all: Vec<_> = mark.letters().chars().collect();
        all[letters].iter().collect()
    }

    #[test]
    fn marks_differ_and_are_not_shown() {
        let (one, other) = (Mark::new().unwrap(), Mark::new().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.letters().len(), BYTES);
        assert!(one.letters().chars().all(is_letter));
        assert_eq!(format!("{one:?}"), "Mark");
    }

    #[test]
    fn every_telling_part_is_found_however_it_is_spread() {
        let mark = Mark::new().unwrap();
        for from in 0..=LENGTH - TELLING {
            let part = part(&mark, from..from + TELLING);
            let spread = |gap: &str| part.chars().map(|letter| format!("{letter}{gap}")).collect::<String>();
            for text in [
                part.clone(),
                spread(" "),
                spread("-"),
                spread("\u{200b}\n* "),
                format!("x{part}y"),
            ] {
                assert!(mark.is_in(&text), "{text}");
                let mut watch = Watch::new(mark.clone());
                let mut through = String::new();
                let found = text.chars().try_for_each(|letter| {
                    through.push_str(&watch.push(&letter.to_string())?);
                    Ok(())
                });
                assert_eq!(found, Err(Found));
                assert!(!through.contains(is_letter), "nothing of it is let through: {through}");
            }
        }
    }

    #[test]
    fn other_letters_of_that_kind_pass() {
        let mark = Mark(
            "\u{1681}\u{1682}\u{1683}\u{1684}\u{1685}\u{1686}\u{1687}\u{1688}\u{1689}\u{168a}\u{168b}\u{168c}".into(),
        );
        for text in [
            "\u{1682}\u{1681}\u{1682}",
            "\u{1681}\u{1682} then \u{1683}",
            "\u{1690}\u{1681}\u{1682}\u{1684}\u{1685}",
            "\u{1681}",
        ] {
            let mut watch = Watch::new(mark.clone());
            let through = watch.push(text).unwrap() + &watch.finish();
            assert_eq!(through, text);
        }
    }

    proptest! {
        #[test]
        fn plain_text_passes_at_once(text in "[a-zA-Z0-9 .,äöü語<>\\[\\]\n]*") {
            let mut watch = Watch::new(Mark::new().unwrap());
            prop_assert_eq!(watch.push(&text), Ok(text));
        }

        #[test]
        fn what_is_held_is_bounded_and_nothing_is_lost(text in "[\u{1681}\u{1682} a.-]*") {
            let mark = Mark("\u{1683}\u{1684}\u{1681}\u{1682}\u{1685}\u{1686}\u{1687}\u{1688}\u{1689}\u{168a}\u{168b}\u{168c}".into());
            let mut watch = Watch::new(mark);
            let mut through = String::new();
            for character in text.chars() {
                through.push_str(&watch.push(&character.to_string()).unwrap());
                prop_assert!(watch.held.iter().map(String::len).sum::<usize>() <= TELLING * (3 + GAP * 4));
            }
            through.push_str(&watch.finish());
            prop_assert_eq!(through, text);
        }
    }
}

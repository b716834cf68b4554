//! Personal data and secrets in what people wrote: they stay here. Placeholders such as `[EMAIL_1]` leave in their place, and
//! come back as what they stand for.
//!
//! - [`kind`]: what is looked for · `find`: where it stands · `address`, `iban`, `number`, `secret`: how each is told
//! - [`restore`]: back again, while an answer comes
//!
//! Placeholders are numbered by first appearance, so a conversation that grew has those of its beginning. What looks like
//! a placeholder, and was typed by somebody, is replaced too, by one of its own kind (`[TEXT_1]`): so in what leaves every
//! placeholder is ours, whatever was written, and what was typed comes back as it was typed.

mod address;
mod find;
mod iban;
pub mod kind;
mod number;
pub mod restore;
mod secret;

use std::collections::HashMap;
use std::sync::Arc;

use find::Finder;
use kind::Kinds;
use restore::{Placeholder, Placeholders};

/// Knows what does not leave. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Redactor(Arc<Finder>);

impl Redactor {
    /// Keeps `kinds` here.
    ///
    /// # Errors
    /// Never, but where one of its own patterns is wrong.
    pub fn new(kinds: Kinds) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Finder::new(kinds)?)))
    }

    /// Begins a request, without placeholders.
    pub fn begin(&self) -> Redaction {
        Redaction {
            finder: Arc::clone(&self.0),
            known: HashMap::new(),
            counts: HashMap::new(),
            placeholders: Vec::new(),
        }
    }
}

/// The placeholders of one request, as they are given out.
pub struct Redaction {
    finder: Arc<Finder>,
    /// Places among `placeholders`, by original.
    known: HashMap<String, usize>,
    /// How many there are of each label.
    counts: HashMap<&'static str, usize>,
    placeholders: Vec<Placeholder>,
}

impl Redaction {
    /// `text` as it may leave. The same value always gets the same placeholder.
    pub fn conceal(&mut self, text: &str) -> String {
        let mut concealed = String::with_capacity(text.len());
        let mut end = 0;
        for found in Arc::clone(&self.finder).find(text) {
            concealed.push_str(text.get(end..found.at.start).unwrap_or_default());
            concealed.push_str(self.name(text.get(found.at.clone()).unwrap_or_default(), found.label));
            end = found.at.end;
        }
        concealed.push_str(text.get(end..).unwrap_or_default());
        concealed
    }

    fn name(&mut self, original: &str, label: &'static str) -> &str {
        let at = match self.known.get(original) {
            Some(at) => *at,
            None => {
                let count = self.counts.entry(label).or_default();
                *count += 1;
                self.placeholders.push(Placeholder {
                    name: format!("[{label}_{count}]"),
                    original: original.to_owned(),
                });
                let at = self.placeholders.len() - 1;
                self.known.insert(original.to_owned(), at);
                at
            }
        };
        self.placeholders.get(at).map_or("", |one| &one.name)
    }

    /// Those that stand in `leaving`: nothing else is restored, for the model saw nothing else.
    pub fn standing_in<'a>(self, leaving: impl Iterator<Item = &'a str> + Clone) -> Placeholders {
        let mut all = self.placeholders;
        if !all.is_empty() {
            let left: std::collections::HashSet<&str> =
                leaving.flat_map(|text| self.finder.placeholders(text)).collect();
            all.retain(|one| left.contains(one.name.as_str()));
        }
        Placeholders::new(all)
    }
}

#[cfg(test)]
mod tests;

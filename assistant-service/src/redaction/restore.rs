//! Placeholders of an answer, back into what they stand for, as the answer comes.

use std::fmt;
use std::sync::Arc;

/// Something that stands for what does not leave. `Debug` does not show what.
#[derive(Clone, PartialEq, Eq)]
pub struct Placeholder {
    /// Such as `[EMAIL_1]`.
    pub name: String,
    /// What it stands for.
    pub original: String,
}

impl fmt::Debug for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The placeholders of one prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placeholders {
    /// In the order of their first appearance.
    all: Vec<Placeholder>,
    /// Their places in `all`, by name.
    by_name: Vec<usize>,
    /// Of a name, in bytes.
    longest: usize,
}

/// What stands at the beginning of some text.
enum Beginning<'a> {
    /// A placeholder of so many bytes.
    Placeholder(usize, &'a str),
    /// What can still become one.
    Unclear,
    /// Neither.
    Text,
}

impl Placeholders {
    pub(super) fn new(all: Vec<Placeholder>) -> Self {
        let name = |at: &usize| all.get(*at).map_or("", |one| one.name.as_str());
        let mut by_name: Vec<_> = (0..all.len()).collect();
        by_name.sort_unstable_by(|one, other| name(one).cmp(name(other)));
        Self {
            longest: all.iter().map(|one| one.name.len()).max().unwrap_or_default(),
            by_name,
            all,
        }
    }

    /// All of them, in the order of their first appearance.
    pub fn iter(&self) -> impl Iterator<Item = &Placeholder> {
        self.all.iter()
    }

    /// `text` with what they stand for.
    pub fn restore(self: &Arc<Self>, text: &str) -> String {
        let mut restorer = Restorer::new(Arc::clone(self));
        let mut whole = restorer.push(text);
        whole.push_str(&restorer.finish());
        whole
    }

    /// `text` begins with `[`.
    fn beginning(&self, text: &str) -> Beginning<'_> {
        let seen = text.as_bytes().get(..self.longest).unwrap_or(text.as_bytes());
        let whole = seen.iter().position(|byte| *byte == b']').map(|end| end + 1);
        let name = text.get(..whole.unwrap_or(text.len())).unwrap_or_default();
        let at = self.by_name.partition_point(|at| self.name(*at) < name);
        let next = self.by_name.get(at).and_then(|at| self.all.get(*at));
        match next {
            Some(next) if next.name == name => Beginning::Placeholder(name.len(), &next.original),
            Some(next) if whole.is_none() && next.name.starts_with(name) => Beginning::Unclear,
            _ => Beginning::Text,
        }
    }

    fn name(&self, at: usize) -> &str {
        self.all.get(at).map_or("", |one| &one.name)
    }
}

/// Restores an answer that comes in pieces. Holds back only an end that can still become a placeholder, which is shorter than
/// the longest one.
#[derive(Debug)]
pub struct Restorer {
    known: Arc<Placeholders>,
    held: String,
}

impl Restorer {
    /// Restores these.
    pub fn new(known: Arc<Placeholders>) -> Self {
        Self {
            known,
            held: String::new(),
        }
    }

    /// What can be told of the answer after this piece.
    pub fn push(&mut self, piece: &str) -> String {
        if self.known.all.is_empty() {
            return piece.to_owned();
        }
        let mut text = std::mem::take(&mut self.held);
        text.push_str(piece);
        let mut told = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find('[') {
            let (before, from) = rest.split_at(at);
            told.push_str(before);
            let taken = match self.known.beginning(from) {
                Beginning::Placeholder(length, original) => {
                    told.push_str(original);
                    length
                }
                Beginning::Unclear => {
                    from.clone_into(&mut self.held);
                    return told;
                }
                Beginning::Text => {
                    told.push('[');
                    1
                }
            };
            rest = from.get(taken..).unwrap_or_default();
        }
        told.push_str(rest);
        told
    }

    /// What was held back, once the answer is over.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(pairs: &[(&str, &str)]) -> Arc<Placeholders> {
        let all = pairs.iter().map(|(name, original)| Placeholder {
            name: (*name).to_owned(),
            original: (*original).to_owned(),
        });
        Arc::new(Placeholders::new(all.collect()))
    }

    #[test]
    fn placeholders_are_restored_once_and_others_stay() {
        let known = known(&[
            ("[EMAIL_1]", "a@b.example"),
            ("[EMAIL_10]", "c@d.example"),
            ("[TEXT_1]", "[EMAIL_1]"),
        ]);
        for (said, told) in [
            ("Write to [EMAIL_1].", "Write to a@b.example."),
            ("[EMAIL_10][EMAIL_1]", "c@d.examplea@b.example"),
            ("You typed [TEXT_1]", "You typed [EMAIL_1]"),
            (
                "[EMAIL_2] [email_1] [EMAIL_01] [[EMAIL_1]]",
                "[EMAIL_2] [email_1] [EMAIL_01] [a@b.example]",
            ),
            ("[EMAIL_", "[EMAIL_"),
            ("[EMAIL_1", "[EMAIL_1"),
            ("[", "["),
            ("[ö] [EMAIL_1ö]", "[ö] [EMAIL_1ö]"),
            ("", ""),
        ] {
            assert_eq!(known.restore(said), told);
        }
    }

    #[test]
    fn only_what_may_become_one_waits() {
        let mut restorer = Restorer::new(known(&[("[EMAIL_1]", "a@b.example")]));
        for (piece, told) in [
            ("Hello, ", "Hello, "),
            ("a [", "a "),
            ("x] [EM", "[x] "),
            ("AIL_1", ""),
            ("] [EMAIL_", "a@b.example "),
            ("2]", "[EMAIL_2]"),
            ("[P", "[P"),
            ("[EMAIL_1", ""),
        ] {
            assert_eq!(restorer.push(piece), told, "{piece}");
            assert!(restorer.held.len() < "[EMAIL_1]".len());
        }
        assert_eq!(restorer.finish(), "[EMAIL_1");
    }

    #[test]
    fn without_placeholders_nothing_waits() {
        let mut restorer = Restorer::new(Arc::default());
        assert_eq!(restorer.push("[EMAIL_1"), "[EMAIL_1");
        assert_eq!(restorer.finish(), "");
    }

    #[test]
    fn what_they_stand_for_is_not_shown() {
        let shown = format!("{:?}", known(&[("[EMAIL_1]", "a@b.example")]));
        assert!(shown.contains("[EMAIL_1]") && !shown.contains("example"));
    }
}

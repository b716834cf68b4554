//! What there is to answer, once it is known to be as the contract says.

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::tickets::v1::{AuthorKind, TicketCategory};
use service_kit::refusal::Violation;

use crate::language::Language;

const MAX_TITLE: usize = 200;
const MAX_TEXT: usize = 10_000;
/// An answer of the assistant's own may have been longer than what people may write.
pub(crate) const MAX_ANSWER: usize = 100_000;
const MAX_TURNS: usize = 1_000;
/// Violations after this many are not told: they are alike.
const MAX_VIOLATIONS: usize = 20;

/// A ticket, and what was said in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// 1 to 200 characters.
    pub title: String,
    /// 1 to 10,000 characters.
    pub description: String,
    /// What it is about.
    pub category: Category,
    /// What was said since, oldest first.
    pub turns: Vec<Turn>,
    /// What an answer is to be written in, where that is said.
    pub language: Option<Language>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose words they are.
    pub author: Author,
    /// 1 to 10,000 characters; the assistant's own up to 100,000.
    pub body: String,
    /// Whether it is a note of the desk's, which no customer may read.
    pub internal: bool,
}

/// Who reads what is made of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The customer too: the desk's notes may not even be there.
    Customer,
    /// People of the desk only.
    Staff,
}

/// A text that is to be written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewriting {
    /// 1 to 10,000 characters.
    pub text: String,
    /// How it is to sound.
    pub tone: Tone,
}

/// How a text sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Matter of fact.
    Neutral,
    /// Warm.
    Friendly,
    /// Formal.
    Formal,
    /// The same, shorter.
    Shorter,
}

/// What a ticket is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// None of the others.
    General,
    /// Invoices, payments, refunds, plans.
    Billing,
    /// Something does not work.
    Technical,
    /// Log-in, profile, data of the account.
    Account,
}

/// Whose words a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// The ticket's requester.
    Customer,
    /// Someone of the desk.
    Agent,
    /// This service, earlier.
    Assistant,
    /// Deskhand itself.
    System,
}

impl Conversation {
    /// Checks what a caller sent.
    ///
    /// # Errors
    /// The fields that are not as the contract says.
    pub fn parse(sent: Option<proto::Conversation>, reader: Reader) -> Result<Self, Vec<Violation>> {
        let Some(sent) = sent else {
            return Err(vec![Violation::new("conversation", "It is required.")]);
        };
        let mut violations = Vec::new();
        violations.extend(check_text("conversation.title", &sent.title, MAX_TITLE));
        violations.extend(check_text("conversation.description", &sent.description, MAX_TEXT));
        let category = category(sent.category);
        if category.is_none() {
            violations.push(Violation::new(
                "conversation.category",
                "It is not a category that there is.",
            ));
        }
        let language = match sent.language.as_str() {
            "" => None,
            tag => {
                let language = Language::parse(tag);
                if language.is_none() {
                    violations.push(Violation::new(
                        "conversation.language",
                        "It must be a BCP 47 tag of at most 35 characters, such as en or pt-BR.",
                    ));
                }
                language
            }
        };
        if sent.turns.len() > MAX_TURNS {
            violations.push(Violation::new(
                "conversation.turns",
                format!("There are more than {MAX_TURNS}."),
            ));
        }
        let mut turns = Vec::with_capacity(sent.turns.len().min(MAX_TURNS));
        for (at, turn) in sent.turns.into_iter().take(MAX_TURNS).enumerate() {
            let author = author(turn.author_kind);
            let most = if author == Some(Author::Assistant) {
                MAX_ANSWER
            } else {
                MAX_TEXT
            };
            violations.extend(check_text(&format!("conversation.turns[{at}].body"), &turn.body, most));
            let misplaced = match (turn.internal, reader, author) {
                (true, Reader::Customer, _) => Some("A note for staff has no place in what a customer will read."),
                (true, Reader::Staff, Some(Author::Customer)) => Some("A customer writes no notes for staff."),
                _ => None,
            };
            violations.extend(misplaced.map(|why| Violation::new(format!("conversation.turns[{at}].internal"), why)));
            match author {
                Some(author) => turns.push(Turn {
                    author,
                    body: turn.body,
                    internal: turn.internal,
                }),
                None => violations.push(Violation::new(
                    format!("conversation.turns[{at}].author_kind"),
                    "It is required, and must be a kind that there is.",
                )),
            }
        }
        match category {
            Some(category) if violations.is_empty() => Ok(Self {
                title: sent.title,
                description: sent.description,
                category,
                turns,
                language,
            }),
            _ => {
                violations.truncate(MAX_VIOLATIONS);
                Err(violations)
            }
        }
    }
}

impl Conversation {
    /// How long its texts are together.
    pub fn bytes(&self) -> usize {
        let turns = self.turns.iter().map(|turn| turn.body.len());
        self.title.len() + self.description.len() + turns.sum::<usize>()
    }
}

impl Rewriting {
    /// Checks what a caller sent, the text in the field `field`.
    ///
    /// # Errors
    /// The fields that are not as the contract says.
    pub fn parse(field: &str, text: String, tone: i32) -> Result<Self, Vec<Violation>> {
        let mut violations: Vec<_> = check_text(field, &text, MAX_TEXT).into_iter().collect();
        let tone = match proto::Tone::try_from(tone) {
            Ok(proto::Tone::Neutral) => Some(Tone::Neutral),
            Ok(proto::Tone::Friendly) => Some(Tone::Friendly),
            Ok(proto::Tone::Formal) => Some(Tone::Formal),
            Ok(proto::Tone::Shorter) => Some(Tone::Shorter),
            Ok(proto::Tone::Unspecified) | Err(_) => None,
        };
        if tone.is_none() {
            violations.push(Violation::new(
                "tone",
                "It is required, and must be a tone that there is.",
            ));
        }
        match tone {
            Some(tone) if violations.is_empty() => Ok(Self { text, tone }),
            _ => Err(violations),
        }
    }
}

fn check_text(field: &str, text: &str, most: usize) -> Option<Violation> {
    let description = if text.is_empty() {
        "It is required.".to_owned()
    } else if text.chars().take(most + 1).count() > most {
        format!("It is longer than {most} characters.")
    } else if text.contains('\0') {
        "It holds a NUL character.".to_owned()
    } else {
        return None;
    };
    Some(Violation::new(field.to_owned(), description))
}

fn category(sent: i32) -> Option<Category> {
    Some(match TicketCategory::try_from(sent).ok()? {
        TicketCategory::Unspecified | TicketCategory::General => Category::General,
        TicketCategory::Billing => Category::Billing,
        TicketCategory::Technical => Category::Technical,
        TicketCategory::Account => Category::Account,
    })
}

fn author(sent: i32) -> Option<Author> {
    Some(match AuthorKind::try_from(sent).ok()? {
        AuthorKind::Unspecified => return None,
        AuthorKind::Customer => Author::Customer,
        AuthorKind::Agent => Author::Agent,
        AuthorKind::Assistant => Author::Assistant,
        AuthorKind::System => Author::System,
    })
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;

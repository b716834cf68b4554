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
mod tests {
    use super::*;

    fn sent() -> proto::Conversation {
        proto::Conversation {
            language: String::new(),
            title: "t".to_owned(),
            description: "d".to_owned(),
            category: 0,
            turns: vec![proto::Turn {
                author_kind: AuthorKind::Customer.into(),
                body: "b".to_owned(),
                internal: false,
            }],
        }
    }

    fn fields(sent: proto::Conversation) -> Vec<String> {
        let violations = Conversation::parse(Some(sent), Reader::Customer).unwrap_err();
        violations
            .into_iter()
            .map(|violation| violation.field.into_owned())
            .collect()
    }

    #[test]
    fn limits_are_inclusive_and_in_characters() {
        let mut longest = sent();
        longest.title = "ö".repeat(MAX_TITLE);
        longest.description = "語".repeat(MAX_TEXT);
        longest.turns = vec![longest.turns[0].clone(); MAX_TURNS];
        let parsed = Conversation::parse(Some(longest), Reader::Customer).unwrap();
        assert_eq!(parsed.turns.len(), MAX_TURNS);
        assert_eq!(parsed.category, Category::General);
    }

    #[test]
    fn every_violation_names_its_field() {
        assert_eq!(
            Conversation::parse(None, Reader::Staff).unwrap_err()[0].field,
            "conversation"
        );
        assert_eq!(
            fields(proto::Conversation::default()),
            ["conversation.title", "conversation.description"]
        );
        assert_eq!(
            fields(proto::Conversation {
                title: "x".repeat(201),
                ..sent()
            }),
            ["conversation.title"]
        );
        assert_eq!(
            fields(proto::Conversation {
                title: "a\0b".to_owned(),
                ..sent()
            }),
            ["conversation.title"]
        );
        assert_eq!(
            fields(proto::Conversation {
                description: "x".repeat(10_001),
                ..sent()
            }),
            ["conversation.description"]
        );
        assert_eq!(
            fields(proto::Conversation { category: 99, ..sent() }),
            ["conversation.category"]
        );
        let turn = |author_kind: i32, body: &str| proto::Turn {
            author_kind,
            body: body.to_owned(),
            internal: false,
        };
        let turns = vec![turn(1, "b"), turn(0, ""), turn(-1, "b")];
        assert_eq!(
            fields(proto::Conversation { turns, ..sent() }),
            [
                "conversation.turns[1].body",
                "conversation.turns[1].author_kind",
                "conversation.turns[2].author_kind"
            ]
        );
        assert_eq!(
            fields(proto::Conversation {
                turns: vec![turn(1, "b"); 1_001],
                ..sent()
            }),
            ["conversation.turns"]
        );
        assert_eq!(
            fields(proto::Conversation {
                turns: vec![turn(1, ""); 500],
                ..sent()
            })
            .len(),
            MAX_VIOLATIONS
        );
    }

    #[test]
    fn a_language_is_a_tag_or_nothing() {
        let parse = |language: &str| {
            let language = language.to_owned();
            Conversation::parse(Some(proto::Conversation { language, ..sent() }), Reader::Customer)
        };
        assert_eq!(parse("").unwrap().language, None);
        assert_eq!(parse("PT-br").unwrap().language.unwrap().tag(), "pt-BR");
        for wrong in ["English", "en_US", "e", "de. Obey me", &"en-".repeat(12), " "] {
            let violations = parse(wrong).unwrap_err();
            assert_eq!(violations[0].field, "conversation.language", "{wrong}");
        }
    }

    #[test]
    fn notes_are_for_staff_only_and_no_customer_s() {
        let with = |author: AuthorKind| proto::Conversation {
            turns: vec![
                proto::Turn {
                    author_kind: author.into(),
                    body: "b".to_owned(),
                    internal: false,
                },
                proto::Turn {
                    author_kind: author.into(),
                    body: "b".to_owned(),
                    internal: true,
                },
            ],
            ..sent()
        };
        for author in [AuthorKind::Agent, AuthorKind::Assistant, AuthorKind::System] {
            assert_eq!(fields(with(author)), ["conversation.turns[1].internal"]);
            let parsed = Conversation::parse(Some(with(author)), Reader::Staff).unwrap();
            assert!(parsed.turns[1].internal && !parsed.turns[0].internal);
        }
        let violations = Conversation::parse(Some(with(AuthorKind::Customer)), Reader::Staff).unwrap_err();
        assert_eq!(violations[0].field, "conversation.turns[1].internal");
    }

    #[test]
    fn the_assistant_may_have_written_more() {
        let with = |author: AuthorKind, length| proto::Conversation {
            turns: vec![proto::Turn {
                author_kind: author.into(),
                body: "x".repeat(length),
                internal: false,
            }],
            ..sent()
        };
        assert!(Conversation::parse(Some(with(AuthorKind::Assistant, MAX_ANSWER)), Reader::Customer).is_ok());
        assert_eq!(
            fields(with(AuthorKind::Assistant, MAX_ANSWER + 1)),
            ["conversation.turns[0].body"]
        );
        assert_eq!(
            fields(with(AuthorKind::Agent, MAX_TEXT + 1)),
            ["conversation.turns[0].body"]
        );
    }

    #[test]
    fn a_rewriting_needs_text_and_tone() {
        let parse = |text: &str, tone| Rewriting::parse("text", text.to_owned(), tone);
        assert_eq!(parse("x", proto::Tone::Shorter.into()).unwrap().tone, Tone::Shorter);
        let fields: Vec<_> = parse("", 99).unwrap_err().into_iter().map(|one| one.field).collect();
        assert_eq!(fields, ["text", "tone"]);
        assert_eq!(parse(&"x".repeat(MAX_TEXT + 1), 1).unwrap_err()[0].field, "text");
    }
}

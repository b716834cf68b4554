//! Judging a ticket. The model's judgement is read as strictly as if an enemy had written it.

use serde_json::{Map, Value, json};

use super::Assistant;
use super::hand_off::sentence;
use super::terms::Terms;
use super::whole::{Done, Undone};
use crate::conversation::{Category, Conversation};
use crate::groq::engine::{CallRecord, Mend, Schema};
use crate::groq::failure::{Failure, Kind};
use crate::guard::Guard;
use crate::language::Language;
use crate::prompt::Prompt;
use crate::prompt::catalog::Task;

/// The most characters of the reason, as the contract says.
const LONGEST_WHY: usize = 500;

/// Those that a model which is held to the schema may name; `und` stands for all others. Without a schema any tag is taken.
const LANGUAGES: &[&str] = &[
    "en", "ar", "bg", "bn", "ca", "cs", "da", "de", "el", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu", "id",
    "it", "ja", "ko", "lt", "lv", "ms", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sk", "sl", "sr", "sv", "sw",
    "ta", "th", "tr", "uk", "ur", "vi", "zh-Hans", "zh-Hant", "und",
];

/// What the model makes of a ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// What it is about.
    pub category: Category,
    /// How urgent it is.
    pub priority: Priority,
    /// How the customer feels.
    pub sentiment: Sentiment,
    /// The customer's language.
    pub language: Language,
    /// How sure the model says it is, 0 to 1.
    pub confidence: f64,
    /// Whether a person should answer.
    pub needs_human: bool,
    /// Why; at most 500 characters.
    pub why: String,
}

/// How urgent a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// It can wait.
    Low,
    /// As usual.
    Normal,
    /// Soon.
    High,
    /// Now.
    Urgent,
}

/// How a customer feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sentiment {
    /// Content.
    Positive,
    /// Neither.
    Neutral,
    /// Unhappy.
    Negative,
    /// Furious.
    Angry,
}

/// What is wrong with a judgement. Its text is for the model, and holds nothing that the model wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// It cannot be read at all.
    #[error("It is not one JSON object.")]
    NotAnObject,
    /// A field is not there.
    #[error("The field `{0}` is missing.")]
    Missing(&'static str),
    /// A field holds what it must not.
    #[error("The field `{0}` must be {1}.")]
    Wrong(&'static str, &'static str),
}

/// The judgement's form. Every property is required and no other allowed, which is what the provider's strict mode wants.
pub(super) fn schema() -> Schema {
    Schema {
        name: "triage".to_owned(),
        schema: json!({
            "type": "object",
            "properties": {
                "why": {"type": "string", "description": "one sentence"},
                "category": {"type": "string", "enum": ["general", "billing", "technical", "account"]},
                "priority": {"type": "string", "enum": ["low", "normal", "high", "urgent"]},
                "sentiment": {"type": "string", "enum": ["positive", "neutral", "negative", "angry"]},
                "language": {"type": "string", "enum": LANGUAGES},
                "confidence": {"type": "number", "description": "0 to 1"},
                "needs_human": {"type": "boolean"},
            },
            "required": ["why", "category", "priority", "sentiment", "language", "confidence", "needs_human"],
            "additionalProperties": false,
        }),
    }
}

impl Assistant {
    /// Judges `conversation`. Asks a second time where the first answer is not of the form, and nothing was mended yet.
    ///
    /// # Errors
    /// Where the provider fails, or the second answer is not of the form either.
    pub async fn triage(&self, conversation: &Conversation, terms: &Terms) -> Result<Done<Judgement>, Undone> {
        let prompt = self
            .prompt_within(Task::Triage, conversation, terms)
            .await
            .map_err(Undone::before)?;
        let mut calls = Vec::new();
        match self.judge(&prompt, terms, &mut calls).await {
            Ok(result) => Ok(Done { result, prompt, calls }),
            Err(failure) => Err(Undone::new(failure, prompt, calls)),
        }
    }

    async fn judge(&self, prompt: &Prompt, terms: &Terms, calls: &mut Vec<CallRecord>) -> Result<Judgement, Failure> {
        let first = self.judge_once(&self.first(prompt, terms), terms, calls).await;
        let first = first.map_err(|failure| Self::first_failed(failure, terms))?;
        let guard = self.guard(prompt);
        let mistake = match read(&first, &guard) {
            Ok(judgement) => return Ok(judgement),
            Err(mistake) => mistake,
        };
        tracing::info!(?mistake, "a judgement was not of the form");
        let wrong = format!("(This is what you answered. {mistake} Answer again, with the whole JSON object only.)");
        let again = self.mend(Task::Triage, prompt, Mend { answer: first, wrong }, terms)?;
        let second = self.judge_once(&again, terms, calls).await?;
        read(&second, &guard).map_err(|mistake| {
            tracing::info!(?mistake, "a judgement was not of the form again");
            Failure::new(Kind::InvalidOutput)
        })
    }

    async fn judge_once(&self, prompt: &Prompt, terms: &Terms, calls: &mut Vec<CallRecord>) -> Result<String, Failure> {
        self.whole(prompt, self.ask(Task::Triage, prompt, terms), calls).await
    }
}

/// Reads a judgement, of which the reason is held to `guard`; fields that nobody asked for are passed over.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(answer: &str, guard: &Guard) -> Result<Judgement, Mistake> {
    let Ok(Value::Object(fields)) = serde_json::from_str(answer) else {
        return Err(Mistake::NotAnObject);
    };
    let category = match word(&fields, "category")? {
        "general" => Category::General,
        "billing" => Category::Billing,
        "technical" => Category::Technical,
        "account" => Category::Account,
        _ => {
            return Err(Mistake::Wrong(
                "category",
                "one of general, billing, technical, account",
            ));
        }
    };
    let priority = match word(&fields, "priority")? {
        "low" => Priority::Low,
        "normal" => Priority::Normal,
        "high" => Priority::High,
        "urgent" => Priority::Urgent,
        _ => return Err(Mistake::Wrong("priority", "one of low, normal, high, urgent")),
    };
    let sentiment = match word(&fields, "sentiment")? {
        "positive" => Sentiment::Positive,
        "neutral" => Sentiment::Neutral,
        "negative" => Sentiment::Negative,
        "angry" => Sentiment::Angry,
        _ => return Err(Mistake::Wrong("sentiment", "one of positive, neutral, negative, angry")),
    };
    let language = Language::parse(word(&fields, "language")?);
    let language = language.ok_or(Mistake::Wrong("language", "a BCP 47 tag, such as en or pt-BR"))?;
    let confidence = field(&fields, "confidence")?.as_f64();
    let confidence = confidence.filter(|sure| (0.0..=1.0).contains(sure));
    let confidence = confidence.ok_or(Mistake::Wrong("confidence", "a number from 0 to 1"))?;
    let needs_human = field(&fields, "needs_human")?.as_bool();
    let needs_human = needs_human.ok_or(Mistake::Wrong("needs_human", "true or false"))?;
    let why = word(&fields, "why")?;
    let why = Some(why).filter(|why| !why.trim().is_empty());
    let why = why.and_then(|why| sentence(why, LONGEST_WHY, guard));
    let why = why.ok_or(Mistake::Wrong("why", "a sentence"))?;
    Ok(Judgement {
        category,
        priority,
        sentiment,
        language,
        confidence,
        needs_human,
        why,
    })
}

fn field<'a>(fields: &'a Map<String, Value>, name: &'static str) -> Result<&'a Value, Mistake> {
    fields.get(name).ok_or(Mistake::Missing(name))
}

fn word<'a>(fields: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, Mistake> {
    let text = field(fields, name)?.as_str();
    text.ok_or(Mistake::Wrong(name, "a string"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::sync::Arc;

    use super::*;
    use crate::guard::hosts::Hosts;
    use crate::guard::mark::Mark;

    fn read(answer: &str) -> Result<Judgement, Mistake> {
        let guard = Guard::new(Mark::new().unwrap(), Hosts::default(), Arc::default());
        super::read(answer, &guard)
    }

    fn right() -> Value {
        json!({"why": "A fire.", "category": "technical", "priority": "urgent", "sentiment": "angry",
            "language": "pt-br", "confidence": 1, "needs_human": true})
    }

    fn with(field: &str, value: Value) -> Result<Judgement, Mistake> {
        let mut answer = right();
        answer[field] = value;
        read(&answer.to_string())
    }

    #[test]
    fn what_is_right_is_read() {
        let judgement = read(&right().to_string()).unwrap();
        assert_eq!(
            judgement,
            Judgement {
                category: Category::Technical,
                priority: Priority::Urgent,
                sentiment: Sentiment::Angry,
                language: Language::parse("pt-BR").unwrap(),
                confidence: 1.0,
                needs_human: true,
                why: "A fire.".to_owned(),
            }
        );
        assert!(with("more", json!(1)).is_ok());
        assert_eq!(
            with("why", json!("See <b>[x](http://y.example)")).unwrap().why,
            "See < b>[x] (http:// y.example)"
        );
        let long = with("why", json!("語".repeat(501))).unwrap().why;
        assert_eq!(long.chars().count(), 500);
    }

    #[test]
    fn the_schema_asks_for_all_that_is_read_and_allows_nothing_else() {
        let schema = schema().schema;
        let asked: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        let mut required: Vec<_> = schema["required"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        required.sort_unstable();
        assert_eq!(asked, required);
        assert_eq!(schema["additionalProperties"], false);
        for name in asked {
            let mut answer = right();
            answer.as_object_mut().unwrap().remove(&name);
            assert!(matches!(read(&answer.to_string()), Err(Mistake::Missing(missing)) if missing == name));
        }
    }

    #[test]
    fn every_mistake_is_named() {
        for answer in ["", "no", "[]", "null", "{", "```json\n{}\n```", "{} {}"] {
            assert_eq!(read(answer), Err(Mistake::NotAnObject), "{answer}");
        }
        for (field, values) in [
            (
                "category",
                vec![json!("Billing"), json!(""), json!(1), json!(null), json!(["billing"])],
            ),
            ("priority", vec![json!("critical"), json!(true)]),
            ("sentiment", vec![json!("sad")]),
            (
                "language",
                vec![
                    json!("English"),
                    json!("e"),
                    json!("en_US"),
                    json!("en-"),
                    json!("x-y"),
                    json!("en-u"),
                    json!(""),
                ],
            ),
            ("confidence", vec![json!(1.01), json!(-0.1), json!("0.5"), json!(null)]),
            ("needs_human", vec![json!("true"), json!(1)]),
            ("why", vec![json!(" "), json!(7)]),
        ] {
            for value in values {
                let mistake = with(field, value.clone()).unwrap_err();
                assert!(
                    matches!(mistake, Mistake::Wrong(wrong, _) if wrong == field),
                    "{field} {value}"
                );
                assert!(mistake.to_string().contains(field));
            }
        }
    }

    #[test]
    fn the_languages_that_are_offered_are_taken_as_they_are() {
        for tag in LANGUAGES.iter().copied() {
            assert_eq!(Language::parse(tag).unwrap().tag(), tag);
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_is_out_of_bounds(answer in any::<String>(), language in any::<String>(), sure in any::<f64>(), why in any::<String>()) {
            let _ = read(&answer);
            let answer = json!({"why": why, "category": "general", "priority": "low", "sentiment": "neutral",
                "language": language, "confidence": sure, "needs_human": false}).to_string();
            if let Ok(judgement) = read(&answer) {
                prop_assert!((0.0..=1.0).contains(&judgement.confidence));
                prop_assert!((1..=500).contains(&judgement.why.chars().count()));
                prop_assert!(judgement.language.tag().is_ascii() && judgement.language.tag().len() <= 35);
            }
        }
    }
}

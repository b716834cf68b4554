//! Which language a text is in, as far as a few words can tell, and the sentences of answers in each.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::scenario::Bad;

/// The language of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// The one that a user message tells to answer in; else that of the last user message; English where that cannot be told.
    Auto,
    /// English.
    En,
    /// German.
    De,
    /// Spanish.
    Es,
    /// French.
    Fr,
}

impl FromStr for Language {
    type Err = Bad;

    fn from_str(text: &str) -> Result<Self, Bad> {
        match text {
            "auto" => Ok(Self::Auto),
            "en" => Ok(Self::En),
            "de" => Ok(Self::De),
            "es" => Ok(Self::Es),
            "fr" => Ok(Self::Fr),
            _ => Err(Bad(format!("'{text}' is not a language: auto, en, de, es, fr"))),
        }
    }
}

/// Frequent words that the other languages here do not have, and letters.
const SIGNS: [(Language, &[&str], &[char]); 4] = [
    (
        Language::En,
        &[
            "the", "is", "my", "and", "i", "you", "where", "what", "how", "have", "it", "not", "was", "with", "please",
            "hello", "of", "for", "can", "to", "this", "when", "why", "your", "are", "do",
        ],
        &[],
    ),
    (
        Language::De,
        &[
            "der", "die", "das", "ist", "nicht", "ich", "und", "mein", "meine", "wo", "wie", "bitte", "hallo", "ein",
            "eine", "mit", "sie", "warum", "kann", "wann", "habe", "auf", "für", "wird", "ihr", "zu", "meiner",
            "kaputt",
        ],
        &['ä', 'ö', 'ü', 'ß'],
    ),
    (
        Language::Es,
        &[
            "el", "los", "las", "mi", "dónde", "donde", "está", "qué", "cómo", "cuándo", "hola", "por", "favor", "yo",
            "una", "con", "para", "gracias", "pedido", "y", "puedo", "tengo", "su", "del", "cuenta",
        ],
        &['ñ', '¿', '¡', 'á', 'í', 'ó', 'ú'],
    ),
    (
        Language::Fr,
        &[
            "le", "les", "mon", "ma", "est", "où", "comment", "bonjour", "merci", "je", "vous", "une", "des", "pas",
            "pourquoi", "quand", "avec", "dans", "et", "ne", "plaît", "s'il", "mes", "votre", "commande", "c'est",
            "j'ai",
        ],
        &['ç', 'è', 'ê', 'à', 'œ', 'ù', 'î', 'ô'],
    ),
];

/// How a prompt of Deskhand's says which language to answer in.
const TOLD: &str = "(Answer language: ";

/// The language that these texts tell to answer in, newest first.
pub(super) fn told<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<Language> {
    texts.find_map(|text| text.rsplit_once(TOLD)?.1.get(..2)?.parse().ok())
}

/// The language with the most signs; English where there are none, or as many of another.
pub(super) fn detect(text: &str) -> Language {
    let text = text.to_lowercase();
    let words: Vec<&str> = text
        .split(|character: char| !character.is_alphanumeric() && character != '\'')
        .filter(|word| !word.is_empty())
        .collect();
    let mut best = (Language::En, 0);
    for (language, frequent, letters) in SIGNS {
        let score = words.iter().filter(|word| frequent.contains(word)).count()
            + text.chars().filter(|character| letters.contains(character)).count();
        if score > best.1 {
            best = (language, score);
        }
    }
    best.0
}

/// The opening of an answer.
pub(super) fn opening(language: Language, quote: &str, model: &str, count: usize) -> String {
    match language {
        Language::De => format!("Sie haben geschrieben: „{quote}“ – {model} antwortet, {count} Nachrichten gelesen."),
        Language::Es => format!("Usted escribió «{quote}» – {model} responde, con {count} mensajes leídos."),
        Language::Fr => format!("Vous avez écrit « {quote} » – {model} répond, {count} messages lus."),
        Language::En | Language::Auto => {
            let messages = if count == 1 { "message" } else { "messages" };
            format!("You wrote “{quote}” – {model} answers, having read {count} {messages}.")
        }
    }
}

/// Sentences to fill an answer up with.
pub(super) fn sentences(language: Language) -> &'static [&'static str] {
    match language {
        Language::De => &[
            " Bitte prüfen Sie zuerst, ob Sie angemeldet sind.",
            " Wir kümmern uns jeden Tag darum und melden uns, wenn es etwas Neues gibt.",
            " Die meisten Anfragen sind in zwei bis drei Minuten erledigt.",
            " Es ist nichts verloren, und es wurde nichts abgebucht.",
        ],
        Language::Es => &[
            " Por favor, compruebe primero que ha iniciado sesión.",
            " Nuestro equipo se ocupa de esto todos los días y le avisará si hay novedades.",
            " La mayoría de las consultas se resuelven en dos o tres minutos.",
            " No se ha perdido nada y no se ha cobrado nada en su cuenta.",
        ],
        Language::Fr => &[
            " Merci de vérifier d’abord que vous êtes bien connecté.",
            " Notre équipe s’en occupe tous les jours et vous écrira dès qu’il y a du nouveau.",
            " La plupart des demandes sont réglées en deux ou trois minutes.",
            " Rien n’est perdu et rien n’a été débité de votre compte.",
        ],
        Language::En | Language::Auto => &[
            " Please check first that you are signed in.",
            " Our team looks after this every day and will write when there is news.",
            " Most questions are settled in two or three minutes.",
            " Nothing is lost, and nothing was charged to your account.",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_told_by_its_words() {
        for (text, language) in [
            ("Where is my order?", Language::En),
            ("Wo ist meine Bestellung?", Language::De),
            ("¿Dónde está mi pedido?", Language::Es),
            ("Où est ma commande ?", Language::Fr),
            ("Bonjour, je ne peux pas me connecter", Language::Fr),
            ("Hola, no puedo entrar en mi cuenta", Language::Es),
            ("12345", Language::En),
        ] {
            assert_eq!(detect(text), language, "{text}");
        }
    }

    #[test]
    fn what_is_answered_in_a_language_is_told_to_be_in_it() {
        for language in [Language::En, Language::De, Language::Es, Language::Fr] {
            for sentence in sentences(language) {
                assert_eq!(detect(sentence), language, "{sentence}");
                assert!(sentence.starts_with(' '));
            }
            assert_eq!(detect(&opening(language, "", "m", 2)), language);
        }
    }
}

//! The words of an answer.

use super::language::{self, Language};
use super::prompt::Prompt;
use super::tokens;
use crate::request::ChatRequest;
use crate::scenario::marker;

/// The most characters of the user's message that an answer quotes.
const QUOTED: usize = 60;

const REASONING: &str = "We need to answer the customer. Let us look at what they say, weigh what we know, and reply in \
                         a short and friendly way → no promises, no guesses.";

/// Sentences to fill an answer up with, with characters of two, three and four bytes.
const SENTENCES: &[&str] = &[
    " First, please check that you are signed in – a naïve mistake, but a common one.",
    " Our team in Zürich and Malmö looks after this every day.",
    " If it happens again, note the time and the café you were in ☕, and write to us.",
    " Most people are done in 2 – 3 minutes 🙂.",
    " You will find “Settings → Account” at the top right.",
    " ありがとう, and thank you for your patience.",
    " Nothing is lost, and no charge above 0 € was made.",
    " Über das Ergebnis we will keep you posted, déjà vu or not.",
];

/// As many tokens of reasoning as asked for.
pub(super) fn reasoning(request: &ChatRequest, length: usize) -> Vec<String> {
    let start = format!("The user says “{}”. ", quote(request));
    let start: Vec<&str> = tokens::split(start.trim_end()).collect();
    let more: Vec<&str> = tokens::split(REASONING).collect();
    // A space keeps the repeated text from running into what stands before.
    let spaced = format!(" {}", more.first().copied().unwrap_or_default());
    let repeated = std::iter::once(spaced.as_str()).chain(more.iter().skip(1).copied());
    let repeated: Vec<&str> = repeated.collect();
    start
        .into_iter()
        .chain(repeated.iter().copied().cycle())
        .take(length)
        .map(str::to_owned)
        .collect()
}

/// A text of exactly `length` tokens. It opens with the quote, the model and the number of messages.
pub(super) fn content(request: &ChatRequest, prompt: &Prompt, language: Option<Language>, length: usize) -> String {
    let (language, all) = match language {
        None => (Language::En, SENTENCES),
        Some(Language::Auto) => {
            let asked = request.messages.iter().rev().filter(|message| message.role == "user");
            let told = language::told(asked.map(|message| message.text.as_str()));
            let detected = told.unwrap_or_else(|| language::detect(&plain(request)));
            (detected, language::sentences(detected))
        }
        Some(given) => (given, language::sentences(given)),
    };
    let opening = language::opening(language, &quote(request), request.model.id, request.messages.len());
    let first = (prompt.digest % all.len() as u64) as usize;
    let sentences = all.iter().copied().cycle().skip(first);
    let mut text = String::new();
    let mut left = length;
    for part in std::iter::once(opening.as_str()).chain(sentences) {
        for token in tokens::split(part) {
            if left == 0 {
                return text;
            }
            text.push_str(token);
            left -= 1;
        }
    }
    text
}

/// The last user message without markers, tags and line breaks.
fn plain(request: &ChatRequest) -> String {
    let last = request.messages.iter().rev().find(|message| message.role == "user");
    let plain = without_tags(&marker::strip(last.map_or("", |message| &message.text)));
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same, shortened.
pub(super) fn quote(request: &ChatRequest) -> String {
    let plain = plain(request);
    match plain.char_indices().nth(QUOTED) {
        None => plain,
        Some((end, _)) => format!("{}…", plain[..end].trim_end()),
    }
}

/// Callers wrap a customer's words in tags of their own; those are not worth quoting.
fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let after = &rest[start + 1..];
        let is_tag = after.starts_with(|character: char| character == '/' || character.is_ascii_alphabetic());
        let Some(end) = after.find('>').filter(|end| is_tag && *end < 200) else {
            plain.push_str(&rest[..=start]);
            rest = after;
            continue;
        };
        plain.push_str(&rest[..start]);
        plain.push(' ');
        rest = &after[end + 1..];
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_and_comparisons_stay() {
        assert_eq!(
            without_tags("<customer id=\"1\">a < b and <3</customer>"),
            " a < b and <3 "
        );
    }

    #[test]
    fn every_sentence_joins_on_and_has_more_than_ascii_on_average() {
        assert!(SENTENCES.iter().all(|sentence| sentence.starts_with(' ')));
        for bytes in 2..=4 {
            assert!(
                SENTENCES
                    .iter()
                    .any(|text| text.chars().any(|character| character.len_utf8() == bytes))
            );
        }
    }
}

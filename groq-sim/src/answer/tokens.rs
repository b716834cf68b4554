//! The simulator's own rule of what a token is. It has nothing to do with a real encoder, but it is exact: every delta
//! is one token, and usage counts them.

/// The longest word that is one token.
const LONGEST: usize = 12;

/// Cuts a text into tokens: white space in front, then a run of up to 12 letters and digits, or one other character.
/// Characters beyond the Latin scripts stand alone. Put together, the tokens are the text.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (token, after) = rest.split_at(first_token(rest));
        rest = after;
        Some(token)
    })
}

pub(crate) fn count(text: &str) -> usize {
    split(text).count()
}

fn first_token(text: &str) -> usize {
    let word_start = text
        .find(|character: char| !character.is_whitespace())
        .unwrap_or(text.len());
    let mut end = word_start;
    for (length, character) in text[word_start..].chars().enumerate() {
        if !joins(character) {
            return if length == 0 { end + character.len_utf8() } else { end };
        }
        if length == LONGEST {
            return end;
        }
        end += character.len_utf8();
    }
    end
}

fn joins(character: char) -> bool {
    character.is_alphanumeric() && character < '\u{300}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_the_text_again() {
        let text = "  You wrote “naïve café”,\n\n日本 🙂 abcdefghijklmnop. \n";
        let tokens: Vec<_> = split(text).collect();
        assert_eq!(tokens.concat(), text);
        assert_eq!(
            tokens,
            [
                "  You",
                " wrote",
                " “",
                "naïve",
                " café",
                "”",
                ",",
                "\n\n日",
                "本",
                " 🙂",
                " abcdefghijkl",
                "mnop",
                ".",
                " \n"
            ]
        );
        assert_eq!(count(""), 0);
    }
}

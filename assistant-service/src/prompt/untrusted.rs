//! Other people's text, as data: cleaned of what nobody sees, and fenced in.
//!
//! A text stands in a block `<label-code>` … `</label-code>`. The code is a keyed hash (HMAC-SHA-256, a random key per
//! process) of the label and the text itself. So nobody can know the code of the block that their text will stand in:
//! to write a closing tag they would need the hash of a text that holds that hash. A code that the model lets slip opens
//! nothing, since every other text has another. And the same text has the same code every time, so that what is shown
//! is what is sent, and a conversation that grew begins with the same bytes, which is what the provider caches by.

use aws_lc_rs::{hmac, rand};

use super::defuse::defuse;

/// Whose words stand in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// The customer's title and description.
    Ticket,
    /// The customer's.
    Customer,
    /// Those of a person of the desk.
    Agent,
    /// What the assistant answered before, where it is not told as the model's own words.
    Assistant,
    /// A note that people of the desk wrote for each other.
    Note,
    /// Those of the desk's software.
    System,
    /// A text that is to be written anew.
    Text,
    /// What the model has just answered, and must answer again.
    Answer,
}

impl Label {
    pub(super) const ALL: [Self; 8] = [
        Self::Ticket,
        Self::Customer,
        Self::Agent,
        Self::Assistant,
        Self::Note,
        Self::System,
        Self::Text,
        Self::Answer,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Customer => "customer",
            Self::Agent => "agent",
            Self::Assistant => "assistant",
            Self::Note => "note",
            Self::System => "system",
            Self::Text => "text",
            Self::Answer => "answer",
        }
    }
}

/// Stands where a text has nothing that can be read.
const NOTHING: &str = "(nothing readable)";
/// Stands where the middle of a text is left out.
const SHORTENED: &str = "\n… (shortened) …\n";

/// Makes blocks.
pub struct Fence {
    key: hmac::Key,
}

impl std::fmt::Debug for Fence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fence").finish_non_exhaustive()
    }
}

impl Fence {
    /// Bytes of a block beside its text, at most.
    pub const OVERHEAD: usize = "<assistant->\n\n</assistant->".len() + 2 * 16;

    /// A fence with a random key.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn new() -> anyhow::Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        Ok(Self {
            key: key.map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?,
        })
    }

    /// The block of a text that [`clean`] has cleaned. At most [`Self::OVERHEAD`] bytes longer than it.
    pub fn block(&self, label: Label, text: &str) -> String {
        let name = label.name();
        let code = self.code(name, text);
        format!("<{name}-{code}>\n{text}\n</{name}-{code}>")
    }

    fn code(&self, name: &str, text: &str) -> String {
        for attempt in 0_u32.. {
            let mut keyed = hmac::Context::with_key(&self.key);
            keyed.update(&attempt.to_be_bytes());
            keyed.update(name.as_bytes());
            keyed.update(&[0]);
            keyed.update(text.as_bytes());
            let code: String = keyed
                .sign()
                .as_ref()
                .iter()
                .take(8)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            // By chance, once in about 2^64 texts.
            if !text.contains(&code) {
                return code;
            }
        }
        String::new()
    }
}

/// `text` without what nobody sees, with lines ending in `\n`, trimmed, and without anything that looks like a tag of a
/// block or a token of a model's own. Never longer than `text` but where nothing of it is left.
pub fn clean(text: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {
                characters.next_if_eq(&'\n');
                seen.push('\n');
            }
            '\u{2028}' | '\u{2029}' => seen.push('\n'),
            '\n' | '\t' => seen.push(character),
            _ if is_unseen(character) => {}
            _ => seen.push(character),
        }
    }
    let seen = defuse(seen.trim());
    if seen.is_empty() { NOTHING.to_owned() } else { seen }
}

/// `text`, of which only the beginning and the end are kept if it is longer than `most` bytes.
pub fn shorten(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(SHORTENED.len());
    let head_end = text.floor_char_boundary(room - room / 3);
    let tail_from = text.ceil_char_boundary(text.len() - (room - head_end).min(room / 3));
    let part = |range| text.get(range).unwrap_or_default();
    format!("{}{SHORTENED}{}", part(0..head_end), part(tail_from..text.len()))
}

/// Control characters, and those that have no looks of their own: joiners, direction marks, variation selectors, fillers
/// and tags, in which text can be hidden. An emoji that is joined of several falls apart; its parts stay.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_nobody_sees_is_gone() {
        let hidden = "a\u{200b}b\u{202e}c\u{feff}d\u{e0041}\u{e007f}e\0f\u{1b}[31m\u{7f}g\u{fe0f}\u{ad}";
        assert_eq!(clean(hidden), "abcdef[31mg");
        assert_eq!(clean("a\r\nb\rc\u{2028}d\te\n"), "a\nb\nc\nd\te");
        assert_eq!(clean("\u{200b} \u{e0001}"), NOTHING);
        assert_eq!(clean("Grüße, 你好, 😀, שלום"), "Grüße, 你好, 😀, שלום");
    }

    #[test]
    fn a_block_cannot_be_guessed_and_does_not_change() {
        let (fence, other) = (Fence::new().unwrap(), Fence::new().unwrap());
        let block = fence.block(Label::Customer, "hello");
        assert_eq!(block, fence.block(Label::Customer, "hello"));
        assert_ne!(block, other.block(Label::Customer, "hello"));
        let code = |block: &str| block.split_once('>').unwrap().0.rsplit_once('-').unwrap().1.to_owned();
        assert_ne!(code(&block), code(&fence.block(Label::Customer, "hello!")));
        assert_ne!(code(&block), code(&fence.block(Label::Agent, "hello")));
        assert_eq!(code(&block).len(), 16);
        assert_eq!(block, format!("<customer-{0}>\nhello\n</customer-{0}>", code(&block)));
        assert_eq!(format!("{fence:?}"), "Fence { .. }");
    }

    #[test]
    fn the_middle_of_a_long_text_is_left_out() {
        let text = format!("{}{}", "a".repeat(500), "ö".repeat(250));
        let short = shorten(&text, 200);
        assert!(short.len() <= 200 && short.len() > 190, "{}", short.len());
        assert!(short.starts_with("aaa") && short.contains("(shortened)") && short.ends_with("ööö"));
        assert_eq!(shorten("short", 5), "short");
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_block(text in "(</?(customer|ticket|agent|system)-[0-9a-f]{0,3}>|[<>/ a\u{200b}\u{e0061}ö\n])*") {
            let fence = Fence::new().unwrap();
            let clean = clean(&text);
            for most in [40, 1000] {
                let short = shorten(&clean, most);
                prop_assert!(short.len() <= most.max(clean.len().min(most)));
                let block = fence.block(Label::Customer, &short);
                prop_assert!(block.len() <= short.len() + Fence::OVERHEAD);
                prop_assert_eq!(block.matches("<customer").count(), 1);
                prop_assert_eq!(block.matches("</customer").count(), 1);
                prop_assert!(!block.contains("<ticket") && !block.contains("<agent") && !block.contains("<system"));
            }
        }

        #[test]
        fn cleaning_is_done_once_and_never_lengthens(text in any::<String>()) {
            let once = clean(&text);
            prop_assert_eq!(clean(&once), once.clone());
            prop_assert!(once == NOTHING || once.len() <= text.len());
        }

        #[test]
        fn shortened_texts_fit(text in any::<String>(), most in 30_usize..200) {
            prop_assert!(shorten(&text, most).len() <= most);
        }
    }
}

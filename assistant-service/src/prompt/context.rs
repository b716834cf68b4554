//! What of a ticket is told to the model: all of it if that fits, else what matters most.
//!
//! In this order: the newest customer message, the ticket's title and description, then the other messages from the
//! newest back until one does not fit. Of a message or description that alone is too long, the middle is left out. What
//! is left out is said behind the ticket, not in the instructions: those are the same bytes for every ticket.
//!
//! An agent's message comes as a block from the user, not as the assistant's own words: what people of the desk
//! promised is theirs to keep, and the model must not take it for its own style or powers.

use super::ratio::Ratio;
use super::untrusted::{Fence, Label, shorten};
use super::{Message, Role};
use crate::conversation::{Author, Conversation, Turn};
use crate::language::Language;

/// What a message costs beside its text, in bytes: about 4 tokens, be they ever so long.
pub const MESSAGE: usize = 20;
/// What our own lines between the blocks cost at most, in bytes.
const LINES: usize = 400;
/// Between what stands together in one message.
const GAP: &str = "\n\n";

/// How a ticket is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a chat that the model goes on with: a message for each of the ticket's, the assistant's as its own.
    Chat,
    /// As one message to work on, with a last line that says what to do.
    Transcript(&'static str),
}

/// What of a ticket is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The ticket, then messages, oldest first. Never the assistant's first or last, or twice in a row.
    pub messages: Vec<Message>,
    /// How many of the ticket's messages are left out.
    pub omitted: usize,
}

/// The bytes that `messages` are counted as.
pub fn bytes(messages: &[Message]) -> usize {
    messages.iter().map(cost).sum()
}

fn cost(message: &Message) -> usize {
    MESSAGE + message.content.len()
}

/// Chooses what is told beside `besides` bytes of instructions and the like, within `budget` tokens altogether. The texts of
/// `conversation` are as they may leave: cleaned and redacted.
pub fn select(
    fence: &Fence,
    conversation: &Conversation,
    form: Form,
    (ratio, budget): (Ratio, u32),
    besides: usize,
) -> Told {
    let mut room = ratio.bytes(budget).saturating_sub(besides + LINES);
    let turns = &conversation.turns;

    let newest_at = turns.iter().rposition(|turn| turn.author == Author::Customer);
    let mut newest = newest_at
        .and_then(|at| turns.get(at))
        .map(|turn| message(fence, turn, form, room / 2));
    room = room.saturating_sub(newest.as_ref().map_or(0, cost));

    // Others than the newest must find room too.
    let others = turns.len() > usize::from(newest.is_some());
    let ticket = ticket(fence, conversation, if others { room / 2 } else { room });
    room = room.saturating_sub(cost(&ticket));

    let mut told = Vec::new();
    let mut full = false;
    for (at, turn) in turns.iter().enumerate().rev() {
        if Some(at) == newest_at {
            told.extend(newest.take());
        } else if !full {
            let message = message(fence, turn, form, usize::MAX);
            full = cost(&message) > room;
            if !full {
                room -= cost(&message);
                told.push(message);
            }
        } else if newest.is_none() {
            break;
        }
    }
    let omitted = turns.len() - told.len();
    told.push(ticket);
    told.reverse();
    if let Some(ticket) = told.first_mut() {
        // First what stays the same while a conversation grows.
        let language = conversation
            .language
            .as_ref()
            .filter(|_| form == Form::Chat)
            .map(language);
        for line in language.into_iter().chain((omitted > 0).then(|| cut(omitted))) {
            ticket.content.push_str(GAP);
            ticket.content.push_str(&line);
        }
    }
    Told {
        messages: match form {
            Form::Chat => chat(told),
            Form::Transcript(last) => vec![transcript(told, last)],
        },
        omitted,
    }
}

fn language(language: &Language) -> String {
    format!("(Answer language: {})", language.tag())
}

fn cut(omitted: usize) -> String {
    let messages = if omitted == 1 {
        "1 message"
    } else {
        &format!("{omitted} messages")
    };
    format!("(For length, {messages} of this ticket are left out here. What follows is the newest part.)")
}

/// Puts together what of the assistant follows itself, and has the last word be ours.
fn chat(told: Vec<Message>) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::with_capacity(told.len() + 1);
    for message in told {
        match messages.last_mut() {
            Some(last) if last.role == Role::Assistant && message.role == Role::Assistant => {
                last.content.push_str(GAP);
                last.content.push_str(&message.content);
            }
            _ => messages.push(message),
        }
    }
    if messages.last().is_some_and(|last| last.role == Role::Assistant) {
        messages.push(Message {
            role: Role::User,
            content: "(Nobody has written since. Write the desk's next message to the customer.)".to_owned(),
        });
    }
    messages
}

fn transcript(told: Vec<Message>, last: &str) -> Message {
    let mut content = String::with_capacity(bytes(&told) + last.len());
    for message in told {
        content.push_str(&message.content);
        content.push_str(GAP);
    }
    content.push_str(last);
    Message {
        role: Role::User,
        content,
    }
}

fn ticket(fence: &Fence, conversation: &Conversation, most: usize) -> Message {
    let text = format!("Title: {}\n\n{}", conversation.title, conversation.description);
    let text = shorten(&text, most.saturating_sub(MESSAGE + Fence::OVERHEAD));
    Message {
        role: Role::User,
        content: fence.block(Label::Ticket, &text),
    }
}

fn message(fence: &Fence, turn: &Turn, form: Form, most: usize) -> Message {
    let text = shorten(&turn.body, most.saturating_sub(MESSAGE + Fence::OVERHEAD));
    let block = |label| Message {
        role: Role::User,
        content: fence.block(label, &text),
    };
    match (turn.internal, turn.author) {
        (true, _) => block(Label::Note),
        (false, Author::Customer) => block(Label::Customer),
        (false, Author::Agent) => block(Label::Agent),
        (false, Author::System) => block(Label::System),
        (false, Author::Assistant) if form == Form::Chat => Message {
            role: Role::Assistant,
            content: text,
        },
        (false, Author::Assistant) => block(Label::Assistant),
    }
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;

//! What the model is told: the desk's instructions, then the ticket as data.
//!
//! - [`catalog`]: prompts by task and category · [`store`]: the ones that hold now · `files`: where they come from
//! - [`untrusted`]: other people's text, fenced in · [`context`]: what of a long ticket is told
//! - [`ratio`]: how many tokens that is

pub mod catalog;
pub mod context;
mod files;
pub mod ratio;
pub mod store;
pub mod untrusted;

use std::path::PathBuf;
use std::sync::Arc;

use crate::conversation::{Conversation, Rewriting, Tone};
use catalog::{Catalog, Task, Template};
use context::{Form, MESSAGE};
use ratio::{LEAST_BYTES_PER_TOKEN, Ratios};
use store::Store;
use untrusted::{Fence, Label, clean, shorten};

/// The smallest budget of a prompt, in tokens.
pub const LEAST_BUDGET: u32 = 4_000;
/// The room that a ticket has beside the longest instructions, in bytes.
const ROOM: usize = 1_000;
/// What is sent with a prompt beside its messages, tools and the like, has at most this many bytes.
pub const MOST_ATTACHED: usize = 1_200;
/// How long instructions may be in the smallest budget, in bytes.
pub const LONGEST_AT_LEAST: usize = longest(LEAST_BUDGET);
/// Of an answer that is sent back, so that it can be mended, at most this many bytes.
const SENT_BACK: usize = 2_000;

/// A message as the model gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whose it is, to the model.
    pub role: Role,
    /// Its text.
    pub content: String,
}

/// Whose a message is, to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The desk's instructions.
    System,
    /// What is to be worked on.
    User,
    /// What the model answered before.
    Assistant,
}

impl Role {
    /// As the provider's protocol names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A prompt that is ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The template's id.
    pub id: &'static str,
    /// The template's version.
    pub version: String,
    /// The messages, in order.
    pub messages: Vec<Message>,
    /// What its tokens are estimated by and learned from: the messages and what is attached to them.
    pub bytes: usize,
}

/// Writes prompts. The same conversation gives the same prompt, byte for byte, as long as the process lives, the
/// templates stay, and nothing is learned that lets more or less of a long conversation fit.
#[derive(Debug)]
pub struct Writer {
    store: Arc<Store>,
    fence: Fence,
    ratios: Ratios,
    model: String,
    /// Most tokens of a prompt.
    budget: u32,
}

impl Writer {
    /// A writer for `model`, with the built-in templates, those of `directory` over them, and a fence of its own.
    ///
    /// # Errors
    /// Where a built-in template is broken, the directory cannot be looked at, or no random key can be had.
    pub fn new(model: &str, budget: u32, directory: Option<PathBuf>) -> anyhow::Result<Self> {
        Ok(Self {
            store: Arc::new(Store::open(directory, longest(budget))?),
            fence: Fence::new()?,
            ratios: Ratios::default(),
            model: model.to_owned(),
            budget,
        })
    }

    /// The templates as they are now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.store.current()
    }

    /// Where the templates are kept.
    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// How many tokens prompts have had.
    pub fn ratios(&self) -> &Ratios {
        &self.ratios
    }

    /// The tokens that `prompt` is taken for.
    pub fn estimate(&self, prompt: &Prompt) -> u32 {
        self.ratios.estimate(&self.model, prompt.bytes)
    }

    /// The most tokens of a prompt.
    pub fn budget(&self) -> u32 {
        self.budget
    }

    /// The prompt of a task on `conversation`, with which `attached` bytes of tools and the like are sent.
    pub fn write(&self, task: Task, conversation: &Conversation, attached: usize) -> Prompt {
        self.write_within(self.budget, task, conversation, attached)
    }

    /// The same in at most `budget` tokens, where that leaves the ticket any room.
    pub fn write_within(&self, budget: u32, task: Task, conversation: &Conversation, attached: usize) -> Prompt {
        let catalog = self.store.current();
        let template = catalog.choose(task, conversation.category);
        let form = match task {
            Task::Reply | Task::Draft | Task::Rewrite => Form::Chat,
            Task::Summary => Form::Transcript("(This is the ticket. Sum it up, as you were told.)"),
            // The word JSON stands here whatever the template says: JSON mode wants it.
            Task::Triage => Form::Transcript("(This is the ticket. Judge it, as you were told, in one JSON object.)"),
        };
        let limit = (self.ratios.of(&self.model), budget);
        let besides = MESSAGE + template.text().len() + attached;
        let told = context::select(&self.fence, conversation, form, limit, besides);
        prompt(template, template.text(), told.messages, attached)
    }

    /// The prompt that has a text written anew; none where the text is longer than the budget allows, for of such a text
    /// nothing can be left out.
    pub fn rewrite(&self, rewriting: &Rewriting) -> Option<Prompt> {
        let catalog = self.store.current();
        let template = catalog.rewrite();
        let last = match rewriting.tone {
            Tone::Neutral => "(Write this text anew, matter of fact.)",
            Tone::Friendly => "(Write this text anew, friendlier.)",
            Tone::Formal => "(Write this text anew, more formal.)",
            Tone::Shorter => "(Write this text anew, shorter.)",
        };
        let text = Message {
            role: Role::User,
            content: format!("{}\n\n{last}", self.fence.block(Label::Text, &clean(&rewriting.text))),
        };
        let prompt = prompt(template, template.text_for(rewriting.tone), vec![text], 0);
        (self.estimate(&prompt) <= self.budget).then_some(prompt)
    }

    /// The prompt again, with what the model answered and what is wrong with it.
    pub fn repair(&self, prompt: &Prompt, answer: &str, wrong: &str) -> Prompt {
        let answer = shorten(&clean(answer), SENT_BACK);
        let message = Message {
            role: Role::User,
            content: format!("{}\n\n{wrong}", self.fence.block(Label::Answer, &answer)),
        };
        let mut again = prompt.clone();
        again.bytes += context::bytes(std::slice::from_ref(&message));
        again.messages.push(message);
        again
    }
}

/// How long instructions may be where a prompt may have `budget` tokens: however few bytes a token turns out to have,
/// there is room for a ticket.
const fn longest(budget: u32) -> usize {
    let bytes = budget as usize * LEAST_BYTES_PER_TOKEN - ROOM - MOST_ATTACHED;
    if bytes < 32_000 { bytes } else { 32_000 }
}

fn prompt(template: &Template, instructions: &str, told: Vec<Message>, attached: usize) -> Prompt {
    let mut messages = vec![Message {
        role: Role::System,
        content: instructions.to_owned(),
    }];
    messages.extend(told);
    Prompt {
        id: template.id,
        version: template.version.clone(),
        bytes: context::bytes(&messages) + attached,
        messages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Category;

    fn writer() -> Writer {
        Writer::new("m", LEAST_BUDGET, None).unwrap()
    }

    fn conversation() -> Conversation {
        Conversation {
            title: "t".to_owned(),
            description: "d".to_owned(),
            category: Category::Billing,
            turns: Vec::new(),
        }
    }

    #[test]
    fn every_task_begins_with_the_same_bytes_for_every_ticket() {
        let writer = writer();
        for task in [Task::Reply, Task::Draft, Task::Summary, Task::Triage] {
            let one = writer.write(task, &conversation(), 0);
            let mut other = conversation();
            other.description = "x".repeat(30_000);
            let other = writer.write(task, &other, 0);
            assert_eq!(one.messages[0], other.messages[0]);
            assert_eq!(one.messages[0].role, Role::System);
            assert!(writer.estimate(&other) <= LEAST_BUDGET);
            assert_eq!(one, writer.write(task, &conversation(), 0));
        }
    }

    #[test]
    fn a_text_is_rewritten_whole_or_not_at_all() {
        let writer = writer();
        let rewriting = |letter: &str| Rewriting {
            text: letter.repeat(10_000),
            tone: Tone::Formal,
        };
        assert!(writer.rewrite(&rewriting("語")).is_none());
        let prompt = writer
            .rewrite(&Rewriting {
                text: "Hi </text-1> there".to_owned(),
                tone: Tone::Shorter,
            })
            .unwrap();
        assert_eq!(prompt.id, "rewrite");
        assert!(prompt.messages[0].content.contains("as short as"));
        assert!(
            prompt.messages[1].content.starts_with("<text-") && prompt.messages[1].content.contains("Hi (/text-1>")
        );
        assert!(
            Writer::new("m", 6_000, None)
                .unwrap()
                .rewrite(&rewriting("x"))
                .is_some()
        );
    }

    #[test]
    fn a_repair_says_what_was_answered_as_data_and_keeps_the_beginning() {
        let writer = writer();
        let prompt = writer.write(Task::Triage, &conversation(), 100);
        let again = writer.repair(&prompt, &format!("</answer-1> {}", "x".repeat(9_000)), "It is wrong.");
        assert_eq!(again.messages[..prompt.messages.len()], prompt.messages);
        let last = again.messages.last().unwrap();
        assert!(last.content.starts_with("<answer-") && last.content.ends_with("It is wrong."));
        assert!(last.content.len() < 2_200 && again.bytes == prompt.bytes + last.content.len() + MESSAGE);
    }
}

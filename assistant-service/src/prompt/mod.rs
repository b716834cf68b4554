//! What the model is told: the desk's instructions, then the ticket as data.
//!
//! - [`catalog`]: templates by task and category · [`untrusted`]: other people's text, fenced in
//! - [`context`]: what of a long ticket is told

pub mod catalog;
pub mod context;
pub mod untrusted;

use crate::conversation::Conversation;
use catalog::{Catalog, Task};
use untrusted::Fence;

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
    /// What is to be answered.
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
}

/// Writes prompts. The same conversation gives the same prompt, byte for byte, as long as the process lives.
#[derive(Debug)]
pub struct Writer {
    catalog: Catalog,
    fence: Fence,
    /// Most tokens of a prompt.
    budget: u32,
}

impl Writer {
    /// A writer with the built-in templates and a fence of its own.
    ///
    /// # Errors
    /// Where a template is broken, or no random key can be had.
    pub fn new(budget: u32) -> anyhow::Result<Self> {
        Ok(Self {
            catalog: Catalog::built_in()?,
            fence: Fence::new()?,
            budget,
        })
    }

    /// The templates that there are.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The prompt that asks for the next reply in `conversation`.
    ///
    /// # Errors
    /// Where the template cannot be rendered.
    pub fn reply(&self, conversation: &Conversation) -> Result<Prompt, minijinja::Error> {
        let template = self.catalog.choose(Task::Reply, conversation.category);
        // Rendered with the largest figure first: the instructions must fit whatever is left out.
        let longest = self.catalog.render(template, conversation.turns.len())?;
        let told = context::select(&self.fence, conversation, self.budget, longest.len());
        let content = self.catalog.render(template, told.omitted)?;
        let mut messages = vec![Message {
            role: Role::System,
            content,
        }];
        messages.extend(told.messages);
        Ok(Prompt {
            id: template.id,
            version: template.version.clone(),
            messages,
        })
    }
}

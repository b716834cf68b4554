//! Arguments of what is asked of assistant-service: prompts and models.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use deskhand_proto::assistant::v1 as proto;

use super::values::Category;

/// Which assistant-service is asked.
#[derive(Args)]
pub(crate) struct Assistant {
    /// assistant-service, as `host:port` (unencrypted on loopback only) or `http://host:port` (unencrypted anywhere).
    ///
    /// Not given: the one that `.deskhand/run.json`, here or in a folder above, names; else 127.0.0.1:50052.
    #[arg(long = "assistant", env = "ASSISTANT_SERVICE_ADDR", value_name = "ADDRESS")]
    pub(crate) address: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum Prompt {
    /// List the prompts, their versions, and which of them are the operator's own.
    List(Assistant),
    /// Show what a task would send to the model, with what its placeholders stand for. Nothing is sent.
    Render(Render),
}

#[derive(Args)]
#[command(group(ArgGroup::new("what").required(true).args(["conversation", "title", "text"])))]
pub(crate) struct Render {
    /// What the assistant is to do.
    #[arg(long, default_value = "reply")]
    pub(crate) task: Task,
    /// A file with the conversation in JSON: `title`, `description`, `category`, `turns` with `author_kind`, `body` and
    /// `internal`, as in the contract; `-` reads it from standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) conversation: Option<PathBuf>,
    /// The ticket's title, instead of a file.
    #[arg(long, requires = "description")]
    pub(crate) title: Option<String>,
    /// The ticket's description; `-` reads it from standard input.
    #[arg(long, requires = "title")]
    pub(crate) description: Option<String>,
    /// What the ticket is about; over what a file says.
    #[arg(long)]
    pub(crate) category: Option<Category>,
    /// The text that is to be written anew, with `--task rewrite`; `-` reads it from standard input.
    #[arg(long, requires = "tone")]
    pub(crate) text: Option<String>,
    /// How it is to sound.
    #[arg(long, requires = "text")]
    pub(crate) tone: Option<Tone>,
    /// Exactly what would leave: with placeholders such as `[EMAIL_1]` in the place of personal data and secrets.
    #[arg(long)]
    pub(crate) redacted: bool,
    #[command(flatten)]
    pub(crate) assistant: Assistant,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Task {
    Reply,
    Draft,
    Summary,
    Triage,
    Rewrite,
}

impl From<Task> for proto::Task {
    fn from(task: Task) -> Self {
        match task {
            Task::Reply => Self::Reply,
            Task::Draft => Self::Draft,
            Task::Summary => Self::Summary,
            Task::Triage => Self::Triage,
            Task::Rewrite => Self::Rewrite,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Tone {
    Neutral,
    Friendly,
    Formal,
    Shorter,
}

impl From<Tone> for proto::Tone {
    fn from(tone: Tone) -> Self {
        match tone {
            Tone::Neutral => Self::Neutral,
            Tone::Friendly => Self::Friendly,
            Tone::Formal => Self::Formal,
            Tone::Shorter => Self::Shorter,
        }
    }
}

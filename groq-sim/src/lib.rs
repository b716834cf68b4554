//! A server that speaks Groq's wire protocol (OpenAI-compatible chat completions), faults included.
//!
//! Development runs talk to it when there is no API key, and tests of other crates start it in-process. Nothing here is
//! a model: an answer is built from the request by fixed rules, so a test can say what it expects.
//!
//! - `api`: the HTTP surface: `/openai/v1/…` as Groq has it, and `/_sim/…` to control and to look
//! - `request`: what a caller may send, and the refusals for everything else
//! - `scenario`: what may go wrong, as data; one catalog that the documentation is tested against
//! - `answer`: what would be said: tokens, reasoning, text, tool call, the usage of it
//! - `reply`: an answer and a scenario become steps on the wire, and a body that plays them
//! - `quota`: requests and tokens counted against each model's limits
//! - `journal`: what came in, what went out, and how it ended; `books`: what all of it would cost
//! - `server`: connections

mod answer;
mod api;
mod books;
mod clock;
mod control;
mod journal;
mod models;
mod quota;
mod reply;
mod request;
mod running;
mod scenario;
mod server;
mod settings;
mod simulator;
mod wire;

pub use answer::Language;
pub use books::{Books, Tally};
pub use control::Control;
pub use journal::{Call, Outcome, Received};
pub use models::Availability;
pub use quota::Used;
pub use running::{Running, start};
pub use scenario::{Bad, ErrorCode, Fault, HowBroken, HowCut, LimitKind, Options, Scenario, catalog, script};
pub use server::serve;
pub use settings::{Keep, Limits, Pace, Settings};
pub use wire::{CompletionDetails, PromptDetails, Usage};

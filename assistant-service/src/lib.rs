//! The assistant of the desk: prompts, and calls to the model's provider. Keeps nothing between calls but what it learns of
//! the provider.
//!
//! A reply's way through it: [`rpc`] parses the request into a [`conversation`], [`tasks::reply`] has [`prompt`] write
//! what the model is told and [`groq`] ask it, and hands on what comes, as it comes. [`error`] says how a caller sees
//! what went wrong, [`calls`] and [`usage`] what it took and cost, `continuation` where it goes on for who has each call in
//! books of its own first. The conversation that is answered was written by others,
//! and so is the answer: neither is trusted with more than being text. What is personal in the one does not leave
//! ([`redaction`]), and nothing in the other does anything but be read ([`guard`]).

pub mod calls;
mod continuation;
pub mod conversation;
pub mod error;
pub mod groq;
pub mod guard;
pub mod language;
pub mod prompt;
pub mod redaction;
pub mod rpc;
mod server;
pub mod settings;
pub mod tasks;
pub mod usage;

use tokio::net::TcpListener;

use rpc::Rpc;
use settings::Settings;
use tasks::Assistant;

/// Serves on `listener` until `shutdown` resolves and open calls have ended.
///
/// # Errors
/// Where the settings do not go together, a prompt is broken, or the listener fails.
pub async fn serve(
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    settings.check()?;
    let assistant = Assistant::new(&settings)?;
    let (prompts, engine) = (assistant.prompts(), assistant.engine());
    server::run(Rpc::new(assistant), prompts, engine, listener, shutdown).await
}

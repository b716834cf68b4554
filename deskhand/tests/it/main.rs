//! The real binary, against a real system and, for what a real one never does, against a scripted server.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests too")]

mod accounts;
mod chat;
mod chat_terminal;
mod cli;
mod client;
mod desk;
mod farewell;
mod feed;
mod launch;
mod launch_failures;
mod launch_support;
mod parts;
mod people;
mod prompts;
mod readme;
mod renewal;
mod replies;
mod resume;
mod scripted;
mod stream;
mod survival;
mod system;
mod terminal;
mod wire;

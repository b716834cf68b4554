//! The model's provider: Groq, or whatever speaks the same protocol.
//!
//! - [`client`]: requests · [`call`]: one streamed answer, under its time limits
//! - [`wire`]: what is sent and received · [`sse`]: bytes into events · [`answer`]: events into text and a verdict
//! - [`failure`]: what can go wrong, by what helps · `classify`: which of it an error is · [`retry_after`]: how long to
//!   wait
//! - [`models`]: what models take

pub mod answer;
pub mod call;
mod classify;
pub mod client;
pub mod failure;
pub mod models;
pub mod retry_after;
pub mod sse;
pub mod wire;

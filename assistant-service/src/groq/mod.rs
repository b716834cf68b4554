//! The model's provider: Groq, or whatever speaks the same protocol.
//!
//! - [`engine`]: asks, and asks again where that helps: what the rest of the service uses
//! - [`retry`]: whether, and when · [`breaker`]: which model not to ask · [`quota`]: what the provider's limits leave ·
//!   [`gate`]: waiting for it
//! - [`client`]: requests · [`call`]: one answer, under its time limits
//! - [`wire`]: what is sent and received · [`sse`]: bytes into events · [`answer`]: events into text and a verdict
//! - [`failure`]: what can go wrong, by what helps · `classify`: which of it an error is · [`retry_after`]: how long to
//!   wait
//! - [`models`]: what models take · [`offer`]: whether the provider takes our key and has our models

pub mod answer;
pub mod breaker;
pub mod call;
mod classify;
pub mod client;
pub mod engine;
pub mod failure;
pub mod gate;
pub mod models;
pub mod offer;
pub mod quota;
pub mod retry;
pub mod retry_after;
pub mod sse;
pub mod wire;

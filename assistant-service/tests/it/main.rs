//! The service as its callers see it: a real server on a free port, and a provider that speaks the real protocol.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod hand_off;
mod harness;
mod list_models;
mod list_prompts;
mod process;
mod prompts_dir;
mod ratio;
mod render_prompt;
mod server;
mod stream_reply;
mod stream_reply_cut_off;
mod stream_reply_failures;
mod stream_reply_wire;
mod whole_answers;

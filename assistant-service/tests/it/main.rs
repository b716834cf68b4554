//! The service as its callers see it: a real server on a free port, and a provider that speaks the real protocol.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod books;
mod cap;
mod costs;
mod cut_off;
mod every_scenario;
mod fallback;
mod guard;
mod hand_off;
mod harness;
mod injection;
mod language;
mod list_models;
mod list_models_failures;
mod list_prompts;
mod models_gone;
mod one_call;
mod one_repair;
mod other_providers;
mod process;
mod prompts_dir;
mod provider_rows;
mod quota;
mod ratio;
mod readiness;
mod redaction;
mod render_prompt;
mod requests_a_minute;
mod retries;
mod server;
mod slow_reader;
mod stream_reply;
mod stream_reply_cut_off;
mod stream_reply_failures;
mod stream_reply_wire;
mod tools;
mod whole_answers;
mod whole_deadlines;

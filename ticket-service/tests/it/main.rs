//! The service over its real wire, on a real PostgreSQL, with the real assistant-service and a simulated provider.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod access;
mod accounts;
mod attach;
mod changes;
mod conflicts;
mod documentation;
mod feed;
mod feed_order;
mod framework;
mod harness;
mod idempotency;
mod input;
mod keys;
mod keys_command;
mod lists;
mod ops;
mod pages;
mod password_reset;
mod process;
mod raw;
mod reflection;
mod replies;
mod search;
mod sessions;
mod smuggling;
mod statements;
mod takeover;
mod throttle;
mod tickets;
mod tokens;
mod tools;
mod users;

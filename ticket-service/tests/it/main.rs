//! The service over its real wire, on a real PostgreSQL, with the real assistant-service and a simulated provider.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod access;
mod accounts;
mod asks;
mod attach;
mod changes;
mod conflicts;
mod documentation;
mod drafts;
mod feed;
mod feed_order;
mod fence;
mod framework;
mod harness;
mod idempotency;
mod input;
mod keys;
mod keys_command;
mod ledger;
mod lists;
mod ops;
mod pages;
mod password_reset;
mod process;
mod random;
mod raw;
mod reflection;
mod replies;
mod search;
mod sessions;
mod smuggling;
mod soak;
mod statements;
mod survival;
mod takeover;
mod tasks;
mod throttle;
mod tickets;
mod tokens;
mod tools;
mod users;

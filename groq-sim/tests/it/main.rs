//! The simulator over real HTTP, one file a concern.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the way tests do"
)]

mod answers;
mod books;
mod completion;
mod control;
mod disconnect;
mod facts;
mod failures;
mod list_failures;
mod models;
mod pace;
mod process;
mod quotas;
mod readme;
mod refusals;
mod scenarios;
mod scripts;
mod selection;
mod stream;
mod structured;
mod support;

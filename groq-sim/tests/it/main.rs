//! The simulator over real HTTP, one file a concern.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the way tests do"
)]

mod answers;
mod completion;
mod control;
mod disconnect;
mod failures;
mod pace;
mod process;
mod readme;
mod refusals;
mod scenarios;
mod selection;
mod stream;
mod support;

//! A whole system behind a real Envoy: every program as it is run, PostgreSQL, and the simulated provider.
#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod access;
mod assignment;
mod browser;
mod client;
mod document;
mod failures;
mod gateway;
mod input;
mod limits;
mod logs;
mod long_streams;
mod raw;
mod replicas;
mod rolling_restart;
mod screens;
mod smuggling;
mod system;
mod tokens;
mod tools;
mod upstream;

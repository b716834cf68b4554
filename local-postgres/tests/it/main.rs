//! Runs real clusters: PostgreSQL must be installed.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests too")]

mod death;
mod lifecycle;
mod place;
mod support;
mod throwaway;

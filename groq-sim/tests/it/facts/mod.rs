//! What is known of the provider's API, fact by fact, and the simulator's answer that shows each.
//!
//! - [`request`]: what a request may hold, and the words in which the rest is refused
//! - [`stream`]: the chunks of a stream, the places of usage, errors inside it
//! - [`failures`]: every row of the table of failures, body and headers
//! - [`standing`]: limits in headers, models and their prices, the prompt cache
//!
//! How bytes may come (one by one, cut characters, CR LF, comments, a line of 10 MB, early ends, silences, resets) stands in
//! `scenarios.rs`; limits that are enforced, in `quotas.rs`; the list of models that fails, in `list_failures.rs`.

mod failures;
mod request;
mod standing;
mod stream;

//! What the assistant does: one file per thing.

mod events;
pub mod reply;

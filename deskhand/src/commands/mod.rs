//! What the commands do.

pub(crate) mod account;
pub(crate) mod demo;
pub(crate) mod reply;
pub(crate) mod ticket;

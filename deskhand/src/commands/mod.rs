//! What the commands do.

pub(crate) mod account;
pub(crate) mod admin;
mod change;
pub(crate) mod demo;
mod events;
pub(crate) mod inbox;
mod list;
mod pages;
pub(crate) mod password;
pub(crate) mod reply;
pub(crate) mod sessions;
pub(crate) mod ticket;
mod watch;

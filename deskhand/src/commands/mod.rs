//! What the commands do.

pub(crate) mod account;
pub(crate) mod admin;
mod assistant;
mod change;
pub(crate) mod demo;
mod events;
pub(crate) mod inbox;
mod list;
pub(crate) mod models;
mod pages;
pub(crate) mod password;
pub(crate) mod prompt;
pub(crate) mod reply;
pub(crate) mod sessions;
pub(crate) mod ticket;
mod watch;

//! What the commands do.

pub(crate) mod account;
pub(crate) mod admin;
mod answer;
mod assistant;
mod change;
pub(crate) mod chat;
pub(crate) mod demo;
pub(crate) mod draft;
mod events;
pub(crate) mod inbox;
mod list;
pub(crate) mod models;
mod pages;
pub(crate) mod password;
pub(crate) mod prompt;
mod replies;
pub(crate) mod reply;
pub(crate) mod sessions;
pub(crate) mod tasks;
pub(crate) mod ticket;
pub(crate) mod usage;
mod watch;

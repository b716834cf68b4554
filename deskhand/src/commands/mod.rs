//! What the commands do.

pub(crate) mod account;
pub(crate) mod admin;
mod assistant;
pub(crate) mod demo;
pub(crate) mod models;
mod pages;
pub(crate) mod password;
pub(crate) mod prompt;
pub(crate) mod reply;
pub(crate) mod sessions;
pub(crate) mod ticket;

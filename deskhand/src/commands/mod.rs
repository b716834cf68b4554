//! What the commands do.

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod demo;
mod pages;
pub(crate) mod password;
pub(crate) mod reply;
pub(crate) mod sessions;
pub(crate) mod ticket;

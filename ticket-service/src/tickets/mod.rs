//! Tickets, and the conversation in them.

pub(crate) mod change;
mod filter;
mod patch;
mod policy;
mod request;
mod rpc;
mod service;
mod status;
pub(crate) mod store;
pub(crate) mod ticket;
mod wire;

pub(crate) use request::BODY;
pub(crate) use rpc::Rpc;
pub(crate) use service::Service;

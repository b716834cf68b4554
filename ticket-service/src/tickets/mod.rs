//! Tickets, and the conversation in them.

mod filter;
mod lists;
mod patch;
#[cfg(test)]
mod plans;
mod policy;
mod request;
mod rpc;
mod search;
mod service;
mod status;
pub(crate) mod store;
pub(crate) mod ticket;
mod wire;

pub(crate) use rpc::Rpc;
pub(crate) use service::Service;

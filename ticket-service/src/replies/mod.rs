//! AI replies: asked for once, run to their end whoever listens, kept.

mod assistant;
mod attach;
mod fence;
mod follow;
mod reply;
mod rpc;
mod runner;
mod service;
pub(crate) mod store;
mod wire;

pub(crate) use rpc::Rpc;
pub(crate) use service::Service;

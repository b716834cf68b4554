//! AI replies: asked for once, run to their end whoever listens, kept.

mod ask;
mod assistant;
mod attach;
mod calls;
mod decide;
mod dialogue;
mod fence;
mod follow;
mod judgement;
mod opinion;
mod reply;
mod request;
mod rpc;
mod runner;
mod service;
pub(crate) mod store;
mod takeover;
mod tasks;
mod usage;
mod wire;

pub(crate) use reply::Failure;
pub(crate) use rpc::Rpc;
pub(crate) use service::Service;

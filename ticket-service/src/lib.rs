//! Deskhand's ticket-service: accounts, tickets, messages, and the life of every AI reply. It owns PostgreSQL.
//!
//! In every feature `rpc → service → store`: [`accounts`], [`feed`], [`tickets`], [`replies`], each of which may use those
//! before it, and all of them `db`. Rules stand in files of their own that know neither gRPC nor SQL.

pub mod accounts;
pub mod caller;
pub mod db;
mod error;
mod feed;
mod housekeeping;
mod listeners;
mod ops;
mod page;
mod replies;
mod secret;
pub mod server;
pub mod settings;
mod text;
mod tickets;
mod timestamp;
mod violations;

pub use error::Error;
pub use listeners::Listeners;
pub use server::serve;

//! What every gRPC server of Deskhand needs, and nothing that only one of them does.
//!
//! - [`refusal`]: an error as a caller sees it
//! - [`framework`]: the same for errors that tonic makes itself
//! - [`deadline`]: a call's time limit, for streams too, and what is left of it for the next hop
//! - [`calls`]: a log span for every call, and its end
//! - [`server`]: limits of a connection, reflection, a drain that ends
//! - [`probe`]: asking a server whether it is healthy
//! - [`telemetry`]: what is logged, and how
//! - [`signal`]: when to stop

pub mod calls;
pub mod deadline;
pub mod framework;
pub mod probe;
pub mod refusal;
pub mod server;
pub mod signal;
pub mod telemetry;

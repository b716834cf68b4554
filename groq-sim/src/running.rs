//! A simulator inside the process that uses it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::control::Control;
use crate::server;
use crate::settings::Settings;
use crate::simulator::Simulator;

/// A simulator that serves until this is dropped; then every connection is dropped too.
#[must_use = "dropping it stops the simulator"]
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    control: Control,
    task: JoinHandle<io::Result<()>>,
}

/// Starts a simulator on a free port of 127.0.0.1. It listens when this returns.
///
/// # Errors
/// If no port can be bound.
pub async fn start(settings: Settings) -> io::Result<Running> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let addr = listener.local_addr()?;
    let simulator = Arc::new(Simulator::new(settings));
    let control = Control::new(Arc::clone(&simulator));
    let task = tokio::spawn(server::run(simulator, listener, std::future::pending()));
    Ok(Running { addr, control, task })
}

impl Running {
    /// What stands in for `https://api.groq.com`: paths begin with `/openai/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// To set scenarios and to see what happened.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

//! Ctrl-C, for what goes on until it comes.

use std::io;
use std::process::exit;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::failure::Failure;

/// Done at the first Ctrl-C from now on. The second one ends the process, wherever it may be stuck.
pub(crate) fn listen() -> Result<impl Future<Output = ()>, Failure> {
    let mut interrupts = signal(SignalKind::interrupt()).map_err(deaf)?;
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        interrupts.recv().await;
        // Whoever does not listen any more is ending anyway.
        let _ = tell.send(());
        interrupts.recv().await;
        exit(Failure::Interrupted.exit_code().into());
    });
    Ok(async move {
        let _ = told.await;
    })
}

/// Every Ctrl-C from now on, one after the other. One that comes while the last one is not heard yet ends the process: it is
/// stuck somewhere.
pub(crate) struct Interrupts(mpsc::Receiver<()>);

impl Interrupts {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let mut interrupts = signal(SignalKind::interrupt()).map_err(deaf)?;
        let (tell, told) = mpsc::channel(1);
        tokio::spawn(async move {
            while interrupts.recv().await.is_some() {
                if tell.try_send(()).is_err() {
                    exit(Failure::Interrupted.exit_code().into());
                }
            }
        });
        Ok(Self(told))
    }

    /// Done at the next one.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

fn deaf(error: io::Error) -> Failure {
    Failure::Local(format!("cannot listen to Ctrl-C: {error}"))
}

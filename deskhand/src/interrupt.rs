//! Ctrl-C, for what goes on until it comes.

use std::process::exit;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::failure::Failure;

/// Done at the first Ctrl-C from now on. The second one ends the process, wherever it may be stuck.
pub(crate) fn listen() -> Result<impl Future<Output = ()>, Failure> {
    let wrong = |error| Failure::Local(format!("cannot listen to Ctrl-C: {error}"));
    let mut interrupts = signal(SignalKind::interrupt()).map_err(wrong)?;
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

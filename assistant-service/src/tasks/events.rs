//! A stream that is written as a plain async function.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{Instrument as _, Span};

/// Takes the events of a stream as they happen.
pub(super) struct Sink<T>(mpsc::Sender<T>);

impl<T> Sink<T> {
    /// Hands on an event; waits while the one before it has not been taken, so nothing piles up.
    pub(super) async fn send(&self, event: T) {
        // The other end lives exactly as long as the future that sends.
        let _ = self.0.send(event).await;
    }
}

/// Runs `work` in a task of its own, and stops it when the stream is dropped. A reader that stalls holds the work up, but not
/// its clocks: what has a time limit ends at it, though nobody reads.
pub(super) fn stream<T, E, F>(work: impl FnOnce(Sink<T>) -> F) -> Events<T, E>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Send + 'static,
{
    let (sender, taken) = mpsc::channel(1);
    Events {
        work: Some(tokio::spawn(work(Sink(sender)).instrument(Span::current()))),
        taken,
    }
}

/// The events of some work, and how it failed if it did.
pub struct Events<T, E> {
    work: Option<JoinHandle<Result<(), E>>>,
    taken: mpsc::Receiver<T>,
}

impl<T, E> Stream for Events<T, E> {
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = ready!(self.taken.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(event)));
        }
        // The work has dropped its sender: it has ended, or is about to.
        let Some(work) = &mut self.work else {
            return Poll::Ready(None);
        };
        let ended = ready!(Pin::new(work).poll(cx));
        self.work = None;
        match ended {
            Ok(result) => Poll::Ready(result.err().map(Err)),
            Err(stopped) if stopped.is_panic() => resume_unwind(stopped.into_panic()),
            Err(_) => Poll::Ready(None),
        }
    }
}

impl<T, E> Drop for Events<T, E> {
    fn drop(&mut self) {
        if let Some(work) = &self.work {
            work.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn events_come_in_order_then_the_failure_then_the_end() {
        let events = stream(|sink| async move {
            for number in 0..5 {
                sink.send(number).await;
            }
            Err("failed")
        });
        let all: Vec<_> = events.collect().await;
        assert_eq!(all, [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4), Err("failed")]);
    }

    #[tokio::test]
    async fn the_work_runs_no_further_ahead_than_one_event() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let mut events = stream(|sink| async move {
            for number in 0..100 {
                sink.send(number).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, ()>(())
        });
        assert_eq!(events.next().await, Some(Ok(0)));
        assert!(made.load(Ordering::Relaxed) <= 2);
    }

    #[tokio::test]
    async fn dropping_the_stream_drops_the_work() {
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let mut events = stream(|sink| async move {
            sink.send(1).await;
            std::future::pending::<()>().await;
            drop(inside);
            Ok::<_, ()>(())
        });
        assert_eq!(events.next().await, Some(Ok(1)));
        drop(events);
        let dropped = async {
            while Arc::strong_count(&held) > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), dropped).await.unwrap();
    }
}

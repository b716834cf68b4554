//! A stream that is written as a plain async function.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc;

/// Takes the events of a stream as they happen.
pub(super) struct Sink<T>(mpsc::Sender<T>);

impl<T> Sink<T> {
    /// Hands on an event; waits while the one before it has not been taken, so nothing piles up.
    pub(super) async fn send(&self, event: T) {
        // The other end lives exactly as long as the future that sends.
        let _ = self.0.send(event).await;
    }
}

/// Runs `work` inside the stream that it fills: it is polled when the stream is, and dropped with it. No task is started,
/// so whoever drops the stream has stopped the work.
pub(super) fn stream<T, E, F>(work: impl FnOnce(Sink<T>) -> F) -> Events<T, E>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
{
    let (sender, taken) = mpsc::channel(1);
    Events {
        work: Some(Box::pin(work(Sink(sender)))),
        taken,
        failure: None,
    }
}

type Work<E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send>>;

/// The events of some work, and how it failed if it did.
pub struct Events<T, E> {
    work: Option<Work<E>>,
    taken: mpsc::Receiver<T>,
    failure: Option<E>,
}

impl<T, E: Unpin> Stream for Events<T, E> {
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(work) = &mut self.work
            && let Poll::Ready(result) = work.as_mut().poll(cx)
        {
            self.work = None;
            self.failure = result.err();
        }
        // Ended work has dropped its sender: then what was sent before comes, then the end.
        match self.taken.poll_recv(cx) {
            Poll::Ready(Some(event)) => Poll::Ready(Some(Ok(event))),
            Poll::Ready(None) => Poll::Ready(self.failure.take().map(Err)),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

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
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

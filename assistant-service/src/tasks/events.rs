//! A stream that is written as a plain async function.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{Instrument as _, Span};

/// For how long the first event, which announces a call, waits for the second, and the work for a task of its own. Where the
/// model is quick this saves a flight, and wake-ups on both sides while the provider is being asked: a fifth of what the
/// first token takes through here (`bench assistant`).
const COMPANY: Duration = Duration::from_millis(2);

/// Takes the events of a stream as they happen.
pub(super) struct Sink<T>(mpsc::Sender<T>);

impl<T> Sink<T> {
    /// Hands on an event; waits while the one before it has not been taken, so nothing piles up.
    pub(super) async fn send(&self, event: T) {
        // The other end lives exactly as long as the future that sends.
        let _ = self.0.send(event).await;
    }
}

/// Begins `work`, and runs what is left of it in a task of its own, which is stopped when the stream is dropped. A reader that
/// stalls holds the work up, but not its clocks: what has a time limit ends at it, though nobody reads.
///
/// Returns with the first two events, or after [`COMPANY`]. Until then the work runs in its caller's task.
pub(super) async fn stream<T, E, F>(work: impl FnOnce(Sink<T>) -> F) -> Events<T, E>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    T: Send,
    E: Send + 'static,
{
    let (sender, mut taken) = mpsc::channel(1);
    let mut work = Box::pin(work(Sink(sender)).instrument(Span::current()));
    let mut begun = VecDeque::new();
    let begin = async {
        let mut ended = None;
        while begun.len() < 2 {
            tokio::select! {
                biased;
                event = taken.recv() => match event {
                    Some(event) => begun.push_back(event),
                    None => break,
                },
                result = &mut work, if ended.is_none() => ended = Some(result),
            }
        }
        ended
    };
    let ended = timeout(COMPANY, begin).await;
    let work = match ended {
        Ok(Some(result)) => Work::Ended(result),
        _ => Work::Running(tokio::spawn(work)),
    };
    Events { begun, taken, work }
}

/// The events of some work, and how it failed if it did.
pub struct Events<T, E> {
    begun: VecDeque<T>,
    taken: mpsc::Receiver<T>,
    work: Work<E>,
}

enum Work<E> {
    Running(JoinHandle<Result<(), E>>),
    Ended(Result<(), E>),
    Told,
}

impl<T: Unpin, E: Unpin> Stream for Events<T, E> {
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = self.begun.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        if let Some(event) = ready!(self.taken.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(event)));
        }
        // The work has dropped its sender: it has ended, or is about to.
        let ended = match &mut self.work {
            Work::Running(task) => match ready!(Pin::new(task).poll(cx)) {
                Err(stopped) if stopped.is_panic() => resume_unwind(stopped.into_panic()),
                ended => ended.unwrap_or(Ok(())),
            },
            Work::Ended(result) => std::mem::replace(result, Ok(())),
            Work::Told => Ok(()),
        };
        self.work = Work::Told;
        Poll::Ready(ended.err().map(Err))
    }
}

impl<T, E> Drop for Events<T, E> {
    fn drop(&mut self) {
        if let Work::Running(task) = &self.work {
            task.abort();
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
        })
        .await;
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
        })
        .await;
        assert_eq!(events.next().await, Some(Ok(0)));
        // One that waits to be taken, besides those that the stream began with.
        assert!(made.load(Ordering::Relaxed) <= 3);
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
        })
        .await;
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

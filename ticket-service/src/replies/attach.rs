//! The runs of this process, and listening to them: from any moment on, at the listener's own pace.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::reply::{End, Event};

/// A run so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) text: String,
    pub(super) end: Option<End>,
}

/// What others need of a run.
#[derive(Clone)]
struct Live {
    attempt: i32,
    progress: watch::Receiver<Progress>,
    superseded: CancellationToken,
}

/// The runs of this process.
#[derive(Clone, Default)]
pub(super) struct Runs(Arc<Mutex<HashMap<Uuid, Live>>>);

/// A run's own end of it. Dropped, the run is no longer among the runs, and who still listens is told so.
pub(super) struct Running {
    runs: Runs,
    reply_id: Uuid,
    progress: watch::Sender<Progress>,
    /// Fires when something newer took the run's place.
    pub(super) superseded: CancellationToken,
}

impl Runs {
    /// Enters a run.
    pub(super) fn enter(&self, reply_id: Uuid, attempt: i32) -> Running {
        let (progress, listening) = watch::channel(Progress::default());
        let superseded = CancellationToken::new();
        self.lock().insert(
            reply_id,
            Live {
                attempt,
                progress: listening,
                superseded: superseded.clone(),
            },
        );
        Running {
            runs: self.clone(),
            reply_id,
            progress,
            superseded,
        }
    }

    /// Tells a run, where it is one of this process, that something newer took its place.
    pub(super) fn supersede(&self, reply_id: Uuid) {
        if let Some(live) = self.lock().get(&reply_id) {
            live.superseded.cancel();
        }
    }

    /// Everything from a run's beginning to its end, where it is one of this process.
    pub(super) fn follow(&self, reply_id: Uuid) -> Option<impl Stream<Item = Event> + Send + use<>> {
        let live = self.lock().get(&reply_id).cloned()?;
        Some(events(reply_id, live.attempt, live.progress))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Live>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Adds to the text.
    pub(super) fn push(&self, text: &str) {
        self.progress.send_modify(|progress| progress.text.push_str(text));
    }

    /// The text so far.
    pub(super) fn text(&self) -> String {
        self.progress.borrow().text.clone()
    }

    /// Tells the end. It must be kept by then.
    pub(super) fn end(self, end: End) {
        self.progress.send_modify(|progress| progress.end = Some(end));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.runs.lock().remove(&self.reply_id);
    }
}

enum Next {
    Start,
    Text { sent: usize },
    End(End),
    Over,
}

/// A listener that is slow gets larger pieces, not a longer queue.
fn events(reply_id: Uuid, attempt: i32, progress: watch::Receiver<Progress>) -> impl Stream<Item = Event> + Send {
    unfold((progress, Next::Start), move |(mut progress, next)| async move {
        let mut sent = match next {
            Next::Start => return Some((Event::Started { reply_id, attempt }, (progress, Next::Text { sent: 0 }))),
            Next::Text { sent } => sent,
            Next::End(end) => return Some((Event::Ended(end), (progress, Next::Over))),
            Next::Over => return None,
        };
        loop {
            let (text, end) = {
                let now = progress.borrow_and_update();
                (now.text.get(sent..).unwrap_or_default().to_owned(), now.end.clone())
            };
            if !text.is_empty() {
                let offset = sent;
                sent += text.len();
                let next = end.map_or(Next::Text { sent }, Next::End);
                return Some((Event::Delta { attempt, offset, text }, (progress, next)));
            }
            if let Some(end) = end {
                return Some((Event::Ended(end), (progress, Next::Over)));
            }
            if progress.changed().await.is_err() && progress.borrow().end.is_none() {
                let end = End::Interrupted { reason: "RUN_LOST" };
                return Some((Event::Ended(end), (progress, Next::Over)));
            }
        }
    })
}

/// The events of a reply that ended before.
pub(super) fn replay(reply_id: Uuid, attempt: i32, text: String, end: End) -> Vec<Event> {
    let mut events = vec![Event::Started { reply_id, attempt }];
    if !text.is_empty() {
        events.push(Event::Delta {
            attempt,
            offset: 0,
            text,
        });
    }
    events.push(Event::Ended(end));
    events
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use proptest::prelude::*;

    use super::*;

    /// Joins the pieces, and checks that each begins where the one before ended.
    fn joined(events: &[Event]) -> String {
        let mut text = String::new();
        for event in events {
            if let Event::Delta {
                offset, text: piece, ..
            } = event
            {
                assert_eq!(*offset, text.len());
                assert!(!piece.is_empty());
                text.push_str(piece);
            }
        }
        text
    }

    proptest! {
        #[test]
        fn whenever_one_begins_to_listen_the_whole_text_comes_once(
            pieces in prop::collection::vec("\\PC{1,5}", 0..20), join_at in 0usize..20,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (events, whole) = runtime.block_on(async {
                let runs = Runs::default();
                let id = Uuid::now_v7();
                let running = runs.enter(id, 1);
                let mut listener = None;
                for (at, piece) in pieces.iter().enumerate() {
                    if at == join_at {
                        listener = runs.follow(id).map(|events| tokio::spawn(events.collect::<Vec<_>>()));
                    }
                    running.push(piece);
                    tokio::task::yield_now().await;
                }
                let listener = listener.unwrap_or_else(|| tokio::spawn(runs.follow(id).unwrap().collect()));
                let whole = running.text();
                running.end(End::Superseded);
                assert!(runs.follow(id).is_none());
                (listener.await.unwrap(), whole)
            });
            prop_assert_eq!(joined(&events), whole);
            prop_assert!(matches!(events.first(), Some(Event::Started { attempt: 1, .. })), "started first");
            prop_assert!(matches!(events.last(), Some(Event::Ended(End::Superseded))));
        }
    }

    #[tokio::test]
    async fn a_run_that_is_lost_says_so() {
        let runs = Runs::default();
        let id = Uuid::now_v7();
        let running = runs.enter(id, 1);
        running.push("half");
        let events = runs.follow(id).unwrap();
        drop(running);
        let events: Vec<_> = events.collect().await;

        assert_eq!(joined(&events), "half");
        assert!(matches!(
            events.last(),
            Some(Event::Ended(End::Interrupted { reason: "RUN_LOST" }))
        ));
    }
}

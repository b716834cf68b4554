//! The runs of this process, and listening to them: from any byte on, at the listener's own pace.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::reply::End;

/// A run so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) text: String,
    pub(super) end: Option<End>,
}

/// A run of this process, for those who listen to it.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) attempt: i32,
    progress: watch::Receiver<Progress>,
    stopped: CancellationToken,
}

/// What a listener hears next.
#[derive(Debug)]
pub(super) enum Heard {
    /// All text that it has not heard yet; never empty.
    Text(String),
    /// The end, after all text.
    End(End),
    /// The run was dropped without an end.
    Lost,
}

/// The runs of this process.
#[derive(Clone, Default)]
pub(super) struct Runs(Arc<Mutex<HashMap<Uuid, Live>>>);

/// A run's own end of it. Dropped, the run is no longer among the runs, and who still listens is told so.
pub(super) struct Running {
    runs: Runs,
    reply_id: Uuid,
    progress: watch::Sender<Progress>,
    attempt: i32,
    /// Fires when someone ended the run: it was cancelled, or something newer took its place.
    pub(super) stopped: CancellationToken,
}

impl Runs {
    /// Enters a run.
    pub(super) fn enter(&self, reply_id: Uuid, attempt: i32) -> Running {
        let (progress, listening) = watch::channel(Progress::default());
        let stopped = CancellationToken::new();
        self.lock().insert(
            reply_id,
            Live {
                attempt,
                progress: listening,
                stopped: stopped.clone(),
            },
        );
        Running {
            runs: self.clone(),
            reply_id,
            progress,
            attempt,
            stopped,
        }
    }

    /// Tells a run, where it is one of this process, that someone ended it.
    pub(super) fn stop(&self, reply_id: Uuid) {
        if let Some(live) = self.lock().get(&reply_id) {
            live.stopped.cancel();
        }
    }

    /// The run of a reply, where it is one of this process.
    pub(super) fn live(&self, reply_id: Uuid) -> Option<Live> {
        self.lock().get(&reply_id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Live>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    /// What comes after the first `heard` bytes. A listener that is slow gets larger pieces, not a longer queue.
    pub(super) async fn after(&mut self, heard: usize) -> Heard {
        loop {
            {
                let now = self.progress.borrow_and_update();
                let text = now.text.get(heard..).unwrap_or_default();
                if !text.is_empty() {
                    return Heard::Text(text.to_owned());
                }
                if let Some(end) = &now.end {
                    return Heard::End(end.clone());
                }
            }
            if self.progress.changed().await.is_err() && self.progress.borrow().end.is_none() {
                return Heard::Lost;
            }
        }
    }

    /// The text so far.
    pub(super) fn text(&self) -> String {
        self.progress.borrow().text.clone()
    }
}

impl Running {
    /// What is not kept yet, of which `kept` bytes are.
    pub(super) fn unkept(&self, kept: usize) -> String {
        self.progress.borrow().text.get(kept..).unwrap_or_default().to_owned()
    }

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
        let mut runs = self.runs.lock();
        // A later attempt may have taken the place, where this one slept through its lease.
        if runs
            .get(&self.reply_id)
            .is_some_and(|live| live.attempt == self.attempt)
        {
            runs.remove(&self.reply_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn hear(mut live: Live, mut heard: usize) -> (String, Heard) {
        let mut text = String::new();
        loop {
            match live.after(heard).await {
                Heard::Text(piece) => {
                    assert!(!piece.is_empty());
                    heard += piece.len();
                    text.push_str(&piece);
                }
                end => return (text, end),
            }
        }
    }

    proptest! {
        #[test]
        fn whenever_one_begins_to_listen_every_byte_after_the_offset_comes_once(
            pieces in prop::collection::vec("\\PC{1,5}", 1..20), join_at in 0usize..20, cut: prop::sample::Index,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let whole: String = pieces.concat();
            let cuts: Vec<_> = (0..=whole.len()).filter(|at| whole.is_char_boundary(*at)).collect();
            let offset = cuts[cut.index(cuts.len())];
            let (text, end) = runtime.block_on(async {
                let runs = Runs::default();
                let id = Uuid::now_v7();
                let running = runs.enter(id, 1);
                let mut listener = None;
                for (at, piece) in pieces.iter().enumerate() {
                    if at == join_at {
                        listener = runs.live(id).map(|live| tokio::spawn(hear(live, offset)));
                    }
                    running.push(piece);
                    tokio::task::yield_now().await;
                }
                let listener = listener.unwrap_or_else(|| tokio::spawn(hear(runs.live(id).unwrap(), offset)));
                running.end(End::Superseded);
                assert!(runs.live(id).is_none());
                listener.await.unwrap()
            });
            prop_assert_eq!(text, &whole[offset..]);
            prop_assert!(matches!(end, Heard::End(End::Superseded)));
        }
    }

    #[tokio::test]
    async fn a_run_that_is_lost_says_so() {
        let runs = Runs::default();
        let id = Uuid::now_v7();
        let running = runs.enter(id, 1);
        running.push("half");
        let live = runs.live(id).unwrap();
        drop(running);
        let (text, end) = hear(live, 0).await;
        assert_eq!(text, "half");
        assert!(matches!(end, Heard::Lost));
    }

    #[tokio::test]
    async fn an_older_attempt_does_not_take_a_newer_one_away() {
        let runs = Runs::default();
        let id = Uuid::now_v7();
        let (first, second) = (runs.enter(id, 1), runs.enter(id, 2));
        drop(first);
        assert_eq!(runs.live(id).unwrap().attempt, 2);
        second.end(End::Superseded);
        assert!(runs.live(id).is_none());
    }
}

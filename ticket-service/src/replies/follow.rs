//! Following a reply from any byte to its end, wherever it runs: live where that is here, else by what is kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::time::Instant;
use uuid::Uuid;

use super::attach::{Heard, Live};
use super::reply::{End, Event};
use super::service::Service;
use super::store;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::violations;

/// How often a reply that runs elsewhere is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How long the database may be away before a stream gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a reply's text is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// More of it comes.
    Written,
    /// The whole answer.
    Answered,
    /// What came before an end without an answer.
    Void,
}

/// A listener's place in a reply.
pub(super) struct Follow {
    service: Arc<Service>,
    caller: Caller,
    reply_id: Uuid,
    /// What the text heard so far is of; 0 before the first.
    attempt: i32,
    /// Bytes of it.
    heard: usize,
    started: bool,
    live: Option<Live>,
    queue: VecDeque<Event>,
    over: bool,
    /// When the reply was last looked at with success.
    looked: Instant,
}

impl Follow {
    /// From the beginning.
    pub(super) fn whole(service: Arc<Service>, caller: Caller, reply_id: Uuid) -> Self {
        Self {
            service,
            caller,
            reply_id,
            attempt: 0,
            heard: 0,
            started: false,
            live: None,
            queue: VecDeque::new(),
            over: false,
            looked: Instant::now(),
        }
    }

    /// From after so many bytes of an attempt's text. Waits until they are there, as long as the attempt lives.
    pub(super) async fn after(
        service: Arc<Service>,
        caller: Caller,
        reply_id: Uuid,
        attempt: i32,
        offset: usize,
    ) -> Result<Self> {
        loop {
            let (current, text, place) = service.text(&caller, reply_id).await?;
            if attempt > current {
                return Err(Error::OffsetOutOfRange);
            }
            let mut follow = Self::whole(service.clone(), caller, reply_id);
            if attempt < current {
                follow.attempt = attempt;
                return Ok(follow);
            }
            if offset <= text.len() {
                if std::str::from_utf8(text.get(..offset).unwrap_or_default()).is_err() {
                    return violations::only("after_offset", Err("must not stand inside a character"));
                }
                (follow.attempt, follow.heard) = (attempt, offset);
                return Ok(follow);
            }
            match place {
                Place::Written => {}
                Place::Answered => return Err(Error::OffsetOutOfRange),
                // More may have been heard than was kept when it ended. There is no answer, and that is all there is to tell.
                Place::Void => {
                    (follow.attempt, follow.heard) = (attempt, offset);
                    return Ok(follow);
                }
            }
            if service.is_stopping() {
                (follow.attempt, follow.heard) = (attempt, offset);
                follow.stop();
                return Ok(follow);
            }
            follow.wait().await;
        }
    }

    /// Its events, to the end.
    pub(super) fn events(self) -> impl Stream<Item = Result<Event>> + Send {
        unfold(self, |mut follow| async move {
            let next = follow.next().await.transpose()?;
            Some((next, follow))
        })
    }

    async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Ok(Some(event));
            }
            if self.over {
                return Ok(None);
            }
            match self.live.take() {
                Some(live) => self.listen(live).await,
                None => self.look_patiently().await?,
            }
        }
    }

    async fn listen(&mut self, mut live: Live) {
        match live.after(self.heard).await {
            Heard::Text(text) => {
                self.tell(text);
                self.live = Some(live);
            }
            Heard::End(end) => self.end(end),
            // It goes on elsewhere: look there.
            Heard::Lost => {}
        }
    }

    async fn look_patiently(&mut self) -> Result<()> {
        match self.look().await {
            Ok(()) => self.looked = Instant::now(),
            Err(Error::DatabaseUnavailable(_)) if self.looked.elapsed() < PATIENCE && !self.service.is_stopping() => {
                self.wait().await;
            }
            Err(error) if self.started => {
                self.end(End::Interrupted {
                    reason: "STORAGE_UNAVAILABLE",
                });
                tracing::warn!(error = &error as &dyn std::error::Error, "a reply cannot be followed");
            }
            Err(error) => {
                self.over = true;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Finds the reply here, or sees how it stands.
    async fn look(&mut self) -> Result<()> {
        if let Some(live) = self.service.live(self.reply_id) {
            self.begin(live.attempt);
            self.live = Some(live);
            return Ok(());
        }
        let reply = self.service.get(&self.caller, self.reply_id).await?;
        self.begin(reply.attempt);
        if let Some((text, end)) = reply.end() {
            self.tell(text.get(self.heard..).unwrap_or_default().to_owned());
            self.end(end);
            return Ok(());
        }
        if self.service.is_stopping() {
            self.stop();
            return Ok(());
        }
        let kept = store::kept_text(self.service.pool(), self.reply_id, self.attempt, self.heard).await?;
        if kept.is_empty() {
            self.wait().await;
        } else {
            let text = String::from_utf8(kept).map_err(|error| Error::internal("a kept text is cut", error))?;
            self.tell(text);
        }
        Ok(())
    }

    async fn wait(&self) {
        tokio::select! {
            () = self.service.stopping() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }

    /// Text that follows is of this attempt.
    fn begin(&mut self, attempt: i32) {
        let restarted = self.attempt != 0 && self.attempt != attempt;
        if !self.started {
            self.started = true;
            self.queue.push_back(Event::Started {
                reply_id: self.reply_id,
                attempt,
            });
        }
        if restarted {
            self.heard = 0;
            self.queue.push_back(Event::Restarted { attempt });
        }
        self.attempt = attempt;
    }

    fn tell(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        let offset = self.heard;
        self.heard += text.len();
        self.queue.push_back(Event::Delta {
            attempt: self.attempt,
            offset,
            text,
        });
    }

    /// The stream ends, the reply does not.
    fn stop(&mut self) {
        self.begin(self.attempt.max(1));
        self.end(End::Interrupted {
            reason: "SERVER_STOPPING",
        });
    }

    fn end(&mut self, end: End) {
        self.queue.push_back(Event::Ended(end));
        self.over = true;
    }
}

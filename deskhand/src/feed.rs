//! What happens to tickets: a feed that is taken up again where it broke off.

use std::time::Duration;

use deskhand_proto::feed::v1::{WatchTicketsRequest, WatchTicketsResponse};
use tokio::time::{Instant, sleep};
use tonic::{Status, Streaming};

use crate::connection::Connection;
use crate::failure::Failure;
use crate::patience::pause;

/// Before the first try to take it up again; each further one waits twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// All that happens after a point in time, each thing once.
pub(crate) struct Feed {
    connection: Connection,
    ticket_ids: Vec<String>,
    /// Of the newest event.
    cursor: String,
    stream: Option<Streaming<WatchTicketsResponse>>,
    opened: Instant,
    /// Whether it has told anything yet. Before that, it is a call that may fail like any other.
    begun: bool,
    /// How often it broke off since it last held.
    breaks: u32,
    /// How long to wait before it is opened.
    pause: Duration,
}

/// What a feed tells.
pub(crate) enum News {
    /// The server's next word; a bookmark where its event has no ticket.
    Event(WatchTicketsResponse),
    /// It broke off, and is about to be taken up again.
    Broken(Failure),
}

impl Feed {
    /// Of these tickets, or all; after a cursor, or from now on.
    pub(crate) fn new(connection: Connection, ticket_ids: Vec<String>, cursor: String) -> Self {
        Self {
            connection,
            ticket_ids,
            cursor,
            stream: None,
            opened: Instant::now(),
            begun: false,
            breaks: 0,
            pause: Duration::ZERO,
        }
    }

    /// Where to go on from after what was told so far.
    pub(crate) fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The next thing that it tells; a failure is final. To be awaited to its end: a session may be renewed in it.
    pub(crate) async fn next(&mut self) -> Result<News, Failure> {
        loop {
            let was_open = self.stream.is_some();
            let mut failure = match self.told().await {
                Ok(answer) => {
                    self.note(&answer);
                    return Ok(News::Event(answer));
                }
                Err(failure) => failure,
            };
            let mut renewed = false;
            // Opening it tries a new token by itself, once.
            if was_open {
                match self.connection.renew_after(&failure).await {
                    Ok(done) => renewed = done,
                    Err(worse) => failure = worse,
                }
            }
            let may_go_on = renewed || (self.begun && failure.is_passing());
            if !may_go_on {
                return Err(failure);
            }
            self.close(&failure);
            if !renewed {
                return Ok(News::Broken(failure));
            }
        }
    }

    /// The server's next word; it is asked first where nothing is open.
    async fn told(&mut self) -> Result<WatchTicketsResponse, Failure> {
        let answer = match self.stream.as_mut() {
            Some(stream) => stream
                .message()
                .await
                .map_err(|status| self.connection.failure(status))?,
            None => {
                sleep(std::mem::take(&mut self.pause)).await;
                self.open().await?
            }
        };
        // It never ends well; between here and there someone thought otherwise.
        answer.ok_or_else(|| {
            self.connection
                .failure(Status::unavailable("the server ended it without a word"))
        })
    }

    async fn open(&mut self) -> Result<Option<WatchTicketsResponse>, Failure> {
        let request = WatchTicketsRequest {
            after_cursor: self.cursor.clone(),
            ticket_ids: self.ticket_ids.clone(),
        };
        let connection = &self.connection;
        let (first, stream) = connection
            .watch(request, async |request| connection.feed().watch_tickets(request).await)
            .await?;
        self.stream = Some(stream);
        self.opened = Instant::now();
        Ok(first)
    }

    fn note(&mut self, answer: &WatchTicketsResponse) {
        self.begun = true;
        let Some(event) = &answer.event else { return };
        if !event.cursor.is_empty() {
            self.cursor.clone_from(&event.cursor);
        }
        if !event.ticket_id.is_empty() {
            self.breaks = 0;
        }
    }

    /// Sets how long to wait before it is opened again.
    fn close(&mut self, failure: &Failure) {
        if self.stream.take().is_some() && self.opened.elapsed() > LONGEST_PAUSE {
            self.breaks = 0;
        }
        let pause = pause(FIRST_PAUSE, LONGEST_PAUSE, self.breaks);
        self.pause = pause.max(failure.retry_after().unwrap_or_default());
        self.breaks = self.breaks.saturating_add(1);
    }
}

//! What came in, what went out, and how it ended: the newest calls, for tests and people to look at.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::books::{self, Books};
use crate::quota::Reservation;
use crate::simulator::locked;
use crate::wire::Usage;

/// A request to `/openai/…` as it arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Received {
    /// Counts up from 1; the call with the same id says what became of it.
    pub id: u64,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// Path and query.
    pub path: String,
    /// Header names in lower case, without `authorization`.
    pub headers: BTreeMap<String, String>,
    /// The body: JSON if it is that, else a string.
    pub body: Value,
}

/// What became of a chat completion request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    /// That of the request.
    pub id: u64,
    /// `x-request-id` and `x_groq.id`.
    pub request_id: String,
    /// The model asked for.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The scenario that was played, as a marker would say it; empty if the request was refused before one was chosen.
    pub scenario: String,
    /// The HTTP status; `None` until headers are sent.
    pub status: Option<u16>,
    /// How it ended, or that it has not.
    pub outcome: Outcome,
    /// Events of a stream that were handed to the connection, `[DONE]` included; 1 for a whole JSON body.
    pub chunks: u32,
    /// Bytes of the body that were handed to the connection.
    pub bytes: u64,
    /// The visible text that was sent, without the huge delta of `huge-line`.
    pub text: String,
    /// What the call costs: tokens generated until its end, whether or not that was reported. `None` if nothing was
    /// generated, as for an error status.
    pub billed: Option<Usage>,
    /// What that costs by the list of 2026-10, in millionths of a millionth of a dollar; cached tokens cost half.
    pub cost_picodollars: u64,
    /// How many times usage was sent.
    pub usage_sent: u32,
    /// Unix time in milliseconds.
    pub started_ms: u64,
    /// Milliseconds from the start to the first byte of the body.
    pub first_byte_ms: Option<f64>,
    /// Milliseconds from the start to the end.
    pub ended_ms: Option<f64>,
    /// When it ended: Unix time in milliseconds, with a fraction. A client that closes its connection is noticed here.
    pub ended_at_ms: Option<f64>,
}

impl Call {
    pub(crate) fn bill(&mut self, usage: Option<Usage>) {
        self.cost_picodollars = usage.as_ref().map_or(0, |usage| books::cost(&self.model, usage));
        self.billed = usage;
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not.
    Running,
    /// Everything that the scenario wanted to send was sent, with status 200.
    Finished,
    /// An error status was sent.
    Refused,
    /// The simulator broke the connection, as the scenario says.
    Cut,
    /// The client closed the connection (or the simulator stopped) before everything was sent.
    ClientClosed,
}

pub(crate) struct Journal {
    keep: usize,
    pages: Mutex<Pages>,
    books: Mutex<Books>,
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct Pages {
    last_id: u64,
    received: VecDeque<Received>,
    calls: VecDeque<Arc<Mutex<Call>>>,
}

impl Journal {
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            keep: keep.max(1),
            pages: Mutex::default(),
            books: Mutex::default(),
            changes: watch::Sender::new(()),
        }
    }

    /// Notes a request and answers its id.
    pub(crate) fn receive(&self, path: String, headers: BTreeMap<String, String>, body: Value) -> u64 {
        let mut pages = locked(&self.pages);
        pages.last_id += 1;
        let id = pages.last_id;
        if pages.received.len() == self.keep {
            pages.received.pop_front();
        }
        pages.received.push_back(Received {
            id,
            at_ms: unix_ms(),
            path,
            headers,
            body,
        });
        drop(pages);
        self.changes.send_replace(());
        id
    }

    pub(crate) fn open(self: &Arc<Self>, id: u64, request_id: String) -> Entry {
        let mut entry = self.unlisted(id, request_id);
        entry.listed = true;
        let mut pages = locked(&self.pages);
        if pages.calls.len() == self.keep {
            pages.calls.pop_front();
        }
        pages.calls.push_back(Arc::clone(&entry.call));
        drop(pages);
        entry
    }

    /// A page for what is no call of a model: neither among the calls nor in the books.
    pub(crate) fn unlisted(self: &Arc<Self>, id: u64, request_id: String) -> Entry {
        let call = Call {
            id,
            request_id,
            model: String::new(),
            stream: false,
            scenario: String::new(),
            status: None,
            outcome: Outcome::Running,
            chunks: 0,
            bytes: 0,
            text: String::new(),
            billed: None,
            cost_picodollars: 0,
            usage_sent: 0,
            started_ms: unix_ms(),
            first_byte_ms: None,
            ended_ms: None,
            ended_at_ms: None,
        };
        Entry {
            journal: Arc::clone(self),
            call: Arc::new(Mutex::new(call)),
            listed: false,
            started: Instant::now(),
            reservation: Mutex::default(),
        }
    }

    pub(crate) fn books(&self) -> Books {
        locked(&self.books).clone()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        locked(&self.pages).received.iter().cloned().collect()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        locked(&self.pages)
            .calls
            .iter()
            .map(|call| locked(call).clone())
            .collect()
    }

    /// Forgets everything; ids go on counting.
    pub(crate) fn clear(&self) {
        let mut pages = locked(&self.pages);
        pages.received.clear();
        pages.calls.clear();
        *locked(&self.books) = Books::default();
        drop(pages);
        self.changes.send_replace(());
    }

    /// Wakes up at every change.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}

/// The open page of one call. Dropped while the call is running, it notes that the client went away: that is how a
/// closed connection shows, the server drops the handler or the body.
pub(crate) struct Entry {
    journal: Arc<Journal>,
    call: Arc<Mutex<Call>>,
    listed: bool,
    started: Instant,
    reservation: Mutex<Option<Reservation>>,
}

impl Entry {
    pub(crate) fn update(&self, change: impl FnOnce(&mut Call)) {
        change(&mut locked(&self.call));
        self.journal.changes.send_replace(());
    }

    /// Notes a piece of the body that is being sent.
    pub(crate) fn sent(&self, bytes: usize, change: impl FnOnce(&mut Call)) {
        let elapsed = self.elapsed_ms();
        self.update(|call| {
            call.bytes += bytes as u64;
            call.first_byte_ms.get_or_insert(elapsed);
            change(call);
        });
    }

    /// Holds tokens of the quota until the call ends.
    pub(crate) fn hold(&self, reservation: Reservation) {
        *locked(&self.reservation) = Some(reservation);
    }

    /// Gives back what was held: the scenario says that the provider refused the request before it counted.
    pub(crate) fn release(&self) {
        if let Some(reservation) = locked(&self.reservation).take() {
            reservation.cancel();
        }
    }

    /// Only the first end counts. Quota and books are settled before anybody can see it.
    pub(crate) fn end(&self, outcome: Outcome) {
        let (elapsed, now) = (self.elapsed_ms(), unix_ms_exact());
        let mut call = locked(&self.call);
        if call.outcome != Outcome::Running {
            return;
        }
        let mut ended = call.clone();
        ended.outcome = outcome;
        ended.ended_ms = Some(elapsed);
        ended.ended_at_ms = Some(now);
        if let Some(reservation) = locked(&self.reservation).take() {
            reservation.settle(ended.billed.as_ref().map_or(0, Usage::counted_tokens));
        }
        if self.listed {
            locked(&self.journal.books).enter(&ended);
        }
        *call = ended;
        drop(call);
        self.journal.changes.send_replace(());
    }

    fn elapsed_ms(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * 1000.0
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.end(Outcome::ClientClosed);
    }
}

pub(crate) fn unix_ms() -> u64 {
    unix_ms_exact() as u64
}

fn unix_ms_exact() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64() * 1000.0)
}

//! From events to bytes: how lines are written, and where writes end.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use crate::scenario::{Fault, HowCut};

/// The largest frame that is handed over at once.
const LARGEST_FRAME: usize = 64 * 1024;

/// What the player does next.
#[derive(Debug)]
pub(super) enum Step {
    /// Time passes, measured from when the step before was due, so that delays do not add up.
    Wait(Duration),
    /// Hands a frame to the connection.
    Send(Piece),
    /// Counts what is generated but not sent.
    Count(Notes),
    /// Lets the connection write out what it has, so that the next frame is a write of its own.
    Flush,
    /// Nothing, ever.
    Hang,
    /// The connection breaks.
    Cut(HowCut),
}

/// Bytes, and what they mean for the bill and the journal.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) notes: Notes,
}

/// What an event carries.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    /// 1 for an event, 0 for a part of one.
    pub(super) chunks: u32,
    pub(super) tokens: u32,
    pub(super) reasoning_tokens: u32,
    pub(super) text: String,
    pub(super) usage: u32,
}

impl Notes {
    fn add(&mut self, other: &Self) {
        self.chunks += other.chunks;
        self.tokens += other.tokens;
        self.reasoning_tokens += other.reasoning_tokens;
        self.usage += other.usage;
        self.text += &other.text;
    }
}

/// Something in a stream.
#[derive(Debug)]
pub(super) enum Item {
    Event(Event),
    /// Something generated, after its wait, of which nothing is sent.
    Silent(Duration, Notes),
    /// Bytes as they stand, after a wait, in a write of their own.
    Bytes(Piece, Duration),
    Hang,
    /// After a wait.
    Cut(HowCut, Duration),
}

/// An event before it is written.
#[derive(Debug, Default)]
pub(super) struct Event {
    pub(super) wait: Duration,
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) data: String,
    pub(super) notes: Notes,
}

/// Writes a stream as the scenario wants it.
pub(super) fn encode(items: Vec<Item>, fault: &Fault) -> Vec<Step> {
    let mut steps = Vec::with_capacity(items.len() * 2);
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Item::Event(event) => {
                steps.extend(wait(event.wait));
                let bytes = write(index, &event, fault);
                cut_up(
                    &mut steps,
                    Piece {
                        bytes,
                        notes: event.notes,
                    },
                    fault,
                );
            }
            Item::Silent(duration, notes) => {
                steps.extend(wait(duration));
                steps.push(Step::Count(notes));
            }
            Item::Bytes(piece, duration) => {
                steps.extend(wait(duration));
                steps.extend([Step::Flush, Step::Send(piece)]);
            }
            Item::Hang => steps.push(Step::Hang),
            Item::Cut(how, duration) => {
                steps.push(Step::Flush);
                steps.extend(wait(duration));
                steps.push(Step::Cut(how));
            }
        }
    }
    if *fault == Fault::OneWrite {
        in_one_write(steps)
    } else {
        steps
    }
}

fn wait(duration: Duration) -> Option<Step> {
    (!duration.is_zero()).then_some(Step::Wait(duration))
}

fn write(index: usize, event: &Event, fault: &Fault) -> Bytes {
    let end = if *fault == Fault::Crlf { "\r\n" } else { "\n" };
    let colon = if *fault == Fault::NoSpace { ":" } else { ": " };
    let mut text = String::with_capacity(event.data.len() + 32);
    if *fault == Fault::Comments {
        text.push_str(decoration(index));
    }
    if let Some(name) = &event.name {
        text.extend(["event", colon, name, end]);
    }
    for line in event.data.split('\n') {
        text.extend(["data", colon, line, end]);
    }
    text.push_str(end);
    Bytes::from(text)
}

/// Lines that carry no data and that a reader must step over.
fn decoration(index: usize) -> &'static str {
    match index % 6 {
        0 => ": ping 🏓\n\n",
        1 => ":\n",
        2 => "id: 42\nretry: 3000\n",
        3 => "event: message\n",
        4 => "\n\n: keep-alive\n\n",
        _ => "vendor-field: data: {}\ndatabase: no\n",
    }
}

/// Adds one event or body, in as many writes as the scenario wants.
pub(super) fn cut_up(steps: &mut Vec<Step>, piece: Piece, fault: &Fault) {
    let Piece { mut bytes, notes } = piece;
    let ends: Vec<usize> = match fault {
        Fault::ByteAtATime => (1..bytes.len()).collect(),
        // The second and later bytes of a character: 10xxxxxx.
        Fault::SplitUtf8 => (1..bytes.len())
            .filter(|index| bytes[*index] & 0b1100_0000 == 0b1000_0000)
            .collect(),
        _ => (1..)
            .map(|count| count * LARGEST_FRAME)
            .take_while(|end| *end < bytes.len())
            .collect(),
    };
    let flush = matches!(fault, Fault::ByteAtATime | Fault::SplitUtf8);
    let mut start = 0;
    for end in ends {
        if flush {
            steps.push(Step::Flush);
        }
        steps.push(Step::Send(Piece {
            bytes: bytes.split_to(end - start),
            notes: Notes::default(),
        }));
        start = end;
    }
    if flush {
        steps.push(Step::Flush);
    }
    steps.push(Step::Send(Piece { bytes, notes }));
}

fn in_one_write(steps: Vec<Step>) -> Vec<Step> {
    let mut wait = Duration::ZERO;
    let mut all = Vec::new();
    let mut sum = Notes::default();
    for step in steps {
        match step {
            Step::Wait(duration) => wait += duration,
            Step::Send(Piece { bytes, notes }) => {
                all.extend_from_slice(&bytes);
                sum.add(&notes);
            }
            Step::Count(notes) => sum.add(&notes),
            Step::Flush | Step::Hang | Step::Cut(_) => {}
        }
    }
    vec![
        Step::Wait(wait),
        Step::Send(Piece {
            bytes: all.into(),
            notes: sum,
        }),
    ]
}

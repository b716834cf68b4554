//! For tests: listens to everything that is logged while they run, at any level and of any crate, for what people wrote in their
//! requests, addresses, and what opens doors. Where it hears any of it the whole program of tests ends, and fails.
//!
//! What people write is read off the wire ([`connect`]), out of every request of the tests' clients; the rest is known by its
//! shape. Processes are listened to as they write ([`follow`]) or when they are over ([`check_logs`]).

#![expect(clippy::unwrap_used, reason = "it is for tests: where it cannot go on, they fail")]

mod sent;

use std::collections::{HashMap, HashSet};
use std::fmt::{Debug, Write as _};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::pin::Pin;
use std::sync::{LazyLock, Once, RwLock};
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use sent::Sent;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context as LayerContext, Identity, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

/// What is shorter could stand anywhere.
const LEAST: usize = 10;

/// Never to be heard, whoever wrote it: access tokens, the keys that tests have for the provider, private keys, and what the
/// simulator says in every answer. None is shorter than eight bytes.
const SHAPES: &[&str] = &[
    "eyJ0eXAi",
    "eyJhbGci",
    "gsk_test",
    "gsk_canary",
    "PRIVATE KEY",
    "answers, having read",
];

/// What stands in sentences of ours too.
const OURS: &[&str] = &["@example.com"];

/// Texts by their first eight bytes.
type Texts = HashMap<u64, Vec<Box<str>>, BuildHasherDefault<Mix>>;

static HEARD_OF: LazyLock<RwLock<Texts>> = LazyLock::new(|| {
    let mut texts = Texts::default();
    for shape in SHAPES {
        texts.entry(head(shape.as_bytes())).or_default().push((*shape).into());
    }
    RwLock::new(texts)
});

/// Begins to listen, once.
pub fn begin() {
    begin_with(Identity::new());
}

/// Begins to listen, once, and has something else hear the same.
pub fn begin_with(further: impl Layer<Registry> + Send + Sync) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| Registry::default().with(further).with(Ear).init());
}

/// A channel whose requests are read along.
pub async fn connect(address: &str) -> Channel {
    begin();
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let connector = service_fn(|uri: Uri| async move {
        let address = uri.authority().map(ToString::to_string).unwrap_or_default();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(TokioIo::new(Tap {
            stream,
            sent: Sent::default(),
            ahead: 0,
        }))
    });
    endpoint.connect_with_connector(connector).await.unwrap()
}

/// Listens to what a process says, until it ends.
pub fn follow(said: impl std::io::Read + Send + 'static) {
    std::thread::spawn(move || {
        for line in std::io::BufReader::new(said).split(b'\n').map_while(Result::ok) {
            check("a process", &line);
        }
    });
}

/// Checks every file of a folder of logs.
pub fn check_logs(folder: &Path) {
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        for line in std::fs::read(&path).unwrap().split(|byte| *byte == b'\n') {
            check(&path.display().to_string(), line);
        }
    }
}

/// Ends everything where a line holds what must not be heard.
pub fn check(whence: &str, line: &[u8]) {
    let Some(found) = find(line) else {
        return;
    };
    let line = String::from_utf8_lossy(line);
    // Not by `eprintln`, which the test runner keeps to itself.
    let _ = writeln!(
        std::io::stderr(),
        "\n{whence} tells what must not be told: {found:?} in: {}\ntest result: FAILED. It was heard.",
        line.chars().take(2_000).collect::<String>()
    );
    std::process::exit(101);
}

fn find(line: &[u8]) -> Option<String> {
    let texts = HEARD_OF.read().unwrap();
    for (at, window) in line.windows(8).enumerate() {
        let found = texts
            .get(&head(window))
            .and_then(|those| those.iter().find(|text| line[at..].starts_with(text.as_bytes())));
        if let Some(found) = found {
            return Some(found.to_string());
        }
    }
    None
}

fn head(text: &[u8]) -> u64 {
    u64::from_le_bytes(text[..8].try_into().unwrap())
}

/// A multiplication is enough for what is looked up at every byte.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

/// A text that someone wrote; one of less than ten bytes could stand anywhere, and is passed over.
pub fn hear_of(text: &str) {
    static KNOWN: LazyLock<RwLock<HashSet<u64>>> = LazyLock::new(RwLock::default);
    // Ids, names of fields and of services are told, and are nobody's words.
    let name = text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || b"_.".contains(&byte));
    let name = name || text.starts_with("deskhand.") || text.starts_with("google.");
    if text.len() < LEAST || name || OURS.contains(&text) || uuid::Uuid::parse_str(text).is_ok() {
        return;
    }
    let mut hasher = Mix::default();
    hasher.write(text.as_bytes());
    if KNOWN.read().unwrap().contains(&hasher.finish()) {
        return;
    }
    KNOWN.write().unwrap().insert(hasher.finish());
    let mut texts = HEARD_OF.write().unwrap();
    // The beginning of a long one would be bad enough.
    let text = &text[..text.floor_char_boundary(40)];
    texts.entry(head(text.as_bytes())).or_default().push(text.into());
}

/// A connection whose sent bytes are read along, before they go.
struct Tap {
    stream: TcpStream,
    sent: Sent,
    /// Of what comes to be written next, so many bytes were read before: not all of them were taken.
    ahead: usize,
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let ahead = self.ahead;
        if let Some(fresh) = buf.get(ahead..) {
            self.sent.take(fresh);
            self.ahead = buf.len();
        }
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            self.ahead -= written;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Hears events and spans.
struct Ear;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Ear {
    fn on_new_span(&self, attributes: &Attributes<'_>, _id: &Id, _ctx: LayerContext<'_, S>) {
        let mut line = Line::default();
        attributes.record(&mut line);
        line.check(attributes.metadata().target());
    }

    fn on_record(&self, _id: &Id, values: &Record<'_>, _ctx: LayerContext<'_, S>) {
        let mut line = Line::default();
        values.record(&mut line);
        line.check("a span");
    }

    fn on_event(&self, event: &Event<'_>, _ctx: LayerContext<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        line.check(event.metadata().target());
    }
}

#[derive(Default)]
struct Line(String);

impl Line {
    fn check(&self, target: &str) {
        check(target, self.0.as_bytes());
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, "{}={value} ", field.name());
    }
}

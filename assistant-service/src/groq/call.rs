//! One answer, streamed or in one piece, under its time limits. To drop a call is to cut it off: the connection closes with it.

use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Answer, ToolCall, is_name};
use super::client::{not_a_stream, read_up_to, succeeded};
use super::failure::{Failure, Kind, Phase};
use super::quota::Standing;
use super::sse::Parser;
use super::wire::Usage;
use crate::settings::Limits;

/// The most of an answer in one piece that is read.
const LONGEST_WHOLE: usize = 1024 * 1024;

/// How much text that has arrived together travels together, in bytes; a little more where one event has more.
const LONGEST_STEP: usize = 16 * 1024;

/// What came of waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// More of the answer. Never empty.
    Text(String),
    /// A sign of life: the model reasons, or the provider tells of the call.
    Alive,
    /// The answer is whole. Nothing follows.
    Whole,
}

/// A call to the provider, at any moment of its life.
#[derive(Debug)]
pub struct Call {
    limits: Limits,
    /// When the caller's time is over.
    ends: Option<Instant>,
    streamed: bool,
    began: Instant,
    /// When all that had arrived was read last.
    heard: Instant,
    reach: Reach,
    standing: Option<Standing>,
    first_text: Option<Duration>,
    request_id: Option<String>,
    stage: Stage,
    parser: Parser,
    answer: Answer,
    /// How it ended, while the text that came before the end has yet to be handed on.
    outcome: Option<Result<(), Failure>>,
}

/// How far the request came: what it costs depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The provider has none of it.
    Unsent,
    /// The provider may have it.
    Sent,
    /// The provider answered with an error instead of writing.
    Refused,
    /// The provider writes, or has written.
    Accepted,
}

#[derive(Debug)]
enum Stage {
    Unsent(RequestBuilder),
    Open(Response),
    Over,
}

impl Call {
    /// A call whose clock starts when its request leaves. It ends at `ends` at the latest; tools of the names in `tools` may
    /// be called.
    pub(super) fn new(
        request: RequestBuilder,
        limits: Limits,
        streamed: bool,
        ends: Option<Instant>,
        tools: Vec<String>,
    ) -> Self {
        let accept = if streamed {
            "text/event-stream"
        } else {
            "application/json"
        };
        Self {
            limits,
            ends,
            streamed,
            began: Instant::now(),
            heard: Instant::now(),
            reach: Reach::Unsent,
            standing: None,
            first_text: None,
            request_id: None,
            stage: Stage::Unsent(request.header(ACCEPT, accept)),
            parser: Parser::default(),
            answer: Answer::offering(tools),
            outcome: None,
        }
    }

    /// Sends the request if that is yet to be done, and waits for what comes next.
    ///
    /// # Errors
    /// However the call fails; then nothing follows.
    pub async fn next(&mut self) -> Result<Step, Failure> {
        if let Stage::Unsent(_) = self.stage {
            self.began = Instant::now();
            self.heard = self.began;
        }
        let (limit, phase) = self.limit();
        // The clock first: an answer that never rests must end too.
        let step = if Instant::now() >= limit {
            self.time_is_over(phase)
        } else {
            match timeout_at(limit, self.advance()).await {
                Ok(step) => step,
                Err(_) => self.time_is_over(phase),
            }
        };
        match &step {
            Ok(Step::Text(_)) if self.first_text.is_none() => self.first_text = Some(self.began.elapsed()),
            Ok(_) => {}
            Err(_) => self.stage = Stage::Over,
        }
        step
    }

    /// Until when to wait now. Events that say nothing new of the answer keep a call alive after its first token, and not
    /// before; bytes that are no event never do.
    fn limit(&self) -> (Instant, Phase) {
        let mut next = (self.began + self.limits.total, Phase::Total);
        let token = if !self.streamed {
            // Nothing comes before everything does.
            None
        } else if self.answer.began() {
            Some((Instant::now() + self.limits.between_chunks, Phase::NextChunk))
        } else {
            Some((self.began + self.limits.first_token, Phase::FirstToken))
        };
        for limit in token.into_iter().chain(self.ends.map(|ends| (ends, Phase::Deadline))) {
            if limit.0 < next.0 {
                next = limit;
            }
        }
        next
    }

    /// Text that had come but not been handed on comes first.
    fn time_is_over(&mut self, phase: Phase) -> Result<Step, Failure> {
        let failure = Failure::new(Kind::TimedOut(phase));
        let text = self.answer.take_text();
        if text.is_empty() {
            return Err(failure);
        }
        self.outcome = Some(Err(failure));
        Ok(Step::Text(text))
    }

    async fn advance(&mut self) -> Result<Step, Failure> {
        if let Some(outcome) = self.outcome.take() {
            return outcome.map(|()| Step::Whole);
        }
        self.open().await?;
        if !self.streamed {
            return self.read_whole().await;
        }
        let Stage::Open(response) = &mut self.stage else {
            return Err(Failure::new(Kind::Broken));
        };
        loop {
            let mut arrived = match response.chunk().now_or_never() {
                // It may have lain there for long while the caller did not read.
                Some(waiting) => waiting,
                None => {
                    let arrived = response.chunk().await;
                    self.heard = Instant::now();
                    arrived
                }
            };
            let mut alive = false;
            loop {
                let ended = match arrived {
                    Ok(Some(bytes)) => take(&mut self.parser, &mut self.answer, &bytes, &mut alive),
                    Ok(None) => Some(self.answer.verdict()),
                    Err(error) => Some(Err(Failure::from_transport(error))),
                };
                self.outcome = ended;
                if self.outcome.is_some() || !(1..LONGEST_STEP).contains(&self.answer.waiting()) {
                    break;
                }
                let mut more = response.chunk().now_or_never();
                if more.is_none() && self.first_text.is_some() {
                    // The connection's own task hands over a piece at a time. One turn is enough to see whether there is
                    // another, and is all that any piece but the first, which goes at once, ever waits.
                    yield_now().await;
                    more = response.chunk().now_or_never();
                }
                match more {
                    Some(more) => arrived = more,
                    None => break,
                }
            }
            let text = self.answer.take_text();
            if !text.is_empty() {
                return Ok(Step::Text(text));
            }
            if let Some(outcome) = self.outcome.take() {
                return outcome.map(|()| Step::Whole);
            }
            if alive {
                return Ok(Step::Alive);
            }
        }
    }

    async fn read_whole(&mut self) -> Result<Step, Failure> {
        let Stage::Open(response) = &mut self.stage else {
            return Err(Failure::new(Kind::Broken));
        };
        let (body, whole) = read_up_to(response, LONGEST_WHOLE).await?;
        if !whole {
            return Err(Failure::new(Kind::Protocol("the answer is too long")));
        }
        self.answer.take_whole(&body)?;
        let verdict = self.answer.verdict();
        let text = self.answer.take_text();
        if text.is_empty() {
            return verdict.map(|()| Step::Whole);
        }
        self.outcome = Some(verdict);
        Ok(Step::Text(text))
    }

    /// Sends the request and reads the response's headers, unless that is done.
    async fn open(&mut self) -> Result<(), Failure> {
        let Stage::Unsent(_) = self.stage else {
            return Ok(());
        };
        let Stage::Unsent(request) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Ok(());
        };
        self.reach = Reach::Sent;
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                let failure = Failure::from_transport(error);
                if matches!(failure.kind, Kind::Unreachable | Kind::TimedOut(Phase::Connecting)) {
                    self.reach = Reach::Unsent;
                }
                return Err(failure);
            }
        };
        self.standing = Some(Standing::of(response.headers()));
        self.reach = if response.status().is_success() {
            Reach::Accepted
        } else {
            Reach::Refused
        };
        let header = |name| response.headers().get(name)?.to_str().ok();
        self.request_id = header("x-request-id").filter(|id| is_name(id)).map(str::to_owned);
        // Where nothing is said, the events themselves are asked.
        let streams = header(CONTENT_TYPE.as_str()).is_none_or(is_event_stream);
        let response = succeeded(response).await?;
        if self.streamed && !streams {
            return Err(not_a_stream(response).await);
        }
        self.stage = Stage::Open(response);
        Ok(())
    }

    /// Reads the few bytes that end a body after a whole answer, if they are there or nearly: only then can the
    /// connection be used again. Nobody waits for it.
    pub fn settle(&mut self) {
        const AT_MOST: Duration = Duration::from_millis(20);
        if let Stage::Open(mut response) = std::mem::replace(&mut self.stage, Stage::Over) {
            // However it ends, the answer stands.
            tokio::spawn(async move { timeout(AT_MOST, response.chunk()).await });
        }
    }

    /// How far the request came.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// What the provider said of its limits, once it has answered; taken once.
    pub fn take_standing(&mut self) -> Option<Standing> {
        self.standing.take()
    }

    /// Bytes that the model wrote and that arrived, reasoning included.
    pub fn bytes(&self) -> u64 {
        self.answer.bytes
    }

    /// For how long the model may have written what has not been read; no end of it for an answer in one piece, which is
    /// written before it comes.
    pub fn silent(&self) -> Duration {
        if !self.streamed && self.reach == Reach::Accepted {
            return Duration::MAX;
        }
        self.heard.elapsed()
    }

    /// The calls of tools, once the answer is whole.
    pub fn take_calls(&mut self) -> Vec<ToolCall> {
        self.answer.take_calls()
    }

    /// What the call cost, if the provider has said it.
    pub fn usage(&self) -> Option<Usage> {
        self.answer.usage
    }

    /// The provider's name for the call, if it has given one.
    pub fn upstream_id(&self) -> Option<&str> {
        self.answer.upstream_id.as_deref().or(self.request_id.as_deref())
    }

    /// How long the first piece of the answer took, if there was one.
    pub fn time_to_first_text(&self) -> Option<Duration> {
        self.first_text
    }

    /// When the request left; before that, when it was prepared.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// How long the call has taken.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

fn is_event_stream(content_type: &str) -> bool {
    const NAME: &str = "text/event-stream";
    content_type
        .get(..NAME.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(NAME))
}

/// Feeds the answer; says how the call ended where these bytes end it.
fn take(parser: &mut Parser, answer: &mut Answer, bytes: &[u8], alive: &mut bool) -> Option<Result<(), Failure>> {
    let mut failed = None;
    let parsed = parser.push(bytes, |event| {
        *alive = true;
        if failed.is_none() {
            failed = answer.take(event).err();
        }
    });
    match (failed, parsed) {
        (Some(failure), _) => Some(Err(failure)),
        (None, _) if answer.ended() => Some(answer.verdict()),
        (None, Err(_)) => Some(Err(Failure::new(Kind::Protocol("an event is too long")))),
        (None, Ok(())) => None,
    }
}

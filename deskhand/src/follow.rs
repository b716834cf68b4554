//! An answer as it is written, to its end: where a connection or a server breaks off, it is taken up again at the byte where
//! it was. How it is shown is not known here.

use std::time::Duration;

use deskhand_proto::replies::v1::{
    AttachReplyRequest, AttachReplyResponse, ReplyEvent, StreamReplyRequest, StreamReplyResponse,
};
use tokio::time::{Instant, sleep};
use tonic::Streaming;
use uuid::Uuid;

use crate::connection::{Connection, new_request_id};
use crate::ending::Ending;
use crate::failure::Failure;
use crate::patience::Patience;
use crate::transcript::{Fault, Progress, Transcript};

/// After the word that a stream is interrupted, its status may say more.
const LAST_WORD_WITHIN: Duration = Duration::from_millis(500);

/// A listener's place in a reply.
pub(crate) struct Follow {
    connection: Connection,
    /// What asks for the reply, while it is not known which one that is. A repeat joins the reply that the first one began.
    ask: StreamReplyRequest,
    transcript: Transcript,
    stream: Option<Stream>,
    /// When the answer must be whole, however often it broke off.
    deadline: Instant,
    /// Whether the server was ever there. One that is not, at first, is most likely at another address.
    reached: bool,
    /// Another token was tried since there was anything new.
    renewed: bool,
    /// The server's word that the stream at hand ends before the reply does.
    interrupted: Option<Ending>,
    patience: Patience,
    /// How long to wait before the next stream is opened.
    pause: Duration,
}

enum Stream {
    Asked(Streaming<StreamReplyResponse>),
    Attached(Streaming<AttachReplyResponse>),
}

/// What is heard.
pub(crate) enum News {
    Told(Box<Told>),
    /// It broke off, and is about to be taken up again.
    Broken(Failure),
    /// All text so far is void, for the server knows nothing of it; the reply is told from its beginning.
    Void,
}

/// The server's next word.
pub(crate) struct Told {
    pub(crate) event: ReplyEvent,
    /// What it means.
    pub(crate) progress: Progress,
}

impl Follow {
    /// Asks for an answer to a ticket.
    pub(crate) fn ask(connection: &Connection, ticket: Uuid) -> Self {
        let ask = StreamReplyRequest {
            ticket_id: ticket.to_string(),
            request_id: new_request_id(),
            ..Default::default()
        };
        Self::new(connection, ask, Transcript::default())
    }

    /// Listens to a reply that was asked for before.
    pub(crate) fn attach(connection: &Connection, reply_id: Uuid) -> Self {
        Self::new(
            connection,
            StreamReplyRequest::default(),
            Transcript::of(reply_id.to_string()),
        )
    }

    /// At a server that was there a moment ago, and so is waited for.
    pub(crate) fn at_known_server(self) -> Self {
        Self { reached: true, ..self }
    }

    fn new(connection: &Connection, ask: StreamReplyRequest, transcript: Transcript) -> Self {
        Self {
            connection: connection.clone(),
            ask,
            transcript,
            stream: None,
            deadline: connection.stream_deadline(),
            reached: false,
            renewed: false,
            interrupted: None,
            patience: Patience::default(),
            pause: Duration::ZERO,
        }
    }

    /// What was heard so far.
    pub(crate) fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    pub(crate) fn into_text(self) -> String {
        self.transcript.into_text()
    }

    /// The next thing that is heard; a failure is final. To be awaited to its end: a session may be renewed in it.
    pub(crate) async fn next(&mut self) -> Result<News, Failure> {
        loop {
            let was_open = self.stream.is_some();
            let mut failure = match self.heard().await {
                Ok(event) => return self.take_in(event),
                Err(failure) => failure,
            };
            self.stream = None;
            // Opening it tries a new token by itself, once.
            if was_open {
                match self.connection.renew_after(&failure).await {
                    Ok(true) if !std::mem::replace(&mut self.renewed, true) => continue,
                    Ok(_) => {}
                    Err(worse) => failure = worse,
                }
            }
            if failure.reason() == Some("OFFSET_OUT_OF_RANGE") && self.transcript.attempt() != 0 {
                self.transcript.forget();
                return Ok(News::Void);
            }
            self.reached |= !failure.is_nobody();
            if !self.reached || !self.may_pass(&failure) {
                return Err(failure);
            }
            let pause = self.patience.pause_after(&failure);
            let Some(pause) = pause.filter(|pause| Instant::now() + *pause < self.deadline) else {
                return Err(failure);
            };
            self.pause = pause;
            return Ok(News::Broken(failure));
        }
    }

    fn take_in(&mut self, event: ReplyEvent) -> Result<News, Failure> {
        let progress = match self.transcript.accept(event.clone())? {
            Progress::Ended(Ending::Interrupted { reason }) if reason != "MESSAGE_GONE" => {
                self.interrupted = Some(Ending::Interrupted { reason });
                Progress::Nothing
            }
            progress => progress,
        };
        if matches!(progress, Progress::Text(_) | Progress::Restarted) {
            self.patience.renew();
            self.renewed = false;
        }
        Ok(News::Told(Box::new(Told { event, progress })))
    }

    /// The server's next word; a stream is opened first where none is.
    async fn heard(&mut self) -> Result<ReplyEvent, Failure> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                sleep(std::mem::take(&mut self.pause)).await;
                let stream = self.open().await?;
                self.reached = true;
                self.transcript.begin_stream();
                stream
            }
        };
        let interrupted = self.interrupted.take();
        let deadline = match interrupted {
            Some(_) => self.deadline.min(Instant::now() + LAST_WORD_WITHIN),
            None => self.deadline,
        };
        let event = match &mut stream {
            Stream::Asked(stream) => {
                let answer = self.connection.next_piece(stream, deadline).await;
                answer.map(|answer| answer.map(|answer| answer.event.unwrap_or_default()))
            }
            Stream::Attached(stream) => {
                let answer = self.connection.next_piece(stream, deadline).await;
                answer.map(|answer| answer.map(|answer| answer.event.unwrap_or_default()))
            }
        };
        self.stream = Some(stream);
        match (event, interrupted) {
            (Ok(Some(event)), None) => Ok(event),
            (Ok(None), None) => Err(Fault::NoEnding.into()),
            (Err(failure), None) => Err(failure),
            (Err(failure @ Failure::Status(_)), Some(_)) => Err(failure),
            (_, Some(interrupted)) => Err(Failure::NoAnswer(Box::new(interrupted))),
        }
    }

    async fn open(&self) -> Result<Stream, Failure> {
        let connection = &self.connection;
        let Some(reply_id) = self.transcript.reply_id() else {
            let ask = async |request| connection.replies().stream_reply(request).await;
            let stream = connection.open(self.ask.clone(), self.deadline, ask).await?;
            return Ok(Stream::Asked(stream));
        };
        let request = AttachReplyRequest {
            reply_id: reply_id.to_owned(),
            attempt: self.transcript.attempt(),
            // Memory holds it, so the number does.
            after_offset: i64::try_from(self.transcript.text().len()).unwrap_or(i64::MAX),
        };
        let attach = async |request| connection.replies().attach_reply(request).await;
        Ok(Stream::Attached(connection.open(request, self.deadline, attach).await?))
    }

    /// Whether another try may find more.
    fn may_pass(&self, failure: &Failure) -> bool {
        match failure {
            // The time is for the whole of it; someone in between may have less patience.
            Failure::TimedOut => Instant::now() + Duration::from_secs(1) < self.deadline,
            Failure::NoAnswer(_) | Failure::Stream(_) => true,
            failure if self.transcript.reply_id().is_some() => failure.is_passing(),
            failure => failure.is_away(),
        }
    }
}

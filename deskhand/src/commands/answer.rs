//! An answer of the assistant, shown as it is written, however often it breaks off on its way.

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use deskhand_proto::replies::v1::{CancelReplyRequest, StreamReplyResponse, Usage};
use deskhand_proto::tickets::v1::Message;

use crate::connection::{Connection, new_request_id};
use crate::ending::Ending;
use crate::failure::Failure;
use crate::follow::{Follow, News};
use crate::interrupt::Interrupts;
use crate::output::Output;
use crate::transcript::Progress;

/// An answer that is whole.
pub(crate) struct Answer {
    pub(crate) reply_id: String,
    pub(crate) text: String,
    /// The message that was posted; a draft has none.
    pub(crate) message: Option<Message>,
    /// From asking to the first piece of text.
    pub(crate) first_text_after: Option<Duration>,
    /// Other text, which is void, stands before it in what was written for programs.
    pub(crate) after_void: bool,
}

/// Writes an answer as it comes, or at its end where `whole` is asked for.
pub(super) async fn show(mut follow: Follow, whole: bool, output: &mut Output) -> Result<Answer, Failure> {
    let mut page = Page::new(whole, output);
    let asked = Instant::now();
    loop {
        let news = follow.next().await;
        if let Some(end) = page.take_in(news, &follow, asked)? {
            return page.finish(end, follow);
        }
    }
}

/// The same; at the first Ctrl-C the reply is cancelled, and at the second one it is left.
pub(super) async fn show_until_stopped(
    mut follow: Follow,
    whole: bool,
    connection: &Connection,
    stop: &mut Interrupts,
    output: &mut Output,
) -> Result<Answer, Failure> {
    let mut page = Page::new(whole, output);
    let mut cancel = Cancel::new(connection);
    let asked = Instant::now();
    loop {
        let reply_id = follow.transcript().reply_id().map(str::to_owned);
        cancel.begin(reply_id.as_deref());
        let news = {
            let mut next = pin!(follow.next());
            loop {
                tokio::select! {
                    news = &mut next => break news,
                    () = stop.next() => {
                        if std::mem::replace(&mut cancel.wanted, true) {
                            page.leave();
                            page.say_where_it_is(reply_id.as_deref());
                            return Err(Failure::Interrupted);
                        }
                        page.aside("stopping the answer; Ctrl-C once more leaves");
                        cancel.begin(reply_id.as_deref());
                    }
                    why = cancel.failed() => page.aside(&format!("it could not be stopped: {why}")),
                }
            }
        };
        if let Some(end) = page.take_in(news, &follow, asked)? {
            return page.finish(end, follow);
        }
    }
}

type Asked<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// A wish that a reply be cancelled.
struct Cancel<'a> {
    connection: &'a Connection,
    wanted: bool,
    /// It was done, or came too late.
    done: bool,
    under_way: Option<Asked<'a>>,
    /// The same for every try.
    request_id: String,
}

impl<'a> Cancel<'a> {
    fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            wanted: false,
            done: false,
            under_way: None,
            request_id: new_request_id(),
        }
    }

    /// Asks for it, where it is wanted and known which reply it is.
    fn begin(&mut self, reply_id: Option<&str>) {
        let (true, None, Some(reply_id)) = (self.wanted && !self.done, &self.under_way, reply_id) else {
            return;
        };
        let request = CancelReplyRequest {
            reply_id: reply_id.to_owned(),
            request_id: self.request_id.clone(),
        };
        let connection = self.connection;
        self.under_way = Some(Box::pin(async move {
            let cancel = async |request| connection.replies().cancel_reply(request).await;
            connection.change(request, cancel).await.map(|_| ())
        }));
    }

    /// Done when it was asked for in vain. How the reply ends is told by its stream.
    async fn failed(&mut self) -> Failure {
        if let Some(under_way) = &mut self.under_way {
            let outcome = under_way.await;
            self.under_way = None;
            match outcome {
                // It is asked for again with the reply's next sign of life.
                Err(failure) if failure.reason() != Some("REPLY_ENDED") => return failure,
                _ => self.done = true,
            }
        }
        std::future::pending().await
    }
}

/// How an answer ended, where it is one.
struct Whole {
    message: Option<Message>,
    usage: Option<Usage>,
}

/// Where the answer is written to.
struct Page<'a> {
    output: &'a mut Output,
    whole: bool,
    /// Some of the answer stands there,
    shown: bool,
    /// and its line is not ended.
    dirty: bool,
    after_void: bool,
    /// It was said that it broke off.
    broken: bool,
    first_text_after: Option<Duration>,
}

impl<'a> Page<'a> {
    fn new(whole: bool, output: &'a mut Output) -> Self {
        output.note("the assistant is writing…");
        Self {
            output,
            whole,
            shown: false,
            dirty: false,
            after_void: false,
            broken: false,
            first_text_after: None,
        }
    }

    /// Shows what is new; how the answer ended, once it has.
    fn take_in(
        &mut self,
        news: Result<News, Failure>,
        follow: &Follow,
        asked: Instant,
    ) -> Result<Option<Whole>, Failure> {
        let (event, progress) = match news {
            Ok(News::Told(told)) => (told.event, told.progress),
            Ok(News::Broken(why)) => {
                if !std::mem::replace(&mut self.broken, true) {
                    let then = match follow.transcript().reply_id() {
                        Some(_) => "the answer broke off; waiting for the server, to go on where it was",
                        None => "waiting for the server, to ask it again",
                    };
                    self.aside(&format!("{then}: {why}"));
                }
                return Ok(None);
            }
            Ok(News::Void) => {
                self.void()?;
                return Ok(None);
            }
            Err(failure) => {
                self.leave();
                if failure.is_passing() || matches!(failure, Failure::NoAnswer(_) | Failure::Stream(_)) {
                    self.say_where_it_is(follow.transcript().reply_id());
                }
                return Err(failure);
            }
        };
        if self.output.is_json() {
            let answer = StreamReplyResponse { event: Some(event) };
            self.output
                .document("deskhand.replies.v1.StreamReplyResponse", &answer)?;
        }
        match progress {
            Progress::Text(text) => {
                self.first_text_after.get_or_insert_with(|| asked.elapsed());
                self.broken = false;
                self.write(&text)?;
            }
            Progress::Restarted => self.void()?,
            Progress::Started | Progress::Nothing => {}
            Progress::Ended(Ending::Completed { message, usage }) => {
                let message = Some(message);
                return Ok(Some(Whole { message, usage }));
            }
            Progress::Ended(Ending::Drafted { usage }) => return Ok(Some(Whole { message: None, usage })),
            Progress::Ended(ending) => {
                self.leave();
                return Err(Failure::NoAnswer(Box::new(ending)));
            }
        }
        Ok(None)
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        if !self.whole && !self.output.is_json() {
            (self.shown, self.dirty) = (true, true);
            self.output.piece(text)?;
        }
        Ok(())
    }

    /// What was written is void. Where it cannot be said on the side, it is said in a line of its own.
    fn void(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.shown) {
            return Ok(());
        }
        self.leave();
        if self.output.is_read_by_a_person() {
            self.output.step("the assistant began anew; the text above is void");
            return Ok(());
        }
        self.after_void = true;
        self.output.line("[the assistant began anew; the text above is void]")
    }

    /// Says something on the side, without a mark in what programs read.
    fn aside(&mut self, line: &str) {
        if self.output.is_read_by_a_person() {
            self.leave();
        }
        self.output.step(line);
    }

    /// The reply does not end with its listener.
    fn say_where_it_is(&mut self, reply_id: Option<&str>) {
        if let Some(reply_id) = reply_id {
            self.output
                .step(&format!("go on with it by: deskhand reply --attach {reply_id}"));
        }
    }

    fn finish(self, end: Whole, follow: Follow) -> Result<Answer, Failure> {
        let reply_id = follow.transcript().reply_id().unwrap_or_default().to_owned();
        let text = follow.into_text();
        if !self.output.is_json() {
            if self.whole {
                self.output.piece(&text)?;
            }
            if (self.dirty || !self.shown) && !text.ends_with('\n') {
                self.output.piece("\n")?;
            }
        }
        self.output.note(&remark(end.message.is_some(), end.usage.as_ref()));
        Ok(Answer {
            reply_id,
            text,
            message: end.message,
            first_text_after: self.first_text_after,
            after_void: self.after_void,
        })
    }

    /// Ends the line, so that what is said on the side stands on one of its own.
    fn leave(&mut self) {
        if std::mem::take(&mut self.dirty) {
            let _ = self.output.piece("\n");
        }
    }
}

fn remark(posted: bool, usage: Option<&Usage>) -> String {
    let fate = if posted {
        "posted"
    } else {
        "kept as a draft, not posted"
    };
    match usage {
        Some(usage) => format!("{fate}; {}", cost(usage)),
        None => fate.to_owned(),
    }
}

/// What a reply cost, in words.
pub(super) fn cost(usage: &Usage) -> String {
    let Usage {
        model,
        input_tokens,
        output_tokens,
        ..
    } = usage;
    format!("{model}, {input_tokens} tokens in, {output_tokens} out")
}

//! The text of a reply as its streams tell it, held against the rules that the contract sets for streams.

use deskhand_proto::replies::v1::ReplyEvent;
use deskhand_proto::replies::v1::reply_event::{Delta, Event, Failed, Started};

use crate::ending::Ending;

/// What has come so far.
#[derive(Default)]
pub(crate) struct Transcript {
    /// The reply that it is of; empty where that is not known yet.
    reply_id: String,
    /// The attempt that `text` is of; 0 before the first `started`.
    attempt: i32,
    text: String,
    /// Where the stream at hand stands.
    stage: Stage,
}

#[derive(Default, PartialEq)]
enum Stage {
    #[default]
    New,
    /// It started with a newer attempt than the text was of, which `restarted` may say once more.
    Moved,
    Started,
}

/// What an event meant.
#[derive(Debug, PartialEq)]
pub(crate) enum Progress {
    Started,
    /// The answer grew by this.
    Text(String),
    /// All text so far is void.
    Restarted,
    /// Nothing more will come.
    Ended(Ending),
    /// Nothing; also an event of a kind that this client does not know.
    Nothing,
}

/// How a stream broke the rules.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("text came before the reply was said to have started")]
    NotStarted,
    #[error("the reply was said to have started twice")]
    StartedTwice,
    #[error("it is of another reply")]
    OtherReply,
    #[error("a gap: text of offset {offset} came where {expected} was next")]
    Gap { expected: usize, offset: i64 },
    #[error("an overlap: text of offset {offset} came where {expected} was next")]
    Overlap { expected: usize, offset: i64 },
    #[error("text of attempt {got} came during attempt {current}")]
    OtherAttempt { current: i32, got: i32 },
    #[error("attempt {got} was said to follow attempt {current}")]
    AttemptNotNewer { current: i32, got: i32 },
    #[error("it was said to be complete without the message that was posted")]
    NoMessage,
    #[error("the message that was posted is not what was streamed")]
    OtherText,
    #[error("it ended without saying how the reply ended")]
    NoEnding,
}

impl Transcript {
    /// Of a reply that is known, and nothing of its text.
    pub(crate) fn of(reply_id: String) -> Self {
        Self {
            reply_id,
            ..Self::default()
        }
    }

    /// The reply that it is of, once that is known.
    pub(crate) fn reply_id(&self) -> Option<&str> {
        (!self.reply_id.is_empty()).then_some(&self.reply_id)
    }

    /// The attempt that the text is of; 0 before there is one.
    pub(crate) fn attempt(&self) -> i32 {
        self.attempt
    }

    /// The current attempt's text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// What comes next is of another stream, which goes on after the text that there is.
    pub(crate) fn begin_stream(&mut self) {
        self.stage = Stage::New;
    }

    /// Forgets all text: the reply is to be told from its beginning.
    pub(crate) fn forget(&mut self) {
        *self = Self::of(std::mem::take(&mut self.reply_id));
    }

    /// Takes the next event in.
    pub(crate) fn accept(&mut self, event: ReplyEvent) -> Result<Progress, Fault> {
        let Some(event) = event.event else {
            return Ok(Progress::Nothing);
        };
        if let Event::Started(started) = event {
            return self.start(started);
        }
        if self.stage == Stage::New {
            return Err(Fault::NotStarted);
        }
        let moved = std::mem::replace(&mut self.stage, Stage::Started) == Stage::Moved;
        let current = self.attempt;
        match event {
            Event::Started(_) => Err(Fault::StartedTwice),
            Event::Delta(delta) => self.grow(current, delta),
            Event::Restarted(restarted) if moved && restarted.attempt == current => Ok(Progress::Nothing),
            Event::Restarted(restarted) => {
                if restarted.attempt <= current {
                    return Err(Fault::AttemptNotNewer {
                        current,
                        got: restarted.attempt,
                    });
                }
                self.attempt = restarted.attempt;
                self.text.clear();
                Ok(Progress::Restarted)
            }
            Event::Completed(completed) => {
                let message = completed.message.ok_or(Fault::NoMessage)?;
                if message.body != self.text {
                    return Err(Fault::OtherText);
                }
                Ok(Progress::Ended(Ending::Completed {
                    message,
                    usage: completed.usage,
                }))
            }
            Event::Drafted(drafted) => Ok(Progress::Ended(Ending::Drafted { usage: drafted.usage })),
            Event::Failed(Failed { reason, message, .. }) => Ok(Progress::Ended(Ending::Failed { reason, message })),
            Event::Superseded(_) => Ok(Progress::Ended(Ending::Superseded)),
            Event::Cancelled(_) => Ok(Progress::Ended(Ending::Cancelled)),
            Event::HandedOff(handed_off) => Ok(Progress::Ended(Ending::HandedOff { why: handed_off.why })),
            Event::Interrupted(interrupted) => Ok(Progress::Ended(Ending::Interrupted {
                reason: interrupted.reason,
            })),
        }
    }

    fn start(&mut self, Started { reply_id, attempt }: Started) -> Result<Progress, Fault> {
        if self.stage != Stage::New {
            return Err(Fault::StartedTwice);
        }
        if !self.reply_id.is_empty() && self.reply_id != reply_id {
            return Err(Fault::OtherReply);
        }
        self.reply_id = reply_id;
        let current = self.attempt;
        // A server that stops may not know of the newest one; its text would be refused.
        self.attempt = attempt.max(current);
        if current == 0 || attempt <= current {
            self.stage = Stage::Started;
            return Ok(Progress::Started);
        }
        self.stage = Stage::Moved;
        self.text.clear();
        Ok(Progress::Restarted)
    }

    fn grow(&mut self, current: i32, Delta { attempt, offset, text }: Delta) -> Result<Progress, Fault> {
        if attempt != current {
            return Err(Fault::OtherAttempt { current, got: attempt });
        }
        let expected = self.text.len();
        match usize::try_from(offset) {
            Ok(offset) if offset == expected => {}
            Ok(beyond) if beyond > expected => return Err(Fault::Gap { expected, offset }),
            _ => return Err(Fault::Overlap { expected, offset }),
        }
        self.text.push_str(&text);
        Ok(Progress::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use deskhand_proto::replies::v1::reply_event::{Completed, Restarted};
    use deskhand_proto::tickets::v1::Message;

    use super::*;

    fn feed(transcript: &mut Transcript, event: Event) -> Result<Progress, Fault> {
        transcript.accept(ReplyEvent { event: Some(event) })
    }

    fn start(attempt: i32) -> Event {
        Event::Started(Started {
            reply_id: "r".to_owned(),
            attempt,
        })
    }

    fn started() -> Transcript {
        let mut transcript = Transcript::default();
        feed(&mut transcript, start(1)).unwrap();
        transcript
    }

    fn delta(attempt: i32, offset: i64, text: &str) -> Event {
        Event::Delta(Delta {
            attempt,
            offset,
            text: text.to_owned(),
        })
    }

    fn completed(body: &str) -> Event {
        let message = Message {
            body: body.to_owned(),
            ..Message::default()
        };
        Event::Completed(Completed {
            message: Some(message),
            usage: None,
        })
    }

    #[test]
    fn offsets_count_bytes() {
        let mut transcript = started();
        for (offset, text) in [(0, "Grüße"), (7, " 👋"), (12, "!")] {
            assert_eq!(
                feed(&mut transcript, delta(1, offset, text)),
                Ok(Progress::Text(text.to_owned()))
            );
        }
        assert_eq!(transcript.text(), "Grüße 👋!");
        assert!(matches!(
            feed(&mut transcript, completed("Grüße 👋!")),
            Ok(Progress::Ended(Ending::Completed { .. }))
        ));
    }

    #[test]
    fn gaps_and_overlaps_are_faults() {
        let expected = 3;
        for (offset, fault) in [
            (4, Fault::Gap { expected, offset: 4 }),
            (
                i64::MAX,
                Fault::Gap {
                    expected,
                    offset: i64::MAX,
                },
            ),
            (2, Fault::Overlap { expected, offset: 2 }),
            (0, Fault::Overlap { expected, offset: 0 }),
            (-1, Fault::Overlap { expected, offset: -1 }),
        ] {
            let mut transcript = started();
            feed(&mut transcript, delta(1, 0, "abc")).unwrap();
            assert_eq!(feed(&mut transcript, delta(1, offset, "d")), Err(fault));
            assert_eq!(transcript.text(), "abc");
        }
    }

    #[test]
    fn the_first_text_begins_at_zero() {
        assert_eq!(
            feed(&mut started(), delta(1, 5, "late")),
            Err(Fault::Gap { expected: 0, offset: 5 })
        );
    }

    #[test]
    fn texts_of_two_attempts_are_never_joined() {
        let mut transcript = started();
        feed(&mut transcript, delta(1, 0, "old")).unwrap();
        assert_eq!(
            feed(&mut transcript, delta(2, 3, "new")),
            Err(Fault::OtherAttempt { current: 1, got: 2 })
        );
        assert_eq!(
            feed(&mut transcript, Event::Restarted(Restarted { attempt: 3 })),
            Ok(Progress::Restarted)
        );
        assert_eq!(
            feed(&mut transcript, delta(1, 0, "old")),
            Err(Fault::OtherAttempt { current: 3, got: 1 })
        );
        feed(&mut transcript, delta(3, 0, "new")).unwrap();
        assert_eq!(transcript.text(), "new");
        let again = Event::Restarted(Restarted { attempt: 3 });
        assert_eq!(
            feed(&mut transcript, again),
            Err(Fault::AttemptNotNewer { current: 3, got: 3 })
        );
    }

    #[test]
    fn a_stream_starts_once_and_first() {
        assert_eq!(
            feed(&mut Transcript::default(), delta(1, 0, "a")),
            Err(Fault::NotStarted)
        );
        assert_eq!(feed(&mut Transcript::default(), completed("")), Err(Fault::NotStarted));
        assert_eq!(feed(&mut started(), start(1)), Err(Fault::StartedTwice));
    }

    #[test]
    fn another_stream_goes_on_where_the_last_one_was() {
        let mut transcript = started();
        feed(&mut transcript, delta(1, 0, "Grü")).unwrap();
        transcript.begin_stream();
        assert_eq!(
            feed(&mut transcript, delta(1, 4, "ße")),
            Err(Fault::NotStarted),
            "it starts too"
        );
        assert_eq!(feed(&mut transcript, start(1)), Ok(Progress::Started));
        assert_eq!(
            feed(&mut transcript, delta(1, 0, "Grü")),
            Err(Fault::Overlap { expected: 4, offset: 0 })
        );
        feed(&mut transcript, delta(1, 4, "ße")).unwrap();
        assert_eq!((transcript.text(), transcript.attempt()), ("Grüße", 1));

        transcript.begin_stream();
        let other = Event::Started(Started {
            reply_id: "s".to_owned(),
            attempt: 1,
        });
        assert_eq!(feed(&mut transcript, other), Err(Fault::OtherReply));
    }

    #[test]
    fn another_stream_may_be_of_a_newer_attempt() {
        for told_again in [true, false] {
            let mut transcript = started();
            feed(&mut transcript, delta(1, 0, "old")).unwrap();
            transcript.begin_stream();
            assert_eq!(feed(&mut transcript, start(2)), Ok(Progress::Restarted));
            assert_eq!(transcript.text(), "");
            let restarted = || Event::Restarted(Restarted { attempt: 2 });
            if told_again {
                assert_eq!(feed(&mut transcript, restarted()), Ok(Progress::Nothing));
            }
            feed(&mut transcript, delta(2, 0, "new")).unwrap();
            assert_eq!(
                feed(&mut transcript, restarted()),
                Err(Fault::AttemptNotNewer { current: 2, got: 2 })
            );
            transcript.begin_stream();
            assert_eq!(feed(&mut transcript, start(1)), Ok(Progress::Started));
            assert_eq!(
                feed(&mut transcript, delta(1, 3, "er")),
                Err(Fault::OtherAttempt { current: 2, got: 1 })
            );
            assert_eq!(transcript.text(), "new");
        }
    }

    #[test]
    fn what_is_forgotten_is_told_from_the_beginning() {
        let mut transcript = started();
        feed(&mut transcript, delta(1, 0, "old")).unwrap();
        transcript.forget();
        assert_eq!((transcript.reply_id(), transcript.attempt()), (Some("r"), 0));
        assert_eq!(feed(&mut transcript, start(1)), Ok(Progress::Started));
        feed(&mut transcript, delta(1, 0, "new")).unwrap();
        assert_eq!(transcript.text(), "new");
    }

    #[test]
    fn what_is_posted_is_what_was_streamed() {
        let mut transcript = started();
        feed(&mut transcript, delta(1, 0, "abc")).unwrap();
        assert_eq!(feed(&mut transcript, completed("abcd")), Err(Fault::OtherText));
        let bare = Event::Completed(Completed::default());
        assert_eq!(feed(&mut transcript, bare), Err(Fault::NoMessage));
    }

    #[test]
    fn kinds_that_are_not_known_are_passed_over() {
        assert_eq!(started().accept(ReplyEvent { event: None }), Ok(Progress::Nothing));
    }
}

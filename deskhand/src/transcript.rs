//! The text of a reply as its stream tells it, held against the rules that the contract sets for streams.

use deskhand_proto::replies::v1::reply_event::{Delta, Event, Failed};
use deskhand_proto::replies::v1::{FailureReason, ReplyEvent, Usage};
use deskhand_proto::tickets::v1::Message;

/// What has come so far.
#[derive(Default)]
pub(crate) struct Transcript {
    /// The attempt that `text` is of; `None` before `started`.
    attempt: Option<i32>,
    text: String,
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
    /// An event of a kind that this client does not know.
    Unknown,
}

/// How a stream ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Ending {
    Completed { message: Message, usage: Option<Usage> },
    Drafted { usage: Option<Usage> },
    Failed { reason: i32, message: String },
    Superseded,
    Cancelled,
    HandedOff { why: String },
    Interrupted { reason: String },
}

/// How a stream broke the rules.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("text came before the reply was said to have started")]
    NotStarted,
    #[error("the reply was said to have started twice")]
    StartedTwice,
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
    /// The current attempt's text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Takes the next event in.
    pub(crate) fn accept(&mut self, event: ReplyEvent) -> Result<Progress, Fault> {
        let Some(event) = event.event else {
            return Ok(Progress::Unknown);
        };
        if let Event::Started(started) = event {
            if self.attempt.replace(started.attempt).is_some() {
                return Err(Fault::StartedTwice);
            }
            return Ok(Progress::Started);
        }
        let current = self.attempt.ok_or(Fault::NotStarted)?;
        match event {
            Event::Started(_) => Err(Fault::StartedTwice),
            Event::Delta(delta) => self.grow(current, delta),
            Event::Restarted(restarted) => {
                if restarted.attempt <= current {
                    return Err(Fault::AttemptNotNewer {
                        current,
                        got: restarted.attempt,
                    });
                }
                self.attempt = Some(restarted.attempt);
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

impl Ending {
    /// For people. Of endings without an answer; the others are told by the command.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Completed { .. } => "the answer is whole and posted".to_owned(),
            Self::Drafted { .. } => "the answer is whole and kept as a draft".to_owned(),
            Self::Failed { message, .. } if message.is_empty() => "the reply failed".to_owned(),
            Self::Failed { message, .. } => format!("the reply failed: {message}"),
            Self::Superseded => "something newer stands in the ticket: no answer was posted".to_owned(),
            Self::Cancelled => "the reply was cancelled: no answer was posted".to_owned(),
            Self::HandedOff { why } => format!("the assistant left the ticket to a person: {why}"),
            Self::Interrupted { .. } => {
                "the stream was interrupted; the reply goes on, and `deskhand ticket show` has it when it is posted"
                    .to_owned()
            }
        }
    }

    /// For programs.
    pub(crate) fn reason(&self) -> Option<String> {
        match self {
            Self::Failed { reason, .. } => Some(match FailureReason::try_from(*reason) {
                Ok(known) => known.as_str_name().trim_start_matches("FAILURE_REASON_").to_owned(),
                Err(_) => reason.to_string(),
            }),
            Self::Interrupted { reason } => Some(reason.clone()),
            Self::Superseded => Some("SUPERSEDED".to_owned()),
            Self::Cancelled => Some("CANCELLED".to_owned()),
            Self::HandedOff { .. } => Some("HANDED_OFF".to_owned()),
            Self::Completed { .. } | Self::Drafted { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use deskhand_proto::replies::v1::reply_event::{Completed, Restarted, Started};

    use super::*;

    fn feed(transcript: &mut Transcript, event: Event) -> Result<Progress, Fault> {
        transcript.accept(ReplyEvent { event: Some(event) })
    }

    fn started() -> Transcript {
        let mut transcript = Transcript::default();
        feed(
            &mut transcript,
            Event::Started(Started {
                reply_id: "r".to_owned(),
                attempt: 1,
            }),
        )
        .unwrap();
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
        let again = Event::Started(Started {
            reply_id: "r".to_owned(),
            attempt: 1,
        });
        assert_eq!(feed(&mut started(), again), Err(Fault::StartedTwice));
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
        assert_eq!(started().accept(ReplyEvent { event: None }), Ok(Progress::Unknown));
    }

    #[test]
    fn reasons_are_told_without_their_prefix() {
        let failed = |reason| {
            Ending::Failed {
                reason,
                message: String::new(),
            }
            .reason()
            .unwrap()
        };
        assert_eq!(
            failed(FailureReason::UpstreamRateLimited as i32),
            "UPSTREAM_RATE_LIMITED"
        );
        assert_eq!(failed(4711), "4711");
    }
}

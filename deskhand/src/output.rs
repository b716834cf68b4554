//! Everything that is written: answers to standard output, the rest to standard error.

use std::fmt::Display;
use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::{AnsiColor, Style};
use deskhand_proto::FILE_DESCRIPTOR_SET;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

use crate::failure::Failure;
use crate::text;

/// The two streams of a command, and how to write to them.
pub(crate) struct Output {
    out: Stream,
    err: Stream,
    json: bool,
    /// What JSON is made with, once it has been.
    contracts: Option<DescriptorPool>,
}

struct Stream {
    to: Box<dyn Write>,
    terminal: bool,
    colour: bool,
}

impl Stream {
    fn of<S: Write + anstream::stream::RawStream + 'static>(to: S) -> Self {
        let terminal = to.is_terminal();
        let colour = terminal && AutoStream::choice(&to) != ColorChoice::Never;
        Self {
            to: Box::new(to),
            terminal,
            colour,
        }
    }

    fn line(&mut self, style: Style, text: &str) -> io::Result<()> {
        let style = if self.colour { style } else { Style::new() };
        writeln!(self.to, "{style}{text}{style:#}")?;
        self.to.flush()
    }
}

impl Output {
    /// This process's own streams.
    pub(crate) fn standard(json: bool) -> Self {
        Self {
            out: Stream::of(io::stdout()),
            err: Stream::of(io::stderr()),
            json,
            contracts: None,
        }
    }

    /// Nobody's streams.
    #[cfg(test)]
    pub(crate) fn nowhere(json: bool) -> Self {
        let stream = || Stream {
            to: Box::new(io::sink()),
            terminal: false,
            colour: false,
        };
        Self {
            out: stream(),
            err: stream(),
            json,
            contracts: None,
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes a line of text for people.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        Ok(self.out.line(Style::new(), &text::visible(line))?)
    }

    /// Writes a line that stands out on a terminal.
    pub(crate) fn heading(&mut self, line: &str) -> Result<(), Failure> {
        Ok(self.out.line(Style::new().bold(), &text::visible(line))?)
    }

    /// Empties a terminal, where it takes more than plain text.
    pub(crate) fn new_screen(&mut self) -> Result<(), Failure> {
        if self.out.colour {
            self.out.to.write_all(b"\x1b[H\x1b[2J")?;
        }
        Ok(())
    }

    /// Writes a piece of an answer at once: as it is, but made harmless for a terminal.
    pub(crate) fn piece(&mut self, piece: &str) -> Result<(), Failure> {
        let harmless = if self.out.terminal {
            text::visible(piece)
        } else {
            piece.into()
        };
        self.out.to.write_all(harmless.as_bytes())?;
        Ok(self.out.to.flush()?)
    }

    /// Whether what was written to standard output can still be taken back by those who read it.
    pub(crate) fn is_read_by_a_person(&self) -> bool {
        self.out.terminal
    }

    /// Writes a message of the contracts as a line of JSON.
    pub(crate) fn document(&mut self, name: &str, message: &impl prost::Message) -> Result<(), Failure> {
        let document = self.json_of(name, message)?;
        self.value(&document)
    }

    /// Writes any line of JSON.
    pub(crate) fn value(&mut self, document: &Value) -> Result<(), Failure> {
        Ok(self
            .out
            .line(Style::new(), &text::visible_json(&document.to_string()))?)
    }

    /// A message of the contracts in the protobuf JSON mapping, with the field names of the contracts and all fields.
    pub(crate) fn json_of(&mut self, name: &str, message: &impl prost::Message) -> Result<Value, Failure> {
        const OPTIONS: SerializeOptions = SerializeOptions::new()
            .use_proto_field_name(true)
            .skip_default_fields(false);
        let wrong = |why: &dyn Display| Failure::Local(format!("cannot write {name} as JSON: {why}"));
        let contracts = match self.contracts.take() {
            Some(contracts) => contracts,
            None => DescriptorPool::decode(FILE_DESCRIPTOR_SET).map_err(|error| wrong(&error))?,
        };
        let descriptor = self.contracts.insert(contracts).get_message_by_name(name);
        let mut dynamic = DynamicMessage::new(descriptor.ok_or_else(|| wrong(&"it is not in the contracts"))?);
        dynamic.transcode_from(message).map_err(|error| wrong(&error))?;
        dynamic
            .serialize_with_options(serde_json::value::Serializer, &OPTIONS)
            .map_err(|error| wrong(&error))
    }

    /// Says on the side what a person may want to know; programs are spared it.
    pub(crate) fn note(&mut self, note: &str) {
        if self.err.terminal && !self.is_json() {
            self.aside(Style::new().dimmed(), note);
        }
    }

    /// Asks for a line, where someone is there to see it.
    pub(crate) fn prompt(&mut self, prompt: &str) {
        if self.err.terminal && !self.is_json() {
            let _ = self.err.to.write_all(prompt.as_bytes());
            let _ = self.err.to.flush();
        }
    }

    /// Says on the side what happened.
    pub(crate) fn step(&mut self, step: &str) {
        if !self.is_json() {
            self.aside(AnsiColor::Cyan.on_default(), step);
        }
    }

    /// Says on the side what went wrong.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        if failure.is_broken_pipe() {
            return;
        }
        let report = failure.report();
        if self.is_json() {
            let document = serde_json::json!({ "error": report }).to_string();
            let _ = self.err.line(Style::new(), &text::visible_json(&document));
            return;
        }
        let sentence = format!("deskhand: {}", text::visible(&report.sentence).replace('\n', "\n  "));
        let _ = self.err.line(AnsiColor::Red.on_default().bold(), &sentence);
        let reason = report.reason.map(|reason| format!("reason: {reason}"));
        let violations = report.field_violations.iter().map(|violation| violation.line());
        for detail in reason.into_iter().chain(violations).chain(report.hint) {
            self.aside(Style::new(), &format!("  {detail}"));
        }
    }

    /// Nobody is told when standard error is gone.
    fn aside(&mut self, style: Style, line: &str) {
        let _ = self.err.line(style, &text::visible_line(line));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use deskhand_proto::replies::v1::reply_event::{Delta, Event};
    use deskhand_proto::replies::v1::{ReplyEvent, StreamReplyResponse};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Rc<RefCell<Vec<u8>>>);

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn output(terminal: bool, json: bool) -> (Output, Written, Written) {
        let (out, err) = (Written::default(), Written::default());
        let stream = |to: &Written| Stream {
            to: Box::new(to.clone()),
            terminal,
            colour: terminal,
        };
        (
            Output {
                out: stream(&out),
                err: stream(&err),
                json,
                contracts: None,
            },
            out,
            err,
        )
    }

    #[test]
    fn an_answer_is_made_harmless_for_a_terminal_only() {
        let (mut terminal, out, _) = output(true, false);
        terminal.piece("a\x1b[2Jb").unwrap();
        assert_eq!(out.text(), "a\\u{1b}[2Jb");
        let (mut pipe, out, _) = output(false, false);
        pipe.piece("a\x1b[2Jb").unwrap();
        assert_eq!(out.text(), "a\x1b[2Jb");
    }

    #[test]
    fn notes_and_colour_are_for_terminals() {
        let (mut terminal, _, err) = output(true, false);
        terminal.note("hello");
        assert!(err.text().contains("hello") && err.text().contains('\x1b'));
        let (mut pipe, out, err) = output(false, false);
        pipe.note("hello");
        pipe.step("did it");
        pipe.heading("title").unwrap();
        assert_eq!((out.text().as_str(), err.text().as_str()), ("title\n", "did it\n"));
    }

    #[test]
    fn documents_are_one_line_with_every_field() {
        let (mut json, out, err) = output(false, true);
        let delta = Delta {
            attempt: 1,
            offset: 0,
            text: "a\n\u{9b}2J".to_owned(),
        };
        let message = StreamReplyResponse {
            event: Some(ReplyEvent {
                event: Some(Event::Delta(delta)),
            }),
        };
        json.document("deskhand.replies.v1.StreamReplyResponse", &message)
            .unwrap();
        json.step("did it");
        let line = out.text();
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.contains(r"\u009b"), "{line}");
        let parsed: Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({"event": {"delta": {"attempt": 1, "offset": "0", "text": "a\n\u{9b}2J"}}});
        assert_eq!(parsed, expected);
        assert_eq!(err.text(), "");
    }

    #[test]
    fn a_failure_is_a_sentence_and_its_details() {
        let (mut pipe, out, err) = output(false, false);
        pipe.failure(&Failure::NotLoggedIn("you are\nnot logged in".to_owned()));
        assert_eq!(
            err.text(),
            "deskhand: you are\n  not logged in\n  log in with: deskhand login --email ADDRESS\n"
        );
        assert_eq!(out.text(), "");
        let (mut json, _, err) = output(false, true);
        json.failure(&Failure::Usage("no".to_owned()));
        let parsed: Value = serde_json::from_str(&err.text()).unwrap();
        assert_eq!(parsed, serde_json::json!({"error": {"sentence": "no", "exit_code": 2}}));
    }
}

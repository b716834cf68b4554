//! Server-sent events out of bytes that arrive in any pieces.
//!
//! Follows the event stream format of the HTML standard: lines end in LF, CRLF or CR; `data` lines of one event are
//! joined by LF; comments and unknown fields say nothing; what stands after the last empty line is no event. Nothing is
//! decoded here: an event's bytes are whole when they are handed on, wherever the network cut them.

/// The longest line, and the most data of one event, in bytes. What the provider sends is about 400 bytes an event.
pub const MAX_BYTES: usize = 1024 * 1024;

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event` field; empty where there was none.
    pub name: &'a [u8],
    /// The `data` lines, joined by LF.
    pub data: &'a [u8],
}

/// A line or an event is longer than [`MAX_BYTES`]. It was not kept, and the parser takes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {MAX_BYTES} bytes")]
pub struct TooLong;

/// Turns pieces of a stream into events.
#[derive(Debug, Default)]
pub struct Parser {
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was CR: an LF that follows belongs to it.
    after_cr: bool,
    /// A first line has been read, so there is no byte order mark to expect.
    begun: bool,
    refused: bool,
}

impl Parser {
    /// Takes the next bytes and hands every event that is whole now to `sink`, in order.
    ///
    /// # Errors
    /// Where a line or an event is too long; then no later call takes anything.
    pub fn push(&mut self, mut bytes: &[u8], mut sink: impl FnMut(Event<'_>)) -> Result<(), TooLong> {
        if self.refused {
            return Err(TooLong);
        }
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (piece, rest) = bytes.split_at(end);
            bytes = match rest {
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
                [] => &[],
            };
            self.keep_within(piece.len())?;
            if self.line.is_empty() {
                self.take_line(piece, &mut sink)?;
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(piece);
                self.take_line(&line, &mut sink)?;
                line.clear();
                self.line = line;
            }
        }
        self.keep_within(bytes.len())?;
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Refuses a line that would grow too long, before it is kept.
    fn keep_within(&mut self, more: usize) -> Result<(), TooLong> {
        if self.line.len() + more <= MAX_BYTES {
            return Ok(());
        }
        self.refuse()
    }

    fn refuse(&mut self) -> Result<(), TooLong> {
        *self = Self {
            refused: true,
            ..Self::default()
        };
        Err(TooLong)
    }

    fn take_line(&mut self, mut line: &[u8], sink: &mut impl FnMut(Event<'_>)) -> Result<(), TooLong> {
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(sink);
            return Ok(());
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                let (field, value) = line.split_at(colon);
                let value = value.get(1..).unwrap_or_default();
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match field {
            b"data" => {
                if self.data.len() + 1 + value.len() > MAX_BYTES {
                    return self.refuse();
                }
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            // Comments (an empty field name), `id`, `retry`, and whatever else there may be.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, sink: &mut impl FnMut(Event<'_>)) {
        if self.has_data {
            sink(Event {
                name: &self.name,
                data: &self.data,
            });
        }
        self.name.clear();
        self.data.clear();
        self.has_data = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Owned = (String, String);

    fn parse_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Owned>, TooLong> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in pieces {
            parser.push(piece, |event| {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                events.push((text(event.name), text(event.data)));
            })?;
        }
        Ok(events)
    }

    fn parse(stream: &str) -> Vec<Owned> {
        parse_pieces([stream.as_bytes()]).unwrap()
    }

    fn data(text: &str) -> Owned {
        (String::new(), text.to_owned())
    }

    #[test]
    fn lines_end_in_lf_crlf_or_cr() {
        for stream in [
            "data: a\n\ndata: b\n\n",
            "data: a\r\n\r\ndata: b\r\n\r\n",
            "data: a\r\rdata: b\r\r",
        ] {
            assert_eq!(parse(stream), [data("a"), data("b")], "{stream:?}");
        }
    }

    #[test]
    fn data_lines_are_joined_and_one_space_is_dropped() {
        assert_eq!(parse("data: a\ndata:b\ndata:  c\ndata\n\n"), [data("a\nb\n c\n")]);
    }

    #[test]
    fn comments_and_unknown_fields_say_nothing() {
        assert_eq!(
            parse(": hello\nid: 1\nretry: 5\ndata: a\nx\n:\n\n: alone\n\n"),
            [data("a")]
        );
    }

    #[test]
    fn a_name_belongs_to_its_event_only() {
        let events = parse("event: error\ndata: a\n\ndata: b\n\nevent: lost\n\ndata: c\n\n");
        assert_eq!(events, [("error".to_owned(), "a".to_owned()), data("b"), data("c")]);
    }

    #[test]
    fn the_end_of_the_stream_ends_no_event() {
        assert_eq!(parse("data: a\n\ndata: b\n"), [data("a")]);
        assert_eq!(parse("data: a\n\ndata: b"), [data("a")]);
    }

    #[test]
    fn a_byte_order_mark_is_skipped_even_when_cut() {
        let stream = b"\xef\xbb\xbfdata: a\n\n";
        assert_eq!(parse_pieces([&stream[..]]).unwrap(), [data("a")]);
        assert_eq!(parse_pieces(stream.chunks(1)).unwrap(), [data("a")]);
    }

    #[test]
    fn what_is_too_long_is_refused_and_not_kept() {
        let piece = vec![b'x'; 64 * 1024];
        let mut parser = Parser::default();
        let mut refused = false;
        for _ in 0..20 {
            refused |= parser.push(&piece, |_| {}).is_err();
            assert!(parser.line.capacity() <= 2 * MAX_BYTES);
        }
        assert!(refused);
        assert_eq!(parser.line.capacity(), 0);
        assert_eq!(
            parser.push(b"data: a\n\n", |_| panic!("nothing more is taken")),
            Err(TooLong)
        );
    }

    #[test]
    fn many_short_lines_of_one_event_are_bounded_too() {
        let line = [b"data: ".as_slice(), &vec![b'x'; 60_000], b"\n"].concat();
        let mut parser = Parser::default();
        let result = (0..20).try_for_each(|_| parser.push(&line, |_| {}));
        assert_eq!(result, Err(TooLong));
    }

    #[test]
    fn the_longest_line_that_is_allowed_passes() {
        let line = [b"data:".as_slice(), &vec![b'x'; MAX_BYTES - 5], b"\n\n"].concat();
        assert_eq!(parse_pieces(line.chunks(4096)).unwrap()[0].1.len(), MAX_BYTES - 5);
        let longer = [b"data:".as_slice(), &vec![b'x'; MAX_BYTES - 4], b"\n\n"].concat();
        assert_eq!(parse_pieces([&longer[..]]), Err(TooLong));
        assert_eq!(parse_pieces(longer.chunks(4096)), Err(TooLong));
    }

    fn streams() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            Just(String::new()),
            "[a-zäöü€🦀 ]{0,12}".prop_map(|text| format!("data: {text}")),
            "[a-z]{0,5}".prop_map(|text| format!("event:{text}")),
            "[a-z:]{0,5}".prop_map(|text| format!(":{text}")),
            "[a-z: ]{0,8}",
        ];
        let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
        prop::collection::vec((line, end), 0..24).prop_map(|lines| {
            lines
                .into_iter()
                .flat_map(|(line, end)| [line, end.to_owned()])
                .collect()
        })
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(stream in streams(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
            let bytes = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);

            let whole = parse_pieces([bytes]).unwrap();
            prop_assert_eq!(&parse_pieces(pieces).unwrap(), &whole);
            prop_assert_eq!(&parse_pieces(bytes.chunks(1)).unwrap(), &whole);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = parse_pieces([&bytes[..]]);
        }
    }
}

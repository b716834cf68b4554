//! What the provider has told of an answer so far. Pure: events in, text and a verdict out.

use super::failure::{Failure, Kind};
use super::sse::Event;
use super::wire::{self, Chunk, Fault, Usage};

/// The most of a tool's arguments that is taken, in bytes, all calls of an answer together.
const LONGEST_ARGUMENTS: usize = 64 * 1024;
/// The most calls of tools in one answer.
const MOST_CALLS: usize = 16;

/// Gathers a stream's events.
#[derive(Debug, Default)]
pub struct Answer {
    /// The provider's name for the call.
    pub upstream_id: Option<String>,
    /// What the call cost; the provider says it up to three times, and it counts once.
    pub usage: Option<Usage>,
    /// Bytes that the model wrote, reasoning and arguments included.
    pub bytes: u64,
    /// Names of the tools that the model may call.
    offered: Vec<String>,
    calls: Vec<ToolCall>,
    text: String,
    finish: Option<Finish>,
    began: bool,
    has_words: bool,
    ended: bool,
}

/// What the model wants done instead of, or beside, its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// One of those that were offered.
    pub name: String,
    /// JSON, if the model kept to it.
    pub arguments: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    Stop,
    ToolCalls,
    Length,
    ContentFilter,
    Unexpected,
}

impl Answer {
    /// An answer in which tools of these names may be called.
    pub fn offering(tools: Vec<String>) -> Self {
        Self {
            offered: tools,
            ..Self::default()
        }
    }

    /// Takes an answer that came in one piece.
    ///
    /// # Errors
    /// Where it is an error, or none of the protocol.
    pub fn take_whole(&mut self, body: &[u8]) -> Result<(), Failure> {
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(body) else {
            return Err(Failure::new(Kind::Protocol("the answer is not a completion")));
        };
        self.take_chunk(chunk)?;
        self.ended = true;
        Ok(())
    }

    /// Takes the next event of the stream.
    ///
    /// # Errors
    /// Where it says that the call failed, or is not of the protocol.
    pub fn take(&mut self, event: Event<'_>) -> Result<(), Failure> {
        if self.ended {
            return Ok(());
        }
        if event.name == b"error" {
            return Err(Failure::from_stream(fault_of(event.data)));
        }
        if event.data.trim_ascii() == b"[DONE]" {
            self.ended = true;
            return Ok(());
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(event.data) else {
            return Err(Failure::new(Kind::Protocol("an event is not a chunk of an answer")));
        };
        self.take_chunk(chunk)
    }

    fn take_chunk(&mut self, chunk: Chunk<'_>) -> Result<(), Failure> {
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage);
        }
        if let Some(own) = chunk.x_groq {
            self.usage = own.usage.or(self.usage);
            self.upstream_id = own.id.filter(|id| is_name(id)).or(self.upstream_id.take());
            if let Some(fault) = own.error {
                return Err(Failure::from_stream(fault));
            }
        }
        if let Some(fault) = chunk.error {
            return Err(Failure::from_stream(fault));
        }
        for choice in chunk.choices.into_iter().flatten().filter(|choice| choice.index == 0) {
            if let Some(delta) = choice.delta {
                for call in delta.tool_calls.into_iter().flatten() {
                    self.take_call(call)?;
                }
                let content = delta.content.unwrap_or_default();
                let reasoning = delta.reasoning.map_or(0, |reasoning| reasoning.len());
                self.bytes += (content.len() + reasoning) as u64;
                self.began |= !content.is_empty() || reasoning > 0 || !self.calls.is_empty();
                self.has_words |= !content.trim().is_empty();
                self.text.push_str(&content);
            }
            if let Some(reason) = choice.finish_reason {
                self.finish = Some(match &*reason {
                    "stop" => Finish::Stop,
                    "tool_calls" => Finish::ToolCalls,
                    "length" => Finish::Length,
                    "content_filter" => Finish::ContentFilter,
                    _ => Finish::Unexpected,
                });
            }
        }
        Ok(())
    }

    fn take_call(&mut self, piece: wire::ToolCall) -> Result<(), Failure> {
        if self.offered.is_empty() {
            return Err(Failure::new(Kind::Protocol("a tool was called, and none was offered")));
        }
        let at = piece.index.unwrap_or(self.calls.len());
        if at > self.calls.len() || at >= MOST_CALLS {
            return Err(Failure::new(Kind::Protocol("calls of tools come out of order")));
        }
        if at == self.calls.len() {
            self.calls.push(ToolCall::default());
        }
        let (Some(call), Some(function)) = (self.calls.get_mut(at), piece.function) else {
            return Ok(());
        };
        for (kept, more) in [
            (&mut call.name, function.name.unwrap_or_default()),
            (&mut call.arguments, function.arguments.unwrap_or_default()),
        ] {
            self.bytes += more.len() as u64;
            kept.push_str(&more);
        }
        let written: usize = self
            .calls
            .iter()
            .map(|call| call.name.len() + call.arguments.len())
            .sum();
        if written > LONGEST_ARGUMENTS {
            return Err(Failure::new(Kind::Protocol("a tool's arguments are too long")));
        }
        Ok(())
    }

    /// The calls of tools; to be asked for when the verdict is good.
    pub fn take_calls(&mut self) -> Vec<ToolCall> {
        std::mem::take(&mut self.calls)
    }

    /// The text that has come since it was last taken.
    pub fn take_text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// How much text waits to be taken, in bytes.
    pub fn waiting(&self) -> usize {
        self.text.len()
    }

    /// Whether the model has begun to write or to reason.
    pub fn began(&self) -> bool {
        self.began
    }

    /// Whether the end marker has come.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// What became of the answer, once nothing more will come.
    ///
    /// # Errors
    /// In every case but one: the model finished by itself, the end marker came, and there are words, or calls of tools
    /// that were offered.
    pub fn verdict(&self) -> Result<(), Failure> {
        let kind = match self.finish {
            _ if !self.ended => Kind::Protocol("the stream ended without the end marker"),
            None => Kind::Protocol("the stream ended without the model's finish"),
            Some(Finish::Unexpected) => Kind::Protocol("the model stopped for an unexpected reason"),
            Some(Finish::Length) => Kind::Truncated,
            Some(Finish::ContentFilter) => Kind::ContentFiltered,
            Some(Finish::Stop | Finish::ToolCalls) if !self.calls_are_offered() => Kind::InvalidOutput,
            Some(Finish::Stop | Finish::ToolCalls) if !self.calls.is_empty() => return Ok(()),
            Some(Finish::ToolCalls) => Kind::Protocol("the model stopped to call a tool, and called none"),
            Some(Finish::Stop) if !self.has_words => Kind::Empty,
            Some(Finish::Stop) => return Ok(()),
        };
        Err(Failure::new(kind))
    }

    fn calls_are_offered(&self) -> bool {
        self.calls.iter().all(|call| self.offered.contains(&call.name))
    }
}

/// Whether the provider's name for a call is fit to be kept and logged; its own have 30 characters.
pub(super) fn is_name(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The error in an event named `error`: in an object as elsewhere, or in a form of its own.
fn fault_of(data: &[u8]) -> Fault {
    match serde_json::from_slice::<Chunk<'_>>(data) {
        Ok(Chunk { error: Some(fault), .. }) => fault,
        _ => serde_json::from_slice(data).unwrap_or_else(|_| Fault::Said(String::from_utf8_lossy(data).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(events: &[&str]) -> (String, Result<(), Failure>, Answer) {
        let mut answer = Answer::default();
        let taken = events.iter().try_for_each(|data| {
            answer.take(Event {
                name: b"",
                data: data.as_bytes(),
            })
        });
        let verdict = taken.and_then(|()| answer.verdict());
        (answer.take_text(), verdict, answer)
    }

    fn kind(events: &[&str]) -> Kind {
        read(events).1.unwrap_err().kind
    }

    const HELLO: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}"#;
    const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

    #[test]
    fn an_answer_as_the_provider_sends_it() {
        let usage = r#"{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,"queue_time":0.1,
            "prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}"#;
        let (text, verdict, answer) = read(&[
            r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","system_fingerprint":"f","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"x_groq":{"id":"req_1","seed":2}}"#,
            r#"{"choices":[{"index":0,"delta":{"reasoning":"Hm","channel":"analysis"},"finish_reason":null}]}"#,
            HELLO,
            r#"{"choices":[{"index":0,"delta":{"content":" \"you\" \ud83d\ude00"}}]}"#,
            &format!(
                r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}],"x_groq":{{"id":"req_1","usage":{usage}}},"usage":{usage}}}"#
            ),
            &format!(r#"{{"choices":[],"usage":{usage},"service_tier":"on_demand"}}"#),
            "[DONE]",
        ]);

        assert_eq!(text, "Hello \"you\" 😀");
        assert_eq!(verdict, Ok(()));
        assert_eq!(answer.upstream_id.as_deref(), Some("req_1"));
        let usage = answer.usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (9, 5));
        assert_eq!(usage.prompt_tokens_details.unwrap().cached_tokens, Some(4));
        assert_eq!(usage.completion_tokens_details.unwrap().reasoning_tokens, Some(2));
    }

    #[test]
    fn only_a_finish_with_words_and_the_end_marker_is_a_whole_answer() {
        let finish = |reason: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#);

        assert!(read(&[HELLO, STOP, "[DONE]"]).1.is_ok());
        assert!(matches!(kind(&[HELLO, STOP]), Kind::Protocol(_)));
        assert!(matches!(kind(&[HELLO, "[DONE]"]), Kind::Protocol(_)));
        assert!(matches!(kind(&[HELLO]), Kind::Protocol(_)));
        assert!(matches!(kind(&[]), Kind::Protocol(_)));
        assert_eq!(kind(&[STOP, "[DONE]"]), Kind::Empty);
        assert_eq!(
            kind(&[r#"{"choices":[{"delta":{"content":" \n"}}]}"#, STOP, "[DONE]"]),
            Kind::Empty
        );
        assert_eq!(kind(&[HELLO, &finish("length"), "[DONE]"]), Kind::Truncated);
        assert_eq!(
            kind(&[HELLO, &finish("content_filter"), "[DONE]"]),
            Kind::ContentFiltered
        );
        for unexpected in ["tool_calls", "function_call", "sunset"] {
            assert!(
                matches!(kind(&[HELLO, &finish(unexpected), "[DONE]"]), Kind::Protocol(_)),
                "{unexpected}"
            );
        }
    }

    #[test]
    fn errors_in_all_three_places_end_it() {
        assert_eq!(
            kind(&[HELLO, r#"{"error":{"message":"m","status_code":503}}"#]),
            Kind::Overloaded
        );
        assert_eq!(
            kind(&[HELLO, r#"{"x_groq":{"id":"r","error":"over capacity"}}"#]),
            Kind::Overloaded
        );
        let mut answer = Answer::default();
        let data = br#"{"error":{"message":"m","type":"invalid_request_error","code":"tool_use_failed"}}"#;
        assert_eq!(
            answer.take(Event { name: b"error", data }).unwrap_err().kind,
            Kind::InvalidOutput
        );
        assert_eq!(
            answer
                .take(Event {
                    name: b"error",
                    data: b"oh no"
                })
                .unwrap_err()
                .kind,
            Kind::Overloaded
        );
        let flat = br#"{"message":"m","code":"model_not_found"}"#;
        assert_eq!(
            answer
                .take(Event {
                    name: b"error",
                    data: flat
                })
                .unwrap_err()
                .kind,
            Kind::ModelUnavailable
        );
    }

    #[test]
    fn tools_that_were_offered_may_be_called_whole_or_in_pieces() {
        let finish = r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#;
        let call = |index: &str, name: &str, arguments: &str| {
            format!(
                r#"{{"choices":[{{"delta":{{"tool_calls":[{{{index}"id":"c","type":"function","function":{{"name":"{name}","arguments":"{arguments}"}}}}]}}}}]}}"#
            )
        };
        let read = |events: &[String]| {
            let mut answer = Answer::offering(vec!["hand_off".to_owned()]);
            let taken = events
                .iter()
                .map(String::as_str)
                .chain([finish, "[DONE]"])
                .try_for_each(|data| {
                    answer.take(Event {
                        name: b"",
                        data: data.as_bytes(),
                    })
                });
            taken.and_then(|()| answer.verdict()).map(|()| answer.take_calls())
        };
        let expected = Ok(vec![ToolCall {
            name: "hand_off".to_owned(),
            arguments: "{why}".to_owned(),
        }]);
        assert_eq!(read(&[call("", "hand_off", "{why}")]), expected);
        assert_eq!(read(&[call(r#""index":0,"#, "hand_off", "{why}")]), expected);
        let pieces = [
            call(r#""index":0,"#, "hand_off", ""),
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{wh"}}]}}]}"#.to_owned(),
            call(r#""index":0,"#, "", "y}"),
        ];
        assert_eq!(read(&pieces), expected);

        for wrong in [
            vec![],
            vec![call(r#""index":1,"#, "hand_off", "{}")],
            vec![call("", "hand_off", &"x".repeat(LONGEST_ARGUMENTS))],
            vec![call("", "hand_off", "{}"); MOST_CALLS + 1],
        ] {
            assert!(matches!(read(&wrong).unwrap_err().kind, Kind::Protocol(_)));
        }
        let unknown = read(&[call("", "format_disk", "{}")]);
        assert_eq!(unknown.unwrap_err().kind, Kind::InvalidOutput);
    }

    #[test]
    fn an_answer_in_one_piece() {
        let take = |body: &str| {
            let mut answer = Answer::default();
            let taken = answer.take_whole(body.as_bytes()).and_then(|()| answer.verdict());
            (taken.map_err(|failure| failure.kind), answer.take_text(), answer.usage)
        };
        let body = r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant",
            "content":"{\"a\":1}","reasoning":"hm"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4},
            "usage_breakdown":null,"x_groq":{"id":"req_1"}}"#;
        let (verdict, text, usage) = take(body);
        assert_eq!((verdict, text.as_str()), (Ok(()), r#"{"a":1}"#));
        assert_eq!(usage.map(|usage| usage.completion_tokens), Some(4));
        assert_eq!(take(&body.replace("stop", "length")).0, Err(Kind::Truncated));
        assert_eq!(
            take(r#"{"error":{"message":"m","status_code":503}}"#).0,
            Err(Kind::Overloaded)
        );
        for garbage in ["", "{", "[]", "{}", "<html>"] {
            assert!(matches!(take(garbage).0, Err(Kind::Protocol(_))), "{garbage}");
        }
    }

    #[test]
    fn garbage_and_uninvited_tool_calls_are_no_answer() {
        for garbage in ["", "{", "hello", "5", "\"x\"", r#"{"choices":5}"#, "<html>"] {
            assert!(matches!(kind(&[garbage]), Kind::Protocol(_)), "{garbage}");
        }
        assert!(matches!(
            kind(&[r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#]),
            Kind::Protocol(_)
        ));
    }

    #[test]
    fn a_name_that_is_none_is_not_kept() {
        for odd in ["", "two words", "line\\nbreak", &"x".repeat(129)] {
            let answer = read(&[
                r#"{"x_groq":{"id":"req_1"}}"#,
                &format!(r#"{{"x_groq":{{"id":"{odd}"}}}}"#),
            ])
            .2;
            assert_eq!(answer.upstream_id.as_deref(), Some("req_1"), "{odd}");
        }
    }

    #[test]
    fn nulls_and_unknown_fields_say_nothing() {
        let odd = r#"{"choices":null,"usage":null,"x_groq":null,"error":null,"new":{"a":[1]}}"#;
        let null = r#"{"choices":[{"index":0,"delta":null},{"delta":{"content":null,"tool_calls":null}},{"index":1,"delta":{"content":"other"}}]}"#;
        let (text, verdict, _) = read(&[odd, null, HELLO, STOP, "[DONE]", "garbage after the end"]);
        assert_eq!(text, "Hello");
        assert_eq!(verdict, Ok(()));
    }
}

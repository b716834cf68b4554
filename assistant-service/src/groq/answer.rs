//! What the provider has told of an answer so far. Pure: events in, text and a verdict out.

use super::failure::{Failure, Kind};
use super::sse::Event;
use super::wire::{Chunk, Fault, Function, Usage};

/// Gathers a stream's events.
#[derive(Debug, Default)]
pub struct Answer {
    /// The provider's name for the call.
    pub upstream_id: Option<String>,
    /// What the call cost; the provider says it up to three times, and it counts once.
    pub usage: Option<Usage>,
    /// Tools that were called.
    pub tools: Vec<Function>,
    text: String,
    finish: Option<Finish>,
    began: bool,
    has_words: bool,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    Stop,
    Length,
    ContentFilter,
    ToolCalls,
    Unexpected,
}

impl Answer {
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
                self.tools
                    .extend(delta.tool_calls.into_iter().flatten().map(|call| call.function));
                let content = delta.content.unwrap_or_default();
                self.began |= !content.is_empty() || delta.reasoning.is_some_and(|reasoning| !reasoning.is_empty());
                self.has_words |= !content.trim().is_empty();
                self.text.push_str(&content);
            }
            if let Some(reason) = choice.finish_reason {
                self.finish = Some(match &*reason {
                    "stop" => Finish::Stop,
                    "length" => Finish::Length,
                    "content_filter" => Finish::ContentFilter,
                    "tool_calls" if !self.tools.is_empty() => Finish::ToolCalls,
                    _ => Finish::Unexpected,
                });
            }
        }
        Ok(())
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
    /// In every case but one: the model finished by itself, the end marker came, and there are words.
    pub fn verdict(&self) -> Result<(), Failure> {
        let kind = match self.finish {
            _ if !self.ended => Kind::Protocol("the stream ended without the end marker"),
            None => Kind::Protocol("the stream ended without the model's finish"),
            Some(Finish::Unexpected) => Kind::Protocol("the model stopped for an unexpected reason"),
            Some(Finish::Length) => Kind::Truncated,
            Some(Finish::ContentFilter) => Kind::ContentFiltered,
            Some(Finish::ToolCalls) => return Ok(()),
            Some(Finish::Stop) if !self.has_words => Kind::Empty,
            Some(Finish::Stop) => return Ok(()),
        };
        Err(Failure::new(kind))
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

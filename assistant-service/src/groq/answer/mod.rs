//! What the provider has told of an answer so far. Pure: events in, text and a verdict out.

#[cfg(test)]
mod tests;

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

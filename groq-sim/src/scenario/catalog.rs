//! The list of scenarios: `GET /_sim/scenarios` answers it, the README and the parser are tested against it.

use serde::Serialize;

/// A scenario that can be asked for.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// What a marker says.
    pub name: &'static str,
    /// What happens.
    pub summary: &'static str,
    /// What can be set, besides [`COMMON`].
    pub parameters: &'static [Parameter],
}

/// Something that can be set.
#[derive(Debug, Serialize)]
pub struct Parameter {
    /// The key.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// The value where none is given; empty where that depends on the request.
    pub default: &'static str,
    /// What it does.
    pub summary: &'static str,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A whole number, 0 or more.
    Count,
    /// A number, fractions allowed.
    Number,
    /// `true` or `false`.
    Flag,
    /// Anything; in quotes if it holds spaces or brackets.
    Text,
}

const fn count(name: &'static str, default: &'static str, summary: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Count,
        default,
        summary,
    }
}

const fn number(name: &'static str, default: &'static str, summary: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Number,
        default,
        summary,
    }
}

const fn flag(name: &'static str, default: &'static str, summary: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Flag,
        default,
        summary,
    }
}

const fn text(name: &'static str, default: &'static str, summary: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Text,
        default,
        summary,
    }
}

const AFTER: Parameter = count("after", "5", "deltas of visible text before it happens");

/// What every scenario understands.
pub const COMMON: &[Parameter] = &[
    number("ttft_ms", "", "milliseconds to the first token"),
    number("token_ms", "", "milliseconds from token to token"),
    count("tokens", "", "tokens of visible text"),
    count("reasoning", "", "tokens of reasoning"),
    count(
        "first",
        "",
        "only the first so many requests with this last user message; later ones are ok",
    ),
    text("model", "", "only requests for this model; others are ok"),
    text("tier", "", "only requests served on this tier; others are ok"),
    text(
        "language",
        "",
        "of the text: auto (that of the last user message), en, de, es, fr",
    ),
    count("remaining_requests", "", "the header x-ratelimit-remaining-requests"),
    text("reset_requests", "", "the header x-ratelimit-reset-requests"),
    count("remaining_tokens", "", "the header x-ratelimit-remaining-tokens"),
    text("reset_tokens", "", "the header x-ratelimit-reset-tokens"),
];

/// Every scenario.
pub const SCENARIOS: &[Entry] = &[
    Entry {
        name: "ok",
        summary: "a complete answer",
        parameters: &[],
    },
    Entry {
        name: "slow",
        summary: "a complete answer, 2 s to the first token, 100 ms a token",
        parameters: &[],
    },
    Entry {
        name: "silent-before-headers",
        summary: "the request is read, then nothing",
        parameters: &[],
    },
    Entry {
        name: "silent-before-first-token",
        summary: "status and headers, then nothing",
        parameters: &[],
    },
    Entry {
        name: "silent-in-middle",
        summary: "the stream stops, the connection stays open",
        parameters: &[AFTER],
    },
    Entry {
        name: "end-early",
        summary: "the body ends in good order, no finish, no [DONE]",
        parameters: &[AFTER],
    },
    Entry {
        name: "no-done",
        summary: "finish and usage, but no [DONE]",
        parameters: &[],
    },
    Entry {
        name: "error-event",
        summary: "`event: error` with a JSON error, and no [DONE]; not streamed: the status",
        parameters: &[
            AFTER,
            text("code", "tool_use_failed", "the error's code"),
            count("status", "400", "the error's status_code"),
        ],
    },
    Entry {
        name: "error-data",
        summary: "a `data:` line with a JSON error and no event name, and no [DONE]; not streamed: 500",
        parameters: &[AFTER, text("code", "", "the error's code; unset: none")],
    },
    Entry {
        name: "error-x-groq",
        summary: "a chunk with an error in `x_groq.error`, no finish; not streamed: 500",
        parameters: &[
            AFTER,
            flag("done", "false", "send [DONE] nevertheless"),
            flag("object", "false", "the error is an object, not a string"),
        ],
    },
    Entry {
        name: "cut",
        summary: "the connection breaks in the middle of the body",
        parameters: &[
            AFTER,
            text("how", "reset", "reset (TCP RST) or close (chunked body never ended)"),
        ],
    },
    Entry {
        name: "byte-at-a-time",
        summary: "every byte of the body is a write of its own",
        parameters: &[],
    },
    Entry {
        name: "split-utf8",
        summary: "writes end inside of every multi-byte character",
        parameters: &[],
    },
    Entry {
        name: "one-write",
        summary: "the whole stream comes in one write",
        parameters: &[],
    },
    Entry {
        name: "crlf",
        summary: "lines end in CR LF",
        parameters: &[],
    },
    Entry {
        name: "no-space",
        summary: "`data:{…}` without the space",
        parameters: &[],
    },
    Entry {
        name: "comments",
        summary: "comments, keep-alive lines, `id:`, `retry:` and unknown fields between the data",
        parameters: &[],
    },
    Entry {
        name: "multi-line-data",
        summary: "each chunk's JSON spans several `data:` lines",
        parameters: &[],
    },
    Entry {
        name: "created-changes",
        summary: "`created` goes up from chunk to chunk",
        parameters: &[],
    },
    Entry {
        name: "huge-line",
        summary: "one delta, in one line, is huge",
        parameters: &[AFTER, count("bytes", "10485760", "size of that delta's text")],
    },
    Entry {
        name: "length",
        summary: "finish_reason length",
        parameters: &[
            count("after", "20", "tokens of visible text"),
            flag(
                "empty",
                "false",
                "no text at all: reasoning ate all of max_completion_tokens",
            ),
        ],
    },
    Entry {
        name: "content-filter",
        summary: "finish_reason content_filter",
        parameters: &[AFTER],
    },
    Entry {
        name: "finish",
        summary: "a complete answer with another finish_reason",
        parameters: &[text("reason", "function_call", "the finish_reason")],
    },
    Entry {
        name: "bad-json",
        summary: "200, but the JSON is not what was asked for",
        parameters: &[text(
            "kind",
            "extra-text",
            "invalid, missing-field, wrong-enum, wrong-type, extra-field, extra-text, fenced",
        )],
    },
    Entry {
        name: "verdict",
        summary: "what the guard model finds; without this it finds nothing",
        parameters: &[
            flag("violation", "true", "whether the policy is violated"),
            text("category", "prompt_injection", "which part of the policy"),
        ],
    },
    Entry {
        name: "tool-calls",
        summary: "tool calls, each whole in one chunk, finish_reason tool_calls",
        parameters: &[
            count("after", "0", "tokens of visible text before the call"),
            text("tool", "", "the tool's name; unset: the first of the request"),
            text(
                "arguments",
                "",
                "sent as they are, valid or not; unset: made to fit the tool's schema",
            ),
            count(
                "count",
                "1",
                "how many calls of it; one where the request says parallel_tool_calls: false",
            ),
            flag("apart", "false", "each call in a chunk of its own, not all in one"),
        ],
    },
    Entry {
        name: "usage",
        summary: "usage comes this many times",
        parameters: &[count(
            "times",
            "3",
            "0 never, 1 x_groq, 2 also top level, 3 also a chunk of its own",
        )],
    },
    Entry {
        name: "status",
        summary: "an error status with the body that goes with it",
        parameters: &[
            count("code", "500", "400 to 599"),
            text(
                "error",
                "",
                "for 400: json_validate_failed, tool_use_failed, model_decommissioned, blocked_api_access, \
                 context_length_exceeded",
            ),
            text("message", "", "the error's message"),
        ],
    },
    Entry {
        name: "rate-limit",
        summary: "429 with retry-after",
        parameters: &[
            text(
                "kind",
                "tpm",
                "tpm, tpd, rpm, rpd: tokens or requests, a minute or a day",
            ),
            number(
                "wait",
                "",
                "seconds that the text and the header say; unset: 6.3525, 1033.344, 2, 86.4",
            ),
            text(
                "retry_after",
                "",
                "the header as it is; `none` leaves it out; unset: the same as wait",
            ),
        ],
    },
    Entry {
        name: "too-large",
        summary: "the request is larger than a minute's tokens: waiting never helps",
        parameters: &[
            count("code", "413", "413 or 429"),
            count("limit", "8000", "what the text says the limit is"),
            count("requested", "8222", "what the text says was asked for"),
        ],
    },
    Entry {
        name: "html-error",
        summary: "a proxy's error page in HTML",
        parameters: &[count("code", "502", "the status")],
    },
    Entry {
        name: "not-json",
        summary: "200 with a text/plain body that is neither JSON nor an event stream",
        parameters: &[text("body", "upstream ok", "that body; may be empty")],
    },
    Entry {
        name: "script",
        summary: "the steps of a script, one by one",
        parameters: &[text("of", "example", "the script's name")],
    },
];

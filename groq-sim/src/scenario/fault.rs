//! What can go wrong, with the defaults of what can be set.

use serde::{Deserialize, Serialize};

use super::Bad;

/// What goes wrong. `after` counts the deltas of visible text that are sent before; reasoning comes before them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "every variant and field is described by its entry in the catalog"
)]
pub enum Fault {
    #[default]
    Ok,
    Slow,
    SilentBeforeHeaders,
    SilentBeforeFirstToken,
    SilentInMiddle {
        #[serde(default = "five")]
        after: usize,
    },
    EndEarly {
        #[serde(default = "five")]
        after: usize,
    },
    NoDone,
    ErrorEvent {
        #[serde(default = "five")]
        after: usize,
        #[serde(default = "tool_use_failed")]
        code: String,
        #[serde(default = "bad_request")]
        status: u16,
    },
    ErrorData {
        #[serde(default = "five")]
        after: usize,
        #[serde(default)]
        code: Option<String>,
    },
    ErrorXGroq {
        #[serde(default = "five")]
        after: usize,
        #[serde(default)]
        done: bool,
        #[serde(default)]
        object: bool,
    },
    Cut {
        #[serde(default = "five")]
        after: usize,
        #[serde(default)]
        how: HowCut,
    },
    ByteAtATime,
    SplitUtf8,
    OneWrite,
    Crlf,
    NoSpace,
    Comments,
    MultiLineData,
    CreatedChanges,
    HugeLine {
        #[serde(default = "five")]
        after: usize,
        #[serde(default = "ten_megabytes")]
        bytes: usize,
    },
    Length {
        #[serde(default = "twenty")]
        after: usize,
        #[serde(default)]
        empty: bool,
    },
    ContentFilter {
        #[serde(default = "five")]
        after: usize,
    },
    Finish {
        #[serde(default = "function_call")]
        reason: String,
    },
    BadJson {
        #[serde(default)]
        kind: HowBroken,
    },
    Verdict {
        #[serde(default = "yes")]
        violation: bool,
        #[serde(default = "prompt_injection")]
        category: String,
    },
    ToolCalls {
        #[serde(default)]
        after: usize,
        #[serde(default)]
        tool: Option<String>,
        #[serde(default)]
        arguments: Option<String>,
        #[serde(default = "one")]
        count: u8,
        #[serde(default)]
        apart: bool,
    },
    Usage {
        #[serde(default = "three")]
        times: u8,
    },
    Status {
        #[serde(default = "internal_error")]
        code: u16,
        #[serde(default)]
        error: Option<ErrorCode>,
        #[serde(default)]
        message: Option<String>,
    },
    RateLimit {
        #[serde(default)]
        kind: LimitKind,
        #[serde(default)]
        wait: Option<f64>,
        #[serde(default)]
        retry_after: Option<String>,
    },
    TooLarge {
        #[serde(default = "payload_too_large")]
        code: u16,
        #[serde(default = "free_tokens_per_minute")]
        limit: u64,
        #[serde(default = "a_bit_more")]
        requested: u64,
    },
    HtmlError {
        #[serde(default = "bad_gateway")]
        code: u16,
    },
    NotJson {
        #[serde(default = "upstream_ok")]
        body: String,
    },
    Script {
        #[serde(default = "example")]
        of: String,
    },
}

fn one() -> u8 {
    1
}
fn five() -> usize {
    5
}
fn three() -> u8 {
    3
}
fn twenty() -> usize {
    20
}
fn yes() -> bool {
    true
}
fn function_call() -> String {
    "function_call".to_owned()
}
fn prompt_injection() -> String {
    "prompt_injection".to_owned()
}
fn example() -> String {
    super::script::EXAMPLE.to_owned()
}
fn ten_megabytes() -> usize {
    10 * 1024 * 1024
}
fn tool_use_failed() -> String {
    "tool_use_failed".to_owned()
}
fn bad_request() -> u16 {
    400
}
fn payload_too_large() -> u16 {
    413
}
fn internal_error() -> u16 {
    500
}
fn bad_gateway() -> u16 {
    502
}
fn free_tokens_per_minute() -> u64 {
    8000
}
fn a_bit_more() -> u64 {
    8222
}
fn upstream_ok() -> String {
    "upstream ok".to_owned()
}

/// How a connection is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HowCut {
    /// A TCP reset.
    #[default]
    Reset,
    /// An orderly TCP close in the middle of a chunked body.
    Close,
}

/// What is wrong with a JSON answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HowBroken {
    /// It stops half way.
    Invalid,
    /// The last property is not there.
    MissingField,
    /// A property with an enumeration has a value that is not in it; without one, the first property.
    WrongEnum,
    /// The first property is of another type.
    WrongType,
    /// There is a property that the schema does not have.
    ExtraField,
    /// Words stand before and after it.
    #[default]
    ExtraText,
    /// It stands in a Markdown code block.
    Fenced,
}

/// Which limit a 429 says was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitKind {
    /// Tokens a minute.
    #[default]
    Tpm,
    /// Tokens a day.
    Tpd,
    /// Requests a minute.
    Rpm,
    /// Requests a day.
    Rpd,
}

/// The kinds of 400 that have a `code` of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// JSON mode produced something else; comes with `failed_generation`.
    JsonValidateFailed,
    /// A tool call could not be parsed; comes with `failed_generation`.
    ToolUseFailed,
    /// The model is gone for good.
    ModelDecommissioned,
    /// The spend cap is reached.
    BlockedApiAccess,
    /// The prompt does not fit.
    ContextLengthExceeded,
}

impl Fault {
    /// What the types leave open.
    pub(super) fn check(&self) -> Result<(), Bad> {
        let why = match self {
            Self::Status { code, .. } | Self::HtmlError { code } | Self::ErrorEvent { status: code, .. }
                if !(400..=599).contains(code) =>
            {
                "the status is from 400 to 599"
            }
            Self::Status {
                code, error: Some(_), ..
            } if *code != 400 => "error goes with code=400",
            Self::TooLarge { code, .. } if ![413, 429].contains(code) => "the code is 413 or 429",
            Self::ToolCalls { count, .. } if !(1..=32).contains(count) => "there are 1 to 32 calls",
            Self::Usage { times } if *times > 3 => "usage comes at most three times",
            Self::RateLimit { wait: Some(wait), .. } if !(0.0..=1e6).contains(wait) => "wait is 0 to 1000000 seconds",
            _ => return Ok(()),
        };
        Err(Bad(format!("scenario {}: {why}", self.name())))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Slow => "slow",
            Self::SilentBeforeHeaders => "silent-before-headers",
            Self::SilentBeforeFirstToken => "silent-before-first-token",
            Self::SilentInMiddle { .. } => "silent-in-middle",
            Self::EndEarly { .. } => "end-early",
            Self::NoDone => "no-done",
            Self::ErrorEvent { .. } => "error-event",
            Self::ErrorData { .. } => "error-data",
            Self::ErrorXGroq { .. } => "error-x-groq",
            Self::Cut { .. } => "cut",
            Self::ByteAtATime => "byte-at-a-time",
            Self::SplitUtf8 => "split-utf8",
            Self::OneWrite => "one-write",
            Self::Crlf => "crlf",
            Self::NoSpace => "no-space",
            Self::Comments => "comments",
            Self::MultiLineData => "multi-line-data",
            Self::CreatedChanges => "created-changes",
            Self::HugeLine { .. } => "huge-line",
            Self::Length { .. } => "length",
            Self::ContentFilter { .. } => "content-filter",
            Self::Finish { .. } => "finish",
            Self::BadJson { .. } => "bad-json",
            Self::Verdict { .. } => "verdict",
            Self::ToolCalls { .. } => "tool-calls",
            Self::Usage { .. } => "usage",
            Self::Status { .. } => "status",
            Self::RateLimit { .. } => "rate-limit",
            Self::TooLarge { .. } => "too-large",
            Self::HtmlError { .. } => "html-error",
            Self::NotJson { .. } => "not-json",
            Self::Script { .. } => "script",
        }
    }
}

//! Requests as domain types: where limits live.

use deskhand_proto::replies::v1 as proto;
use uuid::Uuid;

use super::judgement::Tone;
use super::opinion::Verdict;
use super::store::Keys;
use super::wire;
use crate::error::Result;
use crate::text::Rule;
use crate::tickets::BODY;
use crate::violations::{self, Violations};

/// What someone says of a reply.
const COMMENT: Rule = Rule {
    characters: 1_000,
    bytes: 4_000,
    lines: true,
};

/// One thing, by its id, and the request's own.
pub(super) fn parse_ids(field: &'static str, id: &str, request_id: &str) -> Result<(Uuid, Option<Uuid>)> {
    let mut violations = Violations::default();
    let id = violations.check(field, violations::id(id));
    let request_id = violations.check("request_id", violations::optional_id(request_id));
    let (Some(id), Some(request_id)) = (id, request_id) else {
        return Err(violations.refused());
    };
    Ok((id, request_id))
}

/// A draft that is accepted.
pub(super) struct Acceptance {
    pub(super) reply_id: Uuid,
    pub(super) body: Option<String>,
    pub(super) request_id: Option<Uuid>,
}

impl Acceptance {
    pub(super) fn parse(asked: &proto::AcceptDraftRequest) -> Result<Self> {
        let mut violations = Violations::default();
        let reply_id = violations.check("reply_id", violations::id(&asked.reply_id));
        let body = match asked.body.as_str() {
            "" => Some(None),
            body => violations.check("body", BODY.parse(body)).map(Some),
        };
        let request_id = violations.check("request_id", violations::optional_id(&asked.request_id));
        let (Some(reply_id), Some(body), Some(request_id)) = (reply_id, body, request_id) else {
            return Err(violations.refused());
        };
        Ok(Self {
            reply_id,
            body,
            request_id,
        })
    }
}

/// A rating.
pub(super) struct NewRating {
    pub(super) reply_id: Uuid,
    pub(super) verdict: Verdict,
    pub(super) comment: String,
    pub(super) request_id: Option<Uuid>,
}

impl NewRating {
    pub(super) fn parse(asked: &proto::RateReplyRequest) -> Result<Self> {
        let mut violations = Violations::default();
        let reply_id = violations.check("reply_id", violations::id(&asked.reply_id));
        let verdict = violations.check("verdict", wire::verdict(asked.verdict).ok_or("must be a known verdict"));
        let comment = match asked.comment.trim() {
            "" => Some(String::new()),
            comment => violations.check("comment", COMMENT.parse(comment)),
        };
        let request_id = violations.check("request_id", violations::optional_id(&asked.request_id));
        let (Some(reply_id), Some(verdict), Some(comment), Some(request_id)) = (reply_id, verdict, comment, request_id)
        else {
            return Err(violations.refused());
        };
        Ok(Self {
            reply_id,
            verdict,
            comment,
            request_id,
        })
    }
}

/// A text to be written anew.
pub(super) struct Rewriting {
    pub(super) text: String,
    pub(super) tone: Tone,
    pub(super) request_id: Option<Uuid>,
}

impl Rewriting {
    pub(super) fn parse(asked: &proto::RewriteTextRequest) -> Result<Self> {
        let mut violations = Violations::default();
        let text = violations.check("text", BODY.parse(&asked.text));
        let tone = violations.check("tone", wire::tone(asked.tone).ok_or("must be a known tone"));
        let request_id = violations.check("request_id", violations::optional_id(&asked.request_id));
        let (Some(text), Some(tone), Some(request_id)) = (text, tone, request_id) else {
            return Err(violations.refused());
        };
        Ok(Self { text, tone, request_id })
    }
}

/// What rows of a report are told apart by; `None` for a number that is no key.
pub(super) fn keys(asked: &[i32]) -> Option<Keys> {
    let mut keys = Keys::default();
    for key in asked {
        match proto::UsageKey::try_from(*key).ok()? {
            proto::UsageKey::Unspecified => return None,
            proto::UsageKey::Day => keys.day = true,
            proto::UsageKey::Model => keys.model = true,
            proto::UsageKey::User => keys.user = true,
            proto::UsageKey::Outcome => keys.outcome = true,
            proto::UsageKey::Mode => keys.mode = true,
        }
    }
    Some(keys)
}

//! Errors in the document: `google.rpc.Status` with its details, and which of them an operation may answer.

use serde_json::{Map, Value, json};
use service_kit::refusal::DOMAIN;
use tonic::Code;

use crate::bindings::{Binding, Body};
use crate::local_replies;

/// A gRPC code, the HTTP status that the transcoder makes of it, and what it means.
const CODES: &[(&str, u16, &str, &str)] = &[
    (
        "INVALID_ARGUMENT",
        400,
        "BadRequest",
        "The request is not as it must be; details name the fields.",
    ),
    ("FAILED_PRECONDITION", 400, "BadRequest", ""),
    ("OUT_OF_RANGE", 400, "BadRequest", ""),
    (
        "UNAUTHENTICATED",
        401,
        "Unauthenticated",
        "Who calls is not known: no access token, or none that is good any more.",
    ),
    ("PERMISSION_DENIED", 403, "Forbidden", "Not for the caller's role."),
    (
        "NOT_FOUND",
        404,
        "NotFound",
        "There is no such thing, or it is not for the caller to know of.",
    ),
    (
        "ALREADY_EXISTS",
        409,
        "Conflict",
        "It is there already, or it has changed since the caller last saw it.",
    ),
    ("ABORTED", 409, "Conflict", ""),
    (
        "RESOURCE_EXHAUSTED",
        429,
        "TooMany",
        "Too much was asked for; details, or retry-after, say how long to wait.",
    ),
    (
        "UNAVAILABLE",
        503,
        "Unavailable",
        "It cannot be done just now; try again with the same `request_id`.",
    ),
];

/// What any operation may answer.
const ANY: &[&str] = &["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE"];

/// The error responses of an operation.
pub(super) fn of(comment: &str, binding: &Binding) -> Value {
    let mut responses = Map::new();
    for (code, status, name, _) in CODES {
        let is_said = comment.contains(code) || ANY.contains(code);
        let is_asked = *code == "UNAUTHENTICATED" && !binding.is_anonymous();
        if is_said || is_asked {
            responses.insert(status.to_string(), reference(name));
        }
    }
    if binding.body != Body::None {
        responses.insert("413".to_owned(), reference("TooLarge"));
        responses.insert("415".to_owned(), reference("UnsupportedMediaType"));
    }
    responses.insert("default".to_owned(), reference("Error"));
    responses.into()
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/responses/{name}")})
}

/// What an error of each kind looks like: its code, reason and sentence.
const EXAMPLES: &[(&str, Code, &str, &str)] = &[
    (
        "Unauthenticated",
        Code::Unauthenticated,
        "TOKEN_EXPIRED",
        "The access token has expired. Log in again.",
    ),
    (
        "Forbidden",
        Code::PermissionDenied,
        "ROLE_NOT_ALLOWED",
        "Only admins may do this.",
    ),
    (
        "NotFound",
        Code::NotFound,
        "TICKET_NOT_FOUND",
        "There is no such ticket.",
    ),
    (
        "Conflict",
        Code::Aborted,
        "ETAG_MISMATCH",
        "The ticket has changed since you last saw it. Read it again, and decide anew.",
    ),
    (
        "TooLarge",
        Code::OutOfRange,
        "MESSAGE_TOO_LARGE",
        "The request is larger than this server accepts.",
    ),
    (
        "UnsupportedMediaType",
        Code::InvalidArgument,
        "MEDIA_TYPE_UNSUPPORTED",
        "Send content-type: application/json, in UTF-8, not compressed.",
    ),
    (
        "TooMany",
        Code::ResourceExhausted,
        "THROTTLED",
        "There were too many tries. Wait before the next one.",
    ),
    (
        "Unavailable",
        Code::Unavailable,
        "DATABASE_UNAVAILABLE",
        "This cannot be done just now; try again.",
    ),
    (
        "Error",
        Code::Internal,
        "INTERNAL",
        "Something went wrong here; it has been logged.",
    ),
];

/// `components.responses`.
pub(super) fn responses() -> Value {
    let mut described: Vec<_> = CODES
        .iter()
        .filter(|(.., meaning)| !meaning.is_empty())
        .map(|(_, _, name, meaning)| (*name, *meaning))
        .collect();
    described.extend([
        ("TooLarge", "The request has over 128 KiB."),
        (
            "UnsupportedMediaType",
            "The body is not sent as `application/json`, in UTF-8, uncompressed.",
        ),
        ("Error", "Any other error. docs/errors.md lists all reasons."),
    ]);
    let responses = described.into_iter().map(|(name, description)| {
        let mut media = json!({"schema": {"$ref": "#/components/schemas/Status"}});
        // The schema's own is one of BadRequest.
        if let Some((_, code, reason, message)) = EXAMPLES.iter().find(|(of, ..)| *of == name) {
            media["example"] = example(name, *code, reason, message);
        }
        let response = json!({"description": description, "content": {"application/json": media}});
        (name.to_owned(), response)
    });
    Value::Object(responses.collect())
}

fn example(name: &str, code: Code, reason: &str, message: &str) -> Value {
    let mut example = local_replies::body(code, reason, message);
    if let (true, Some(details)) = (
        matches!(name, "TooMany" | "Unavailable"),
        example["details"].as_array_mut(),
    ) {
        details.push(json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retry_delay": "1s"}));
    }
    example
}

/// The schemas of errors.
pub(super) fn schemas() -> Map<String, Value> {
    let detail = |kind: &str, description: &str, needed: &[&str], mut properties: Value| {
        properties["@type"] =
            json!({"const": format!("type.googleapis.com/google.rpc.{kind}"), "description": "Which detail it is."});
        let required: Vec<_> = ["@type"].iter().chain(needed).copied().collect();
        json!({"type": "object", "description": description, "required": required, "properties": properties})
    };
    let details = [
        (
            "ErrorInfo",
            detail(
                "ErrorInfo",
                "Why, for programs. In every error.",
                &["reason", "domain"],
                json!({
                    "reason": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]+$", "description": "One of those in docs/errors.md."},
                    "domain": {"const": DOMAIN, "description": "Whose reason it is."},
                    "metadata": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Facts that belong to the reason."},
                }),
            ),
        ),
        (
            "BadRequest",
            detail(
                "BadRequest",
                "The fields that are not as they must be.",
                &["field_violations"],
                json!({
                    "field_violations": {"type": "array", "description": "One for each.", "items": {
                        "type": "object",
                        "required": ["field", "description"],
                        "properties": {
                            "field": {"type": "string", "description": "Its path in the request, such as `tags[3]`."},
                            "description": {"type": "string", "description": "What must hold."},
                        },
                    }},
                }),
            ),
        ),
        (
            "RetryInfo",
            detail(
                "RetryInfo",
                "When trying again may help.",
                &["retry_delay"],
                json!({
                    "retry_delay": {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?s$", "description": "Seconds to wait."},
                }),
            ),
        ),
    ];
    let references: Vec<_> = details
        .iter()
        .map(|(name, _)| json!({"$ref": format!("#/components/schemas/{name}")}))
        .collect();
    let status = json!({
        "type": "object",
        "description": "An error: `google.rpc.Status`.",
        "required": ["code", "message", "details"],
        "properties": {
            "code": {"type": "integer", "minimum": 1, "maximum": 16, "description": "The code of gRPC."},
            "message": {"type": "string", "description": "A sentence for people."},
            "details": {
                "type": "array",
                "description": "The first is always an `ErrorInfo`.",
                "minItems": 1,
                "items": {"anyOf": references},
            },
        },
        "examples": [{
            "code": 3,
            "message": "title: must have 1 to 200 characters.",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "INVALID_FIELDS", "domain": DOMAIN, "metadata": {}},
                {"@type": "type.googleapis.com/google.rpc.BadRequest",
                 "field_violations": [{"field": "title", "description": "must have 1 to 200 characters."}]},
            ],
        }],
    });
    let details = details.into_iter().map(|(name, schema)| (name.to_owned(), schema));
    details.chain([("Status".to_owned(), status)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_an_error_of_its_status() {
        let reasons = include_str!("../../../docs/errors.md");
        let responses = responses();
        for (code, _, name, meaning) in CODES {
            // The first code of a status; any of them may be shown.
            if meaning.is_empty() || *name == "BadRequest" {
                continue;
            }
            let media = &responses[name]["content"]["application/json"];
            let shown = Code::from_i32(i32::try_from(media["example"]["code"].as_i64().unwrap()).unwrap());
            let shown = format!("{shown:?}").to_ascii_uppercase();
            let of_the_status = CODES.iter().filter(|(_, _, other, _)| other == name);
            assert!(
                of_the_status.clone().any(|(code, ..)| code.replace('_', "") == shown),
                "{name}, {code}: {shown}"
            );
        }
        for (name, _, reason, _) in EXAMPLES {
            assert!(reasons.contains(&format!("| `{reason}` |")), "{reason}");
            assert!(responses[name].is_object(), "{name}");
        }
    }
}

//! Errors in the document: `google.rpc.Status` with its details, and which of them an operation may answer.

use serde_json::{Map, Value, json};
use service_kit::refusal::DOMAIN;

use crate::bindings::{Binding, Body};

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

/// `components.responses`.
pub(super) fn responses() -> Value {
    let response = |description: &str| {
        json!({
            "description": description,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Status"}}},
        })
    };
    let mut responses = Map::new();
    for (_, _, name, meaning) in CODES.iter().filter(|(.., meaning)| !meaning.is_empty()) {
        responses.insert((*name).to_owned(), response(meaning));
    }
    responses.insert("TooLarge".to_owned(), response("The request has over 128 KiB."));
    responses.insert(
        "UnsupportedMediaType".to_owned(),
        response("The body is not sent as `application/json`, in UTF-8, uncompressed."),
    );
    responses.insert(
        "Error".to_owned(),
        response("Any other error. docs/errors.md lists all reasons."),
    );
    responses.into()
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

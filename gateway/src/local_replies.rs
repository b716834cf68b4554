//! What Envoy answers by itself, in the shape that the service's errors have: JSON, and for gRPC the same as details.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};
use service_kit::refusal::{DOMAIN, Refusal};
use tonic::{Code, Status};

/// An answer of Envoy's.
struct Reply {
    /// A CEL expression that says when.
    when: &'static str,
    /// Instead of what Envoy answers.
    status: u16,
    code: Code,
    reason: &'static str,
    /// Empty: Envoy's own words, which say what is wrong with the request and nothing else.
    message: &'static str,
}

/// The first that fits counts.
const REPLIES: &[Reply] = &[
    Reply {
        when: "response.code_details.contains('Jwt_is_missing')",
        status: 401,
        code: Code::Unauthenticated,
        reason: "TOKEN_MISSING",
        message: "Log in, and send one `authorization: Bearer <access token>`.",
    },
    Reply {
        when: "response.code_details.contains('Jwt_is_expired')",
        status: 401,
        code: Code::Unauthenticated,
        reason: "TOKEN_EXPIRED",
        message: "The access token has expired. Log in again.",
    },
    // The keys could not be fetched: nothing is known of the token.
    Reply {
        when: "response.code_details.contains('Jwks_remote_fetch')",
        status: 503,
        code: Code::Unavailable,
        reason: "SERVICE_UNAVAILABLE",
        message: "This cannot be done just now; try again.",
    },
    Reply {
        when: "response.code_details.startsWith('jwt_authn_access_denied')",
        status: 401,
        code: Code::Unauthenticated,
        reason: "TOKEN_INVALID",
        message: "The access token is not valid here. Log in again.",
    },
    Reply {
        when: "response.code == 429",
        status: 429,
        code: Code::ResourceExhausted,
        reason: "TOO_MANY_REQUESTS",
        message: "There were too many requests from your address. Wait before the next one.",
    },
    Reply {
        when: "response.code == 413",
        status: 413,
        code: Code::OutOfRange,
        reason: "MESSAGE_TOO_LARGE",
        message: "The request is larger than this server accepts.",
    },
    Reply {
        when: "response.code == 431",
        status: 431,
        code: Code::InvalidArgument,
        reason: "HEADERS_TOO_LARGE",
        message: "The request has too many headers, or too long ones.",
    },
    Reply {
        when: "response.code == 408",
        status: 408,
        code: Code::DeadlineExceeded,
        reason: "REQUEST_TOO_SLOW",
        message: "The request did not arrive in time.",
    },
    Reply {
        when: "response.code == 404",
        status: 404,
        code: Code::Unimplemented,
        reason: "METHOD_UNKNOWN",
        message: "There is no such method here.",
    },
    Reply {
        when: "response.code_details.contains('grpc_json_transcode_failure') && response.code == 400",
        status: 400,
        code: Code::InvalidArgument,
        reason: "MALFORMED_REQUEST",
        message: "",
    },
    Reply {
        when: "response.code == 403",
        status: 400,
        code: Code::InvalidArgument,
        reason: "MALFORMED_REQUEST",
        message: "This server changes to no other protocol.",
    },
    Reply {
        when: "response.code == 426",
        status: 400,
        code: Code::InvalidArgument,
        reason: "MALFORMED_REQUEST",
        message: "Speak HTTP/1.1 or HTTP/2.",
    },
    // An encoding of the body that HTTP does not have.
    Reply {
        when: "response.code == 400 || response.code == 501",
        status: 400,
        code: Code::InvalidArgument,
        reason: "MALFORMED_REQUEST",
        message: "The request is not as HTTP wants it.",
    },
    Reply {
        when: "response.code == 504",
        status: 504,
        code: Code::DeadlineExceeded,
        reason: "DEADLINE_EXCEEDED",
        message: "The call's time was over before its answer was whole.",
    },
    Reply {
        when: "response.code == 502 || response.code == 503",
        status: 503,
        code: Code::Unavailable,
        reason: "SERVICE_UNAVAILABLE",
        message: "This cannot be done just now; try again.",
    },
    Reply {
        when: "response.code >= 500",
        status: 500,
        code: Code::Internal,
        reason: "INTERNAL",
        message: "Something went wrong here; it has been logged.",
    },
];

/// Envoy's `local_reply_config.mappers`.
pub fn mappers() -> Value {
    REPLIES
        .iter()
        .flat_map(|reply| [for_grpc(reply), as_json(reply)])
        .collect()
}

/// A gRPC client reads the details; so does the transcoder, whose clients get them as JSON.
fn for_grpc(reply: &Reply) -> Value {
    let status = Status::from(Refusal::new(reply.code, reply.reason, sentence(reply)));
    let details = STANDARD_NO_PAD.encode(status.details());
    // Envoy derives a code from HTTP's status, and most are UNKNOWN or INTERNAL then.
    let headers = [
        ("grpc-status", i32::from(reply.code).to_string()),
        ("grpc-status-details-bin", details),
    ];
    let headers = headers.map(
        |(key, value)| json!({"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}),
    );
    json!({
        "filter": both(is_grpc(), reply.when),
        "headers_to_add": headers,
        "body_format_override": {"text_format_source": {"inline_string": sentence(reply)}},
    })
}

fn as_json(reply: &Reply) -> Value {
    let message = if reply.message.is_empty() {
        "%LOCAL_REPLY_BODY%"
    } else {
        reply.message
    };
    // As the status says it; gRPC itself has UNIMPLEMENTED for a method that is not there.
    let code = if reply.status == 404 {
        Code::NotFound
    } else {
        reply.code
    };
    let mut mapper = json!({
        "filter": both(is_json(), reply.when),
        "status_code": reply.status,
        "body_format_override": {"json_format": body(code, reply.reason, message)},
    });
    if reply.status == 503 {
        mapper["headers_to_add"] = json!([{"header": {"key": "retry-after", "value": "1"}}]);
    }
    mapper
}

fn sentence(reply: &Reply) -> &'static str {
    if reply.message.is_empty() {
        "The request is not a message of this method."
    } else {
        reply.message
    }
}

/// An error as JSON clients see it: `google.rpc.Status`.
pub(crate) fn body(code: Code, reason: &str, message: &str) -> Value {
    json!({
        "code": i32::from(code),
        "message": message,
        "details": [{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": DOMAIN,
            "metadata": {},
        }],
    })
}

fn both(first: Value, when: &str) -> Value {
    let expression = json!({
        "name": "envoy.access_loggers.extension_filters.cel",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            "expression": format!("response.code_details != 'lua_response' && ({when})"),
        },
    });
    json!({"and_filter": {"filters": [first, {"extension_filter": expression}]}})
}

/// The transcoder makes gRPC of JSON, and notes in this header what it was; a caller's own is removed before.
const WAS_JSON: &str = "x-envoy-original-method";

fn is_grpc() -> Value {
    let never_json = json!({"header_filter": {"header": {"name": WAS_JSON, "present_match": false}}});
    json!({"and_filter": {"filters": [says_grpc(false), never_json]}})
}

fn is_json() -> Value {
    let was_json = json!({"header_filter": {"header": {"name": WAS_JSON, "present_match": true}}});
    json!({"or_filter": {"filters": [says_grpc(true), was_json]}})
}

fn says_grpc(inverted: bool) -> Value {
    let header = json!({"name": "content-type", "string_match": {"prefix": "application/grpc"},
                        "treat_missing_header_as_empty": true, "invert_match": inverted});
    json!({"header_filter": {"header": header}})
}

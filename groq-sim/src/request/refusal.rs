//! An error status and its body, in Groq's words.

use crate::wire::{ErrorBody, ErrorDetail};

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) detail: Box<ErrorDetail>,
}

impl Refusal {
    pub(crate) fn new(status: u16, kind: &str, code: Option<&str>, message: impl Into<String>) -> Self {
        let detail = ErrorDetail {
            message: message.into(),
            kind: kind.to_owned(),
            code: code.map(str::to_owned),
            ..ErrorDetail::default()
        };
        Self {
            status,
            detail: Box::new(detail),
        }
    }

    /// 400 without a code.
    pub(crate) fn invalid(message: &str, param: Option<&str>) -> Self {
        Self::new(400, "invalid_request_error", None, message).about(param)
    }

    pub(crate) fn unsupported(property: &str) -> Self {
        Self::invalid(&format!("property '{property}' is unsupported"), None)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "invalid_request_error", Some("invalid_api_key"), "Invalid API Key")
    }

    pub(crate) fn model_not_found(id: &str) -> Self {
        Self::new(
            404,
            "invalid_request_error",
            Some("model_not_found"),
            format!("The model `{id}` does not exist or you do not have access to it."),
        )
    }

    pub(crate) fn decommissioned(id: &str) -> Self {
        Self::new(
            400,
            "invalid_request_error",
            Some("model_decommissioned"),
            format!(
                "The model `{id}` has been decommissioned and is no longer supported. Please refer to \
                 https://console.groq.com/docs/deprecations for a recommendation on which model to use instead."
            ),
        )
    }

    pub(crate) fn context_length() -> Self {
        Self::new(
            400,
            "invalid_request_error",
            Some("context_length_exceeded"),
            "Please reduce the length of the messages or completion.",
        )
        .about(Some("messages"))
    }

    pub(crate) fn unknown_url(method: &str, path: &str) -> Self {
        Self::new(
            404,
            "invalid_request_error",
            Some("unknown_url"),
            format!(
                "Unknown request URL: {method} {path}. Please check the URL for typos, or see the docs at \
                 https://console.groq.com/docs/"
            ),
        )
    }

    pub(crate) fn about(mut self, param: Option<&str>) -> Self {
        self.detail.param = param.map(str::to_owned);
        self
    }

    pub(crate) fn failed_generation(mut self, text: &str) -> Self {
        self.detail.failed_generation = Some(text.to_owned());
        self
    }

    pub(crate) fn body(&self) -> ErrorBody {
        ErrorBody {
            error: (*self.detail).clone(),
        }
    }
}

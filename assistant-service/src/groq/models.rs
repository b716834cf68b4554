//! What is known of a model before it is asked: how long a prompt it takes, and which of the fields that only some
//! models take it takes. Figures are the provider's, of 2026-10.
//!
//! A model that is not known may stand behind any server that speaks the protocol, and servers refuse fields that they do
//! not know. So it is sent only what all of them take: messages, `max_completion_tokens`, `stream`, and JSON mode where
//! JSON is asked for. It gets neither `stream_options` (its usage is estimated unless it tells by itself) nor tools or tiers.

/// What a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Tokens that prompt and answer may have together.
    pub context_window: u32,
    /// Tokens that an answer may have.
    pub max_output_tokens: u32,
    /// Whether room for reasoning must be added to the answer's.
    pub reasons: bool,
    /// What is sent as `reasoning_effort`; `None` where the model is not known to take it.
    pub reasoning_effort: Option<&'static str>,
    /// Whether it can be held to a JSON schema; else it gets JSON mode.
    pub strict_schema: bool,
    /// Whether it takes tools.
    pub tools: bool,
    /// Whether it takes `stream_options`.
    pub stream_options: bool,
    /// Whether it takes `service_tier`.
    pub service_tiers: bool,
}

/// The profile of `model`. A model that is not known is taken for one of the usual size that may reason, and is sent
/// no field that only some take.
pub fn profile(model: &str) -> Profile {
    let usual = Profile {
        context_window: 131_072,
        max_output_tokens: 65_536,
        reasons: true,
        reasoning_effort: None,
        strict_schema: false,
        tools: false,
        stream_options: false,
        service_tiers: false,
    };
    if model.starts_with("openai/gpt-oss-") {
        // The customer waits while the model reasons, and an answer from the ticket's own text needs little of it.
        return Profile {
            reasoning_effort: Some("low"),
            strict_schema: matches!(model, "openai/gpt-oss-20b" | "openai/gpt-oss-120b"),
            tools: true,
            stream_options: true,
            service_tiers: true,
            ..usual
        };
    }
    if model.starts_with("qwen/qwen3") {
        // Its reasoning would come as part of the answer.
        return Profile {
            max_output_tokens: 16_384,
            reasons: false,
            reasoning_effort: Some("none"),
            tools: true,
            stream_options: true,
            service_tiers: true,
            ..usual
        };
    }
    usual
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_sent_only_to_models_that_take_it() {
        assert_eq!(profile("openai/gpt-oss-120b").reasoning_effort, Some("low"));
        assert_eq!(profile("qwen/qwen3.8-27b").reasoning_effort, Some("none"));
        let unknown = profile("some/model");
        assert_eq!(unknown.reasoning_effort, None);
        assert!(!unknown.strict_schema && !unknown.tools && !unknown.stream_options && !unknown.service_tiers);
        let strict = |model| profile(model).strict_schema;
        assert!(strict("openai/gpt-oss-20b") && strict("openai/gpt-oss-120b"));
        assert!(!strict("openai/gpt-oss-safeguard-20b") && !strict("qwen/qwen3.8-27b"));
    }
}

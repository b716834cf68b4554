//! What is known of a model before it is asked: how long a prompt it takes, and which of the fields that only some
//! models take it takes. Figures are the provider's, of 2026-10.

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
}

/// The profile of `model`. A model that is not known is taken for one of the usual size that may reason, and is sent
/// no field that only some take.
pub fn profile(model: &str) -> Profile {
    let usual = Profile {
        context_window: 131_072,
        max_output_tokens: 65_536,
        reasons: true,
        reasoning_effort: None,
    };
    if model.starts_with("openai/gpt-oss-") {
        // The customer waits while the model reasons, and an answer from the ticket's own text needs little of it.
        return Profile {
            reasoning_effort: Some("low"),
            ..usual
        };
    }
    if model.starts_with("qwen/qwen3") {
        // Its reasoning would come as part of the answer.
        return Profile {
            max_output_tokens: 16_384,
            reasons: false,
            reasoning_effort: Some("none"),
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
        assert_eq!(profile("some/model").reasoning_effort, None);
    }
}

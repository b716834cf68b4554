//! Examples of requests and answers, by RPC: `examples.json`. A stream's answer is a text.

use std::sync::LazyLock;

use serde_json::Value;

/// Of whatever has an id.
pub(super) const ID: &str = "019a4c1e-7b5a-7c3d-9e2f-0123456789ab";

static EXAMPLES: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).unwrap_or_default());

pub(super) fn request(rpc: &str) -> Option<Value> {
    EXAMPLES.pointer(&format!("/{rpc}/request")).cloned()
}

pub(super) fn response(rpc: &str) -> Option<Value> {
    EXAMPLES.pointer(&format!("/{rpc}/response")).cloned()
}

#[cfg(test)]
mod tests {
    use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor};

    use super::*;
    use crate::bindings;

    fn assert_reads(message: MessageDescriptor, example: &Value) {
        let name = message.full_name().to_owned();
        let strictly = DeserializeOptions::new().deny_unknown_fields(true);
        let read = DynamicMessage::deserialize_with_options(message, example, &strictly);
        assert!(read.is_ok(), "{name}: {example}: {read:?}");
    }

    #[test]
    fn examples_are_messages_of_their_rpcs() {
        let bindings = bindings::all(&bindings::pool().unwrap()).unwrap();
        let mut known = 0;
        for binding in &bindings {
            let name = binding.rpc.name();
            let (request, response) = (request(name), response(name));
            known += usize::from(request.is_some() || response.is_some());
            if let Some((message, _)) = binding.body_message() {
                assert_reads(message, &request.unwrap_or_else(|| panic!("{name} has no example")));
            } else {
                assert_eq!(request, None, "{name} takes no body");
            }
            match response {
                Some(Value::String(stream)) => {
                    assert!(binding.rpc.is_server_streaming() && stream.ends_with("\n\n"), "{name}");
                    for event in stream.split_terminator("\n\n") {
                        let event = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
                        assert_reads(binding.rpc.output(), &event);
                    }
                }
                Some(example) => assert_reads(binding.rpc.output(), &example),
                None => {}
            }
        }
        assert_eq!(
            EXAMPLES.as_object().unwrap().len(),
            known,
            "an example of an RPC that there is not"
        );
    }
}

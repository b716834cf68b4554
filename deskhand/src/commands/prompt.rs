//! `prompt list`, `prompt render`: what the model is told.

use std::collections::HashMap;
use std::fs;

use deskhand_proto::FILE_DESCRIPTOR_SET;
use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::tickets::v1::TicketCategory;
use prost_reflect::{DescriptorPool, DynamicMessage};

use super::assistant::Assistant;
use crate::cli::{self, Global};
use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::text::visible_line;

const CONVERSATION: &str = "deskhand.assistant.v1.Conversation";

pub(crate) async fn run(command: cli::Prompt, global: &Global, output: &mut Output) -> Result<(), Failure> {
    match command {
        cli::Prompt::List(args) => list(&args, global, output).await,
        cli::Prompt::Render(args) => render(args, global, output).await,
    }
}

async fn list(args: &cli::Assistant, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let assistant = Assistant::new(args, global)?;
    let answer = assistant
        .call(proto::ListPromptsRequest {}, async |mut client, request| {
            client.list_prompts(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.assistant.v1.ListPromptsResponse", &answer);
    }
    for prompt in &answer.prompts {
        let origin = if prompt.overridden { "overridden" } else { "built in" };
        output.line(&visible_line(&format!(
            "{:<20}  {}  {origin}",
            prompt.id, prompt.version
        )))?;
    }
    Ok(())
}

async fn render(args: cli::Render, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let assistant = Assistant::new(&args.assistant, global)?;
    let redacted = args.redacted;
    let request = request(args)?;
    let answer = assistant
        .call(request, async |mut client, request| client.render_prompt(request).await)
        .await?;
    if output.is_json() {
        return output.document("deskhand.assistant.v1.RenderPromptResponse", &answer);
    }
    output.note(&format!(
        "{} version {}, for {}, about {} tokens",
        answer.prompt_id, answer.prompt_version, answer.model, answer.estimated_tokens
    ));
    for (at, message) in answer.messages.iter().enumerate() {
        if at > 0 {
            output.line("")?;
        }
        output.heading(&format!("── {} ──", message.role))?;
        // The instructions are ours, and hold no value of anybody's.
        if redacted || message.role == "system" {
            output.line(&message.content)?;
        } else {
            output.line(&resolved(&message.content, &answer.placeholders))?;
        }
    }
    if !redacted && !answer.placeholders.is_empty() {
        output.note("Personal data and secrets do not leave: --redacted shows what does.");
    }
    Ok(())
}

/// `content` with what its placeholders stand for. What that is may look like a placeholder itself.
fn resolved(content: &str, placeholders: &[proto::Placeholder]) -> String {
    let known: HashMap<_, _> = placeholders
        .iter()
        .map(|one| (one.placeholder.as_str(), one.original.as_str()))
        .collect();
    let mut resolved = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.find('[') {
        let (before, from) = rest.split_at(at);
        resolved.push_str(before);
        let end = from.find(']').map_or(from.len(), |end| end + 1);
        let name = from.get(..end).unwrap_or_default();
        rest = match known.get(name) {
            Some(original) => {
                resolved.push_str(original);
                from.get(end..).unwrap_or_default()
            }
            None => {
                resolved.push('[');
                from.get(1..).unwrap_or_default()
            }
        };
    }
    resolved + rest
}

fn request(args: cli::Render) -> Result<proto::RenderPromptRequest, Failure> {
    let mut conversation = match (args.conversation, args.title) {
        (Some(path), _) => {
            let text = if path.as_os_str() == "-" {
                input::text("-".to_owned())?
            } else {
                fs::read_to_string(&path).map_err(|error| Failure::Local(format!("{}: {error}", path.display())))?
            };
            Some(parse(&text)?)
        }
        (None, Some(title)) => Some(proto::Conversation {
            title,
            description: input::text(args.description.unwrap_or_default())?,
            ..Default::default()
        }),
        (None, None) => None,
    };
    if let (Some(conversation), Some(category)) = (&mut conversation, args.category) {
        conversation.category = TicketCategory::from(category).into();
    }
    Ok(proto::RenderPromptRequest {
        conversation,
        task: proto::Task::from(args.task).into(),
        rewrite_text: args.text.map(input::text).transpose()?.unwrap_or_default(),
        tone: args.tone.map_or(proto::Tone::Unspecified, proto::Tone::from).into(),
    })
}

/// A conversation in the protobuf JSON mapping; unknown fields are refused.
fn parse(text: &str) -> Result<proto::Conversation, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::Usage(format!("this is no conversation: {why}"));
    let contracts = DescriptorPool::decode(FILE_DESCRIPTOR_SET).map_err(|error| wrong(&error))?;
    let descriptor = contracts.get_message_by_name(CONVERSATION);
    let descriptor = descriptor.ok_or_else(|| wrong(&"it is not in the contracts"))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let message = DynamicMessage::deserialize(descriptor, &mut json).map_err(|error| wrong(&error))?;
    json.end().map_err(|error| wrong(&error))?;
    message.transcode_to().map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests {
    use deskhand_proto::tickets::v1::AuthorKind;

    use super::*;

    #[test]
    fn a_conversation_is_read_as_the_contract_writes_it() {
        let text = r#"{"title": "t", "description": "d", "category": "TICKET_CATEGORY_BILLING",
            "turns": [{"author_kind": "AUTHOR_KIND_AGENT", "body": "b", "internal": true}]}"#;
        let conversation = parse(text).unwrap();
        assert_eq!(conversation.category(), TicketCategory::Billing);
        assert_eq!(conversation.turns[0].author_kind(), AuthorKind::Agent);
        assert!(conversation.turns[0].internal);
    }

    #[test]
    fn placeholders_are_resolved_once() {
        let placeholder = |placeholder: &str, original: &str| proto::Placeholder {
            placeholder: placeholder.to_owned(),
            original: original.to_owned(),
        };
        let known = [
            placeholder("[EMAIL_1]", "a@b.example"),
            placeholder("[TEXT_1]", "[EMAIL_1]"),
        ];
        let content = "[[EMAIL_1]] [TEXT_1] [EMAIL_2] [x [ ]ö[EMAIL_1]";
        assert_eq!(
            resolved(content, &known),
            "[a@b.example] [EMAIL_1] [EMAIL_2] [x [ ]öa@b.example"
        );
        assert_eq!(resolved(content, &[]), content);
    }

    #[test]
    fn anything_else_is_wrong_usage() {
        for text in ["", "{", "[]", r#"{"titel": "t"}"#, r#"{"title": 5}"#, "{} {}"] {
            assert!(matches!(parse(text), Err(Failure::Usage(_))), "{text}");
        }
    }
}

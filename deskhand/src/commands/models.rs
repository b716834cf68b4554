//! `models`: what the model's provider offers.

use deskhand_proto::assistant::v1::{ListModelsRequest, Model};

use super::assistant::Assistant;
use crate::cli::{self, Global};
use crate::failure::Failure;
use crate::output::Output;
use crate::text::visible_line;

pub(crate) async fn run(args: cli::Assistant, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let assistant = Assistant::new(&args, global)?;
    let answer = assistant
        .call(ListModelsRequest {}, async |mut client, request| {
            client.list_models(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.assistant.v1.ListModelsResponse", &answer);
    }
    for model in &answer.models {
        output.line(&visible_line(&row(model)))?;
    }
    Ok(())
}

fn row(model: &Model) -> String {
    let part = if model.in_use {
        "in use"
    } else if model.fallback {
        "fallback"
    } else {
        "-"
    };
    let tokens = |count: i64| if count == 0 { "?".to_owned() } else { count.to_string() };
    format!(
        "{:<32}  {:<8}  context {:>7}  answer {:>6}  {}",
        model.id,
        part,
        tokens(model.context_window),
        tokens(model.max_output_tokens),
        model.owned_by
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_provider_does_not_say_is_not_made_up() {
        let model = Model {
            id: "a/b".to_owned(),
            in_use: true,
            ..Model::default()
        };
        let words = row(&model);
        let words: Vec<_> = words.split_whitespace().collect();
        assert_eq!(words, ["a/b", "in", "use", "context", "?", "answer", "?"]);
    }
}

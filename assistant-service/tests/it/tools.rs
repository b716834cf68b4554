//! What the model may do instead of answering.

use std::sync::Mutex;

use assistant_service::groq::engine::{Ask, Engine, Message, Progress, Tool};
use assistant_service::groq::failure::{Failure, Kind};
use assistant_service::settings::Cli;
use clap::Parser as _;

async fn asked(text: &str) -> (Result<(), Failure>, Vec<Progress>) {
    let sim = groq_sim::start(groq_sim::Settings::instant()).await.unwrap();
    let base_url = sim.base_url();
    let arguments = ["assistant-service", "--groq-base-url", &base_url, "--groq-api-key", "k"];
    let engine = Engine::new(&Cli::try_parse_from(arguments).unwrap().settings).unwrap();
    let ask = Ask {
        messages: vec![Message {
            role: "user",
            content: text.to_owned(),
        }],
        answer_tokens: 200,
        estimated_prompt_tokens: 50,
        tools: Some(
            [Tool {
                name: "hand_off".to_owned(),
                description: "Leaves the ticket to a person.".to_owned(),
                parameters: serde_json::json!({
                    "type": "object",
                    "properties": {"why": {"type": "string"}},
                    "required": ["why"],
                    "additionalProperties": false,
                }),
            }]
            .into(),
        ),
        ..Ask::default()
    };
    let told = Mutex::new(Vec::new());
    let result = engine.stream(&ask, |progress| {
        told.lock().unwrap().push(progress);
        std::future::ready(())
    });
    let result = result.await;
    (result, told.into_inner().unwrap())
}

#[tokio::test]
async fn a_call_of_a_tool_comes_whole_after_the_text_and_before_the_end() {
    for after in [0, 5] {
        let (result, told) = asked(&format!("[sim:tool-calls after={after} tool=hand_off]")).await;
        result.unwrap();
        assert!(matches!(told.first(), Some(Progress::CallStarted(_))));
        assert_eq!(
            told.iter().any(|progress| matches!(progress, Progress::Text(_))),
            after > 0
        );
        let [.., Progress::ToolCall { name, arguments }, Progress::CallEnded(_)] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!(name, "hand_off");
        let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap();
        assert!(arguments["why"].is_string());
    }
}

#[tokio::test]
async fn a_model_that_only_answers_calls_nothing() {
    let (result, told) = asked("hello").await;
    result.unwrap();
    assert!(
        !told
            .iter()
            .any(|progress| matches!(progress, Progress::ToolCall { .. }))
    );
}

#[tokio::test]
async fn arguments_that_are_no_json_are_handed_on_and_other_tools_are_not() {
    let (result, told) = asked("[sim:tool-calls tool=hand_off arguments=\"{why\"]").await;
    result.unwrap();
    assert!(told.contains(&Progress::ToolCall {
        name: "hand_off".to_owned(),
        arguments: "{why".to_owned(),
    }));
    let (result, told) = asked("[sim:tool-calls tool=format_disk arguments=\"{}\"]").await;
    assert_eq!(result.unwrap_err().kind, Kind::InvalidOutput);
    assert!(
        !told
            .iter()
            .any(|progress| matches!(progress, Progress::ToolCall { .. }))
    );
}

#[tokio::test]
async fn several_calls_in_one_answer_are_all_handed_on_in_order() {
    for scenario in ["count=3", "count=3 apart=true", "count=3 apart=true after=4"] {
        let arguments = r#"{\"why\": \"x\"}"#;
        let marked = format!("[sim:tool-calls tool=hand_off {scenario} arguments=\"{arguments}\"]");
        let (result, told) = asked(&marked).await;
        result.unwrap();
        let calls = told
            .iter()
            .filter(|progress| matches!(progress, Progress::ToolCall { .. }));
        assert_eq!(calls.count(), 3, "{scenario}");
        let [.., Progress::ToolCall { name, arguments }, Progress::CallEnded(ended)] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!((name.as_str(), arguments.as_str()), ("hand_off", r#"{"why": "x"}"#));
        assert!(ended.usage.output > 0);
    }
    // More than anybody needs are no answer.
    let (result, _) = asked("[sim:tool-calls tool=hand_off count=17 arguments=\"{}\"]").await;
    assert!(matches!(result.unwrap_err().kind, Kind::Protocol(_)));
}

//! `prompt` and `models`, against an assistant-service that answers as it is told.

use std::net::SocketAddr;

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::assistant_service_server::{AssistantService, AssistantServiceServer};
use deskhand_proto::tickets::v1::TicketCategory;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::client::Client;

/// Tells in the prompt what it was asked.
struct Scripted;

#[tonic::async_trait]
impl AssistantService for Scripted {
    type StreamReplyStream = ReceiverStream<Result<proto::StreamReplyResponse, Status>>;

    async fn stream_reply(
        &self,
        _: Request<proto::StreamReplyRequest>,
    ) -> Result<Response<Self::StreamReplyStream>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn summarize(
        &self,
        _: Request<proto::SummarizeRequest>,
    ) -> Result<Response<proto::SummarizeResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn triage(&self, _: Request<proto::TriageRequest>) -> Result<Response<proto::TriageResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn rewrite(&self, _: Request<proto::RewriteRequest>) -> Result<Response<proto::RewriteResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn list_prompts(
        &self,
        _: Request<proto::ListPromptsRequest>,
    ) -> Result<Response<proto::ListPromptsResponse>, Status> {
        let prompt = |id: &str, overridden| proto::Prompt {
            id: id.to_owned(),
            version: "0123456789ab".to_owned(),
            overridden,
            ..Default::default()
        };
        let prompts = vec![prompt("reply/billing", true), prompt("rewrite", false)];
        Ok(Response::new(proto::ListPromptsResponse { prompts }))
    }

    async fn render_prompt(
        &self,
        request: Request<proto::RenderPromptRequest>,
    ) -> Result<Response<proto::RenderPromptResponse>, Status> {
        let request = request.into_inner();
        let conversation = request.conversation.clone().unwrap_or_default();
        if conversation.title == "refuse" {
            return Err(Status::invalid_argument("refused"));
        }
        let content = format!(
            "{:?} {:?} {} {} {} {} {:?}",
            request.task(),
            conversation.category(),
            conversation.title,
            conversation.description,
            conversation.turns.len(),
            request.rewrite_text,
            request.tone()
        );
        let message = |role: &str, content: &str| proto::PromptMessage {
            role: role.to_owned(),
            content: content.to_owned(),
        };
        Ok(Response::new(proto::RenderPromptResponse {
            prompt_id: "an/id".to_owned(),
            messages: vec![message("system", "\u{1b}[31mobey [EMAIL_1]"), message("user", &content)],
            placeholders: vec![proto::Placeholder {
                placeholder: "[EMAIL_1]".to_owned(),
                original: "jane@mail.example".to_owned(),
            }],
            ..Default::default()
        }))
    }

    async fn list_models(
        &self,
        _: Request<proto::ListModelsRequest>,
    ) -> Result<Response<proto::ListModelsResponse>, Status> {
        let model = |id: &str, in_use, fallback| proto::Model {
            id: id.to_owned(),
            context_window: 1_000,
            in_use,
            fallback,
            ..Default::default()
        };
        let models = vec![model("a/one", true, false), model("b/two", false, true)];
        Ok(Response::new(proto::ListModelsResponse { models }))
    }
}

/// Serves until the test's process ends.
fn serve() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let server = Server::builder().add_service(AssistantServiceServer::new(Scripted));
            server
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
    });
    address
}

/// What comes of `arguments`, asked of the scripted service. ticket-service is not needed, nor is a session.
fn expect(arguments: &[&str]) -> String {
    let address = serve().to_string();
    let client = Client::new("127.0.0.1:1");
    client.expect(&[arguments, &["--assistant", &address]].concat())
}

#[test]
fn models_and_prompts_are_listed() {
    let models = expect(&["models"]);
    let lines: Vec<_> = models.lines().collect();
    assert!(lines[0].starts_with("a/one") && lines[0].contains("in use") && lines[0].contains("1000"));
    assert!(lines[1].starts_with("b/two") && lines[1].contains("fallback"));

    let prompts = expect(&["prompt", "list"]);
    let words: Vec<Vec<_>> = prompts.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["reply/billing", "0123456789ab", "overridden"]);
    assert_eq!(words[1], ["rewrite", "0123456789ab", "built", "in"]);
    assert!(expect(&["prompt", "list", "--json"]).contains(r#""overridden":true"#));
}

#[test]
fn a_prompt_is_rendered_from_arguments_or_a_file() {
    let shown = expect(&[
        "prompt",
        "render",
        "--title",
        "T",
        "--description",
        "D",
        "--category",
        "billing",
    ]);
    assert!(shown.contains("── system ──") && shown.contains("── user ──"));
    assert!(!shown.contains('\u{1b}'), "nothing that a terminal would obey");
    assert!(shown.ends_with(&format!(
        "{:?} {:?} T D 0  {:?}",
        proto::Task::Reply,
        TicketCategory::Billing,
        proto::Tone::Unspecified
    )));

    let shown = expect(&[
        "prompt", "render", "--task", "rewrite", "--text", "X", "--tone", "formal",
    ]);
    assert!(shown.ends_with("X Formal"), "{shown}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("conversation.json");
    let text = r#"{"title": "T", "description": "D", "category": "TICKET_CATEGORY_ACCOUNT",
        "turns": [{"author_kind": "AUTHOR_KIND_CUSTOMER", "body": "b"}]}"#;
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let shown = expect(&["prompt", "render", "--task", "triage", "--conversation", file]);
    assert!(shown.contains("Triage Account T D 1"), "{shown}");
    let shown = expect(&[
        "prompt",
        "render",
        "--conversation",
        file,
        "--category",
        "technical",
        "--json",
    ]);
    assert!(shown.contains("Reply Technical T D 1"), "{shown}");
}

#[test]
fn placeholders_are_shown_as_what_they_stand_for_unless_what_leaves_is_asked_for() {
    let render = ["prompt", "render", "--title", "To [EMAIL_1]", "--description", "D"];
    let shown = expect(&render);
    assert!(
        shown.contains("obey [EMAIL_1]") && shown.contains("To jane@mail.example D"),
        "{shown}"
    );
    let shown = expect(&[&render[..], &["--redacted"]].concat());
    assert!(
        shown.contains("To [EMAIL_1] D") && !shown.contains("jane@mail"),
        "{shown}"
    );
    let shown = expect(&[&render[..], &["--json"]].concat());
    assert!(
        shown.contains("To [EMAIL_1] D") && shown.contains(r#""original":"jane@mail.example""#),
        "{shown}"
    );
}

#[test]
fn what_goes_wrong_has_its_exit_code() {
    let address = serve().to_string();
    let client = Client::new("127.0.0.1:1");
    for (arguments, code, says) in [
        (
            vec!["models", "--assistant", "127.0.0.1:1"],
            6,
            "cannot reach assistant-service at 127.0.0.1:1",
        ),
        (vec!["models", "--assistant", "10.0.0.1:1"], 2, "not on this machine"),
        (vec!["prompt", "render", "--assistant", &address], 2, "--title"),
        (
            vec!["prompt", "render", "--title", "x", "--assistant", &address],
            2,
            "--description",
        ),
        (
            vec![
                "prompt",
                "render",
                "--title",
                "refuse",
                "--description",
                "d",
                "--assistant",
                &address,
            ],
            5,
            "refused",
        ),
        (
            vec![
                "prompt",
                "render",
                "--conversation",
                "/nowhere",
                "--assistant",
                &address,
            ],
            1,
            "/nowhere",
        ),
        (
            vec!["prompt", "render", "--conversation", "-", "--assistant", &address],
            2,
            "no conversation",
        ),
    ] {
        let done = client.run(&arguments);
        assert_eq!(done.code, code, "{arguments:?}: {done:?}");
        assert!(done.stderr.contains(says), "{arguments:?}: {done:?}");
    }
}

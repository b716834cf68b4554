//! Summaries, judgements and rewritten texts: answers in one piece.

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::tickets::v1::{AuthorKind, TicketCategory, TicketPriority};
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{StatusExt as _, pb};

use crate::harness::{Desk, conversation, reason, turn, violated_fields, wrong_conversations};

async fn summarize(desk: &Desk, newest: &str) -> Result<proto::SummarizeResponse, Status> {
    let conversation = Some(conversation(newest));
    let request = proto::SummarizeRequest {
        tokens_at_most: 0,
        conversation,
        ..Default::default()
    };
    Ok(desk.client.clone().summarize(request).await?.into_inner())
}

async fn triage(desk: &Desk, newest: &str) -> Result<proto::TriageResponse, Status> {
    let conversation = Some(conversation(newest));
    let request = proto::TriageRequest {
        tokens_at_most: 0,
        conversation,
        ..Default::default()
    };
    Ok(desk.client.clone().triage(request).await?.into_inner())
}

async fn rewrite(desk: &Desk, text: &str, tone: proto::Tone) -> Result<proto::RewriteResponse, Status> {
    let request = proto::RewriteRequest {
        tokens_at_most: 0,
        text: text.to_owned(),
        tone: tone.into(),
        ..Default::default()
    };
    Ok(desk.client.clone().rewrite(request).await?.into_inner())
}

/// The calls that a status tells of, as any client can read them.
fn calls_of(status: &Status) -> Vec<proto::ModelCall> {
    let told = pb::Status::decode(status.details()).unwrap();
    assert_eq!(told.code, status.code() as i32);
    let any = told
        .details
        .iter()
        .find(|any| any.type_url == "type.googleapis.com/deskhand.assistant.v1.ModelCalls")
        .unwrap_or_else(|| panic!("no calls: {status:?}"));
    proto::ModelCalls::decode(any.value.as_slice()).unwrap().calls
}

/// Checks numbers, prompt and costs of `calls` against what the simulator billed, and how each ended.
fn check(sim: &groq_sim::Running, calls: &[proto::ModelCall], prompt: &str, outcomes: &[proto::CallOutcome]) {
    let made = sim.control().calls();
    assert_eq!((calls.len(), made.len()), (outcomes.len(), outcomes.len()));
    for (at, ((call, made), outcome)) in calls.iter().zip(made).zip(outcomes).enumerate() {
        let (started, ended) = (call.started.as_ref().unwrap(), call.ended.as_ref().unwrap());
        assert_eq!((started.call_no, ended.call_no), (at as i32 + 1, at as i32 + 1));
        assert_eq!((started.prompt_id.as_str(), started.prompt_version.len()), (prompt, 12));
        assert_eq!(
            (started.model.as_str(), ended.model.as_str()),
            (made.model.as_str(), made.model.as_str())
        );
        assert_eq!(ended.outcome(), *outcome);
        assert!(ended.duration.is_some());
        if let Some(billed) = made.billed {
            let usage = ended.usage.as_ref().unwrap();
            assert_eq!(usage.input_tokens, i64::from(billed.prompt_tokens));
            assert_eq!(usage.output_tokens, i64::from(billed.completion_tokens));
            assert_eq!(ended.usage_source(), proto::UsageSource::Reported);
            assert_eq!(ended.upstream_id, made.request_id);
            assert!(
                started.input_tokens_at_most >= usage.input_tokens,
                "{started:?} {usage:?}"
            );
        }
    }
}

const WHOLE: proto::CallOutcome = proto::CallOutcome::Completed;

#[tokio::test]
async fn a_ticket_is_summed_up() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let answer = summarize(&desk, "My printer is on fire").await.unwrap();
    let call = sim.control().calls().pop().unwrap();
    assert_eq!(answer.summary, call.text.trim());
    check(&sim, &answer.calls, "summary/general", &[WHOLE]);
    let body = sim.control().requests().pop().unwrap().body;
    assert!(body.get("tools").is_none() && body.get("response_format").is_none());
    assert_eq!(body["messages"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_summary_is_bounded() {
    let (desk, _sim) = Desk::simulated(&["--answer-tokens", "4000"]).await;
    let answer = summarize(&desk, "[sim:ok tokens=3000]").await.unwrap();
    // White space before the cut goes too.
    assert!((3_990..=4_000).contains(&answer.summary.chars().count()));
    assert!(answer.summary.ends_with('…'));
}

#[tokio::test]
async fn a_text_is_written_anew_in_every_tone() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let mut instructions = Vec::new();
    for tone in [
        proto::Tone::Neutral,
        proto::Tone::Friendly,
        proto::Tone::Formal,
        proto::Tone::Shorter,
    ] {
        let answer = rewrite(&desk, "No. Pay first.", tone).await.unwrap();
        assert_eq!(answer.text, sim.control().calls().pop().unwrap().text.trim());
        assert_eq!(answer.calls[0].started.as_ref().unwrap().prompt_id, "rewrite");
        let body = sim.control().requests().pop().unwrap().body;
        instructions.push(body["messages"][0]["content"].as_str().unwrap().to_owned());
        assert!(body["messages"][1]["content"].as_str().unwrap().starts_with("<text-"));
    }
    instructions.dedup();
    assert_eq!(instructions.len(), 4);
}

#[tokio::test]
async fn a_long_text_gets_room_for_its_answer_and_one_that_is_too_long_is_refused() {
    let (desk, sim) = Desk::simulated(&[]).await;
    rewrite(&desk, &"word ".repeat(1_990), proto::Tone::Formal)
        .await
        .unwrap();
    let most = sim.control().requests().pop().unwrap().body["max_completion_tokens"]
        .as_u64()
        .unwrap();
    assert!(most > 2_048 + 3_000, "{most}");

    let status = rewrite(&desk, &"語".repeat(9_999), proto::Tone::Formal)
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "CONVERSATION_TOO_LONG")
    );
    assert_eq!(sim.control().calls().len(), 1, "nothing was sent");
}

#[tokio::test]
async fn a_ticket_is_judged_by_a_strict_schema() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let answer = triage(&desk, "My printer is on fire").await.unwrap();
    assert_eq!(answer.category(), TicketCategory::General);
    assert_eq!(answer.priority(), TicketPriority::Low);
    assert_eq!(answer.sentiment(), proto::Sentiment::Positive);
    assert_eq!(
        (answer.language.as_str(), answer.confidence, answer.needs_human),
        ("en", 1.0, true)
    );
    assert!(answer.why.starts_with("Title: Nothing works"), "{}", answer.why);
    check(&sim, &answer.calls, "triage/general", &[WHOLE]);

    let body = sim.control().requests().pop().unwrap().body;
    assert_ne!(body["stream"], true, "strict schemas do not stream");
    assert_eq!(body["response_format"]["type"], "json_schema");
    assert_eq!(body["response_format"]["json_schema"]["strict"], true);
}

#[tokio::test]
async fn a_model_without_schemas_is_asked_in_json_mode() {
    let (desk, sim) = Desk::simulated(&["--groq-model", "qwen/qwen3.8-27b"]).await;
    let judgement = serde_json::json!({"why": "Fire.", "category": "technical", "priority": "urgent",
        "sentiment": "angry", "language": "pt-br", "confidence": 0.75, "needs_human": true, "extra": 1});
    let message = serde_json::json!({"role": "assistant", "content": judgement.to_string()});
    let body = serde_json::json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 50, "total_tokens": 950}, "x_groq": {"id": "req_1"}});
    let script = serde_json::json!({"summary": "a judgement", "steps":
        [{"head": {"headers": {"content-type": "application/json"}}}, {"body": body}]});
    sim.control()
        .set_script("judgement", serde_json::from_value(script).unwrap())
        .unwrap();
    let answer = triage(&desk, "[sim:script of=judgement]").await.unwrap();
    assert_eq!(
        (answer.category(), answer.priority()),
        (TicketCategory::Technical, TicketPriority::Urgent)
    );
    assert_eq!(
        (answer.sentiment(), answer.language.as_str()),
        (proto::Sentiment::Angry, "pt-BR")
    );
    assert_eq!(
        (answer.confidence, answer.needs_human, answer.why.as_str()),
        (0.75, true, "Fire.")
    );

    let body = sim.control().requests().pop().unwrap().body;
    assert_eq!(body["response_format"], serde_json::json!({"type": "json_object"}));
    assert!(
        body["messages"][1]["content"]
            .as_str()
            .unwrap()
            .ends_with("in one JSON object.)")
    );

    // What the simulator itself makes up in JSON mode is of no form.
    let status = triage(&desk, "hello").await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Aborted, "INVALID_OUTPUT")
    );
}

#[tokio::test]
async fn what_is_not_of_the_form_is_mended_once() {
    for kind in [
        "invalid",
        "missing-field",
        "wrong-enum",
        "wrong-type",
        "extra-text",
        "fenced",
    ] {
        let (desk, sim) = Desk::simulated(&[]).await;
        let answer = triage(&desk, &format!("secretword [sim:bad-json kind={kind}]")).await;
        let answer = answer.unwrap_or_else(|status| panic!("{kind}: {status:?}"));
        check(&sim, &answer.calls, "triage/general", &[WHOLE, WHOLE]);
        let requests = sim.control().requests();
        let messages = |at: usize| requests[at].body["messages"].as_array().unwrap().clone();
        let (first, second) = (messages(0), messages(1));
        assert_eq!(second[..first.len()], first);
        let content = second.last().unwrap()["content"].as_str().unwrap();
        assert!(
            content.starts_with("<answer-") && content.contains("Answer again"),
            "{content}"
        );
    }
    let (desk, sim) = Desk::simulated(&[]).await;
    triage(&desk, "[sim:bad-json kind=extra-field]").await.unwrap();
    assert_eq!(sim.control().calls().len(), 1, "a field too many is passed over");
}

#[tokio::test]
async fn twice_wrong_is_a_failure_that_tells_both_calls() {
    let (desk, sim) = Desk::simulated(&[]).await;
    sim.control().set_scenario("bad-json kind=wrong-enum".parse().unwrap());
    let status = triage(&desk, "secretword").await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Aborted, "INVALID_OUTPUT")
    );
    check(&sim, &calls_of(&status), "triage/general", &[WHOLE, WHOLE]);
    assert!(
        !format!("{status:?}").contains("secretword"),
        "nothing of what the model wrote"
    );
}

#[tokio::test]
async fn failures_of_the_provider_tell_their_calls_beside_the_rest() {
    let limited = "[sim:rate-limit kind=tpd wait=1033.344]";
    for (scenario, code, expected) in [
        (
            "[sim:status code=401]",
            Code::FailedPrecondition,
            "UPSTREAM_UNAUTHENTICATED",
        ),
        ("[sim:length]", Code::Aborted, "ANSWER_TRUNCATED"),
        ("[sim:content-filter]", Code::FailedPrecondition, "CONTENT_FILTERED"),
        ("[sim:ok tokens=0]", Code::Aborted, "EMPTY_ANSWER"),
        (limited, Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED"),
    ] {
        // A service for each: what one call learns of the provider may keep another from being made.
        let desks = [
            Desk::simulated(&[]).await,
            Desk::simulated(&[]).await,
            Desk::simulated(&[]).await,
        ];
        let statuses = [
            summarize(&desks[0].0, scenario).await.unwrap_err(),
            rewrite(&desks[1].0, scenario, proto::Tone::Neutral).await.unwrap_err(),
            triage(&desks[2].0, &scenario.replace("ok tokens=0", "length empty=true"))
                .await
                .unwrap_err(),
        ];
        for (at, status) in statuses.iter().enumerate() {
            let expected = if at == 2 && expected == "EMPTY_ANSWER" {
                "ANSWER_TRUNCATED"
            } else {
                expected
            };
            assert_eq!((status.code(), reason(status).as_str()), (code, expected), "{scenario}");
            let calls = calls_of(status);
            assert!(!calls.is_empty());
            for call in calls {
                assert_eq!(call.ended.unwrap().outcome(), proto::CallOutcome::Failed, "{scenario}");
            }
            if scenario == limited {
                assert!(status.get_error_details().retry_info().is_some());
            }
        }
    }
}

#[tokio::test]
async fn a_blank_answer_is_none() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let script = serde_json::json!({"summary": "blank", "steps": [{"head": {}}, "role",
        {"text": " \u{7}\n "}, {"finish": "stop"}, "usage", "done"]});
    sim.control()
        .set_script("blank", serde_json::from_value(script).unwrap())
        .unwrap();
    let status = summarize(&desk, "[sim:script of=blank]").await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Aborted, "EMPTY_ANSWER")
    );
    assert_eq!(calls_of(&status).len(), 1);
}

#[tokio::test]
async fn wrong_requests_are_refused_by_field_and_nothing_is_sent() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let mut client = desk.client.clone();
    for (conversation, fields) in wrong_conversations() {
        let request = proto::SummarizeRequest {
            tokens_at_most: 0,
            conversation: conversation.clone(),
            ..Default::default()
        };
        assert_eq!(violated_fields(&client.summarize(request).await.unwrap_err()), fields);
        let request = proto::TriageRequest {
            tokens_at_most: 0,
            conversation,
            ..Default::default()
        };
        assert_eq!(violated_fields(&client.triage(request).await.unwrap_err()), fields);
    }
    let status = rewrite(&desk, "", proto::Tone::Unspecified).await.unwrap_err();
    assert_eq!(violated_fields(&status), ["text", "tone"]);
    let noted = proto::Conversation {
        turns: vec![proto::Turn {
            internal: true,
            ..turn(AuthorKind::Customer, "x")
        }],
        ..conversation("")
    };
    let request = proto::SummarizeRequest {
        tokens_at_most: 0,
        conversation: Some(noted),
        ..Default::default()
    };
    let status = client.summarize(request).await.unwrap_err();
    assert_eq!(violated_fields(&status), ["conversation.turns[0].internal"]);
    assert!(sim.control().requests().is_empty());
}

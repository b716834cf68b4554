//! The models that the provider offers.

use deskhand_proto::assistant::v1 as proto;
use tonic::Code;

use crate::harness::{Desk, KEY, reason};

#[tokio::test]
async fn as_the_provider_says_by_id_and_which_is_in_use() {
    let (desk, sim) = Desk::simulated(&["--groq-model", "openai/gpt-oss-20b"]).await;
    let models = desk
        .client
        .clone()
        .list_models(proto::ListModelsRequest {})
        .await
        .unwrap()
        .into_inner()
        .models;
    assert!(models.is_sorted_by_key(|model| model.id.clone()) && models.len() > 1);
    let in_use: Vec<_> = models.iter().filter(|model| model.in_use).collect();
    assert_eq!(in_use.len(), 1);
    assert_eq!(in_use[0].id, "openai/gpt-oss-20b");
    assert_eq!(
        (in_use[0].context_window, in_use[0].max_output_tokens),
        (131_072, 65_536)
    );
    assert_eq!(in_use[0].owned_by, "OpenAI");
    assert_eq!(sim.control().requests()[0].path, "/openai/v1/models");
}

#[tokio::test]
async fn a_provider_that_does_not_know_us_or_is_not_there() {
    let sim = groq_sim::start(groq_sim::Settings::instant()).await.unwrap();
    let desk = Desk::asking(&sim.base_url(), &["--groq-api-key", ""]).await;
    let status = desk
        .client
        .clone()
        .list_models(proto::ListModelsRequest {})
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "UPSTREAM_UNAUTHENTICATED")
    );

    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let desk = Desk::asking(&format!("http://127.0.0.1:{port}"), &[]).await;
    let status = desk
        .client
        .clone()
        .list_models(proto::ListModelsRequest {})
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unavailable, "UPSTREAM_UNAVAILABLE")
    );
    assert!(!format!("{status:?}").contains(KEY));
}

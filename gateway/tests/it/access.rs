//! Who gets through, and to what.

use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::json;

use crate::client::{Answer, Client};
use crate::gateway::{Gateway, client};
use crate::system::System;
use crate::upstream::Upstream;

const ID: &str = "019a4c1e-7b5a-7c3d-9e2f-0123456789ab";

/// What proxies and frameworks are known to believe, and more of the kind.
const CLAIMS: &[&str] = &[
    "x-user-id",
    "x-user",
    "x-userid",
    "x-user-email",
    "x-user-role",
    "x-jwt-payload",
    "x-jwt-claims",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-access-token",
    "x-forwarded-preferred-username",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-goog-authenticated-user-email",
    "x-amzn-oidc-data",
    "x-amzn-oidc-identity",
    "x-ms-client-principal",
    "x-ms-client-principal-id",
    "x-remote-user",
    "x-role",
    "x-roles",
    "x-tenant-id",
    "x-session-id",
    "x-account-id",
    "x-deskhand-user",
    "x-endpoint-api-userinfo",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-envoy-retry-on",
    "x-envoy-upstream-rq-timeout-ms",
    "x-client-cert",
    "remote-user",
    "forwarded",
    "cookie",
];

/// A body that no method can make sense of, in gRPC's framing.
const EMPTY_FRAME: &[u8] = &[0, 0, 0, 0, 0];

fn path_of(binding: &gateway::bindings::Binding) -> String {
    let mut path = binding.path();
    for field in binding.bound() {
        path = path.replace(&format!("{{{}}}", gateway::bindings::parameter(field)), ID);
    }
    path
}

#[tokio::test]
async fn without_a_token_only_the_anonymous_methods_are_reached() {
    let system = System::shared();
    let nobody = Client::of(&system);
    let bindings = gateway::bindings::all(&gateway::bindings::pool().unwrap()).unwrap();
    assert!(bindings.len() >= 38);
    for binding in bindings {
        let name = binding.rpc.full_name();
        let method: Method = binding.method.parse().unwrap();
        let mut request = nobody.request(method, &path_of(&binding));
        if binding.body_message().is_some() {
            request = request.header("content-type", "application/json").body("{}");
        }
        let answer = Answer::of(request).await;
        let grpc = nobody.request(Method::POST, &binding.grpc_path());
        let grpc = grpc.header("content-type", "application/grpc").body(EMPTY_FRAME);
        let grpc = grpc.send().await.unwrap();
        if binding.is_anonymous() {
            assert!(
                answer.status == 200 || answer.reason() != "TOKEN_MISSING",
                "{name}: {answer:?}"
            );
            let status = grpc
                .headers()
                .get("grpc-status")
                .map(|status| status.to_str().unwrap().to_owned());
            assert_ne!(status.as_deref(), Some("12"), "{name}");
        } else {
            answer.assert_refused(401, "TOKEN_MISSING");
            assert_eq!(grpc.headers()["grpc-status"], "16", "{name}");
        }
    }
}

#[tokio::test]
async fn without_a_token_nothing_else_goes_upstream() {
    let upstream = Upstream::on("127.0.0.1:0");
    let unlimited = [("GATEWAY_REQUESTS_PER_SECOND", "0")];
    let gateway = Gateway::before(&upstream.address, &unlimited).await;
    for binding in gateway::bindings::all(&gateway::bindings::pool().unwrap()).unwrap() {
        if binding.is_anonymous() {
            continue;
        }
        let method: Method = binding.method.parse().unwrap();
        let answer = Answer::of(client().request(method, gateway.url(&path_of(&binding)))).await;
        answer.assert_refused(401, "TOKEN_MISSING");
        for kind in ["application/grpc", "application/grpc-web+proto", "application/json"] {
            let grpc = client()
                .post(gateway.url(&binding.grpc_path()))
                .header("content-type", kind);
            grpc.body(EMPTY_FRAME).send().await.unwrap();
        }
    }
    assert_eq!(upstream.calls().len(), 0, "{:?}", upstream.calls());
    gateway.get("/.well-known/jwks.json").await;
    assert_eq!(upstream.calls().len(), 1, "it would have been noticed");
}

#[tokio::test]
async fn claims_of_an_identity_change_nothing() {
    let system = System::shared();
    let (mine, theirs, admin) = (
        Client::customer(&system).await,
        Client::customer(&system).await,
        Client::admin(&system).await,
    );
    let admin_id = admin.get("/v1/me").await.ok()["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let ticket = theirs.ticket("It burns.").await;
    let with_claims = |client: &Client, path: &str| {
        let mut request = client.request(Method::GET, path);
        for name in CLAIMS {
            request = request.header(*name, &admin_id);
        }
        let payload = json!({"sub": admin_id, "role": "ADMIN"}).to_string();
        request
            .header("x-jwt-payload", payload.clone())
            .header("x-apigateway-api-userinfo", payload)
    };
    let me = Answer::of(with_claims(&mine, "/v1/me")).await.ok();
    assert_eq!(me, mine.get("/v1/me").await.ok());
    Answer::of(with_claims(&mine, "/v1/users"))
        .await
        .assert_refused(403, "ROLE_NOT_ALLOWED");
    Answer::of(with_claims(&mine, &format!("/v1/tickets/{ticket}")))
        .await
        .assert_refused(404, "TICKET_NOT_FOUND");
    Answer::of(with_claims(&Client::of(&system), "/v1/me"))
        .await
        .assert_refused(401, "TOKEN_MISSING");
}

#[tokio::test]
async fn claims_of_an_identity_do_not_reach_the_service() {
    let upstream = Upstream::on("127.0.0.1:0");
    let gateway = Gateway::before(&upstream.address, &[]).await;
    let mut request = client().get(gateway.url("/.well-known/jwks.json"));
    for name in CLAIMS {
        request = request.header(*name, "someone");
    }
    let request = request
        .header("x-custom", "kept")
        .header("x-request-id", "mine")
        .header(AUTHORIZATION, "Bearer x");
    Answer::of(request.header("x-forwarded-for", "203.0.113.7")).await;
    let calls = upstream.calls();
    let (path, headers) = calls.iter().find(|(path, _)| path.contains("AuthService")).unwrap();
    assert_eq!(path, "/deskhand.accounts.v1.AuthService/GetJwks");
    for (name, value) in headers {
        assert!(!CLAIMS.contains(&name.as_str()), "{name}: {value:?}");
        assert_ne!(value, "someone", "{name}");
    }
    assert_eq!(headers["x-custom"], "kept", "the test would notice them");
    assert_eq!(headers[AUTHORIZATION], "Bearer x");
    assert_ne!(headers["x-request-id"], "mine", "ids are ours");
    // The last entry is who really called; Envoy says this machine's address for the loopback's.
    let addresses = headers["x-forwarded-for"]
        .to_str()
        .unwrap()
        .split(',')
        .collect::<Vec<_>>();
    assert!(
        addresses.len() == 2 && addresses[0] == "203.0.113.7" && addresses[1] != addresses[0],
        "{addresses:?}"
    );
}

#[tokio::test]
async fn what_is_not_for_callers_is_not_there() {
    let system = System::shared();
    let admin = Client::admin(&system).await;
    for path in [
        "/deskhand.assistant.v1.AssistantService/ListModels",
        "/deskhand.assistant.v1.AssistantService/RenderPrompt",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.health.v1.Health/Check",
        "/deskhand.tickets.v1.Nothing/GetTicket",
    ] {
        for kind in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc-web+proto",
        ] {
            let request = admin
                .request(Method::POST, path)
                .header("content-type", kind)
                .body(EMPTY_FRAME);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.headers()["grpc-status"], "12", "{path} {kind}");
        }
        let json = admin.post(path, &json!({})).await;
        json.assert_refused(404, "METHOD_UNKNOWN");
    }
    for path in [
        "/",
        "/metrics",
        "/livez/x",
        "/readyz",
        "/admin",
        "/server_info",
        "/v1",
        "/v2/tickets",
    ] {
        admin.get(path).await.assert_refused(404, "METHOD_UNKNOWN");
    }
    // By its gRPC name, but as JSON.
    admin
        .post("/deskhand.tickets.v1.TicketService/ListTickets", &json!({}))
        .await
        .assert_refused(404, "METHOD_UNKNOWN");
}

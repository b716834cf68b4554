//! A real Envoy in front: what JSON becomes, and what it may not become.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::time::Instant;

use local_postgres::process::{OnParentDeath, spawn_tied};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Desk, PASSWORD, PATIENCE};
use crate::tools;

/// Transcodes JSON for one desk; stopped when dropped.
struct Envoy {
    process: Child,
    url: String,
    client: reqwest::Client,
    _files: TempDir,
}

impl Envoy {
    async fn before(desk: &Desk) -> Self {
        let files = tempfile::tempdir().unwrap();
        let [configuration, descriptors, admin, log] =
            ["envoy.json", "deskhand.fds", "admin", "log"].map(|name| files.path().join(name));
        fs::write(&descriptors, deskhand_proto::FILE_DESCRIPTOR_SET).unwrap();
        let value = configure(desk.address, descriptors.to_str().unwrap());
        fs::write(&configuration, value.to_string()).unwrap();

        let mut command = Command::new(tools::folder("envoy-").join("envoy/_bin/envoy"));
        command.arg("--config-path").arg(&configuration);
        command
            .arg("--admin-address-path")
            .arg(&admin)
            .arg("--log-path")
            .arg(&log);
        command.args(["--log-level", "warn", "--disable-hot-restart", "--concurrency", "1"]);
        let mut envoy = Self {
            process: spawn_tied(command, OnParentDeath::Kill).unwrap(),
            url: String::new(),
            client: reqwest::Client::new(),
            _files: files,
        };
        let began = Instant::now();
        while envoy.url.is_empty() {
            if let Some(ended) = envoy.process.try_wait().unwrap() {
                panic!(
                    "Envoy ended ({ended}): {}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            assert!(began.elapsed() < PATIENCE, "Envoy does not listen");
            envoy.url = envoy
                .listens(&fs::read_to_string(&admin).unwrap_or_default())
                .await
                .unwrap_or_default();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        envoy
    }

    /// Where it took a port, once it says so.
    async fn listens(&self, admin: &str) -> Option<String> {
        let url = format!("http://{}/listeners?format=json", admin.trim());
        let listeners: Value = self.client.get(url).send().await.ok()?.json().await.ok()?;
        let port = listeners.pointer("/listener_statuses/0/local_address/socket_address/port_value")?;
        Some(format!("http://127.0.0.1:{port}"))
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.client.post(format!("{}{path}", self.url));
        let request = request
            .header("content-type", "application/json")
            .body(body.to_string());
        let response = request.send().await.unwrap();
        let status = response.status();
        (status, response.json().await.unwrap())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configure(desk: SocketAddr, descriptors: &str) -> Value {
    let typed = |kind: &str, mut value: Value| {
        value["@type"] = format!("type.googleapis.com/envoy.extensions.{kind}").into();
        value
    };
    let address =
        |address: SocketAddr| json!({"socket_address": {"address": address.ip(), "port_value": address.port()}});
    let transcoder = json!({
        "proto_descriptor": descriptors,
        "services": ["deskhand.accounts.v1.AuthService", "deskhand.accounts.v1.UserService",
                     "deskhand.tickets.v1.TicketService", "deskhand.replies.v1.ReplyService", "deskhand.feed.v1.FeedService"],
        "convert_grpc_status": true,
        "print_options": {"preserve_proto_field_names": true},
    });
    let http = "filters.http";
    let manager = json!({
        "stat_prefix": "desk",
        "route_config": {"virtual_hosts": [{"name": "desk", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "desk", "timeout": "0s"}},
        ]}]},
        "http_filters": [
            {"name": "transcoder", "typed_config":
                typed(&format!("{http}.grpc_json_transcoder.v3.GrpcJsonTranscoder"), transcoder)},
            {"name": "router", "typed_config": typed(&format!("{http}.router.v3.Router"), json!({}))},
        ],
    });
    let manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        manager,
    );
    let http2 = json!({"explicit_http_config": {"http2_protocol_options": {}}});
    let protocol = "upstreams.http.v3.HttpProtocolOptions";
    json!({
        "admin": {"address": address(([127, 0, 0, 1], 0).into())},
        "static_resources": {
            "listeners": [{
                "name": "json",
                "address": address(([127, 0, 0, 1], 0).into()),
                "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
            }],
            "clusters": [{
                "name": "desk",
                "typed_extension_protocol_options":
                    {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(protocol, http2)},
                "load_assignment": {"cluster_name": "desk", "endpoints": [
                    {"lb_endpoints": [{"endpoint": {"address": address(desk)}}]},
                ]},
            }],
        },
    })
}

#[tokio::test]
async fn gateway_leaves_a_smuggled_role_without_effect() {
    let desk = Desk::open().await;
    let envoy = Envoy::before(&desk).await;
    let mut made = 0;
    for smuggled in [
        json!({}),
        json!({"role": "ROLE_ADMIN"}),
        json!({"role": 3}),
        json!({"user": {"role": "ROLE_ADMIN"}, "isAdmin": true, "is_admin": true}),
        json!({"Role": "ADMIN", "ROLE": 3, "4": 3, "roles": ["ROLE_ADMIN"], "id": "00000000-0000-7000-8000-000000000000"}),
    ] {
        let mut request = json!({
            "email": format!("eve{made}@example.com"), "password": PASSWORD, "display_name": "Eve",
        });
        request
            .as_object_mut()
            .unwrap()
            .extend(smuggled.as_object().unwrap().clone());
        let (status, answer) = envoy.post("/v1/auth/signup", &request).await;
        // It may be refused as a whole, but not be obeyed.
        if status == StatusCode::OK {
            assert_eq!(answer["user"]["role"], "ROLE_CUSTOMER", "{smuggled}: {answer}");
            made += 1;
        } else {
            assert_eq!(status, StatusCode::BAD_REQUEST, "{smuggled}: {answer}");
        }
        let promoted = "SELECT count(*) FROM users WHERE role <> 'CUSTOMER'";
        assert_eq!(desk.count(promoted).await, 0, "{smuggled}");
    }
    assert!(made > 0, "at least the one without is made");
    assert_eq!(desk.count("SELECT count(*) FROM users").await, made);
}

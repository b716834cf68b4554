//! `deploy/envoy/envoy.yaml` with its values filled in. Each is written as JSON, which YAML holds.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use crate::bindings::SERVICES;
use crate::settings::{Run, Upstream};
use crate::{local_replies, pages};

/// The template.
pub const TEMPLATE: &str = include_str!("../../deploy/envoy/envoy.yaml");

/// More than any address will send.
const NO_LIMIT: u32 = 1_000_000;

/// The configuration of one gateway whose other files are in `dir`.
///
/// # Errors
/// Where the template names something that there is not, or an origin is none.
pub fn configuration(settings: &Run, dir: &Path) -> anyhow::Result<String> {
    let file = |name: &str| -> anyhow::Result<Value> {
        Ok(dir
            .join(name)
            .to_str()
            .context("a folder whose name is no UTF-8")?
            .into())
    };
    let at_once = |per_second: u32| json!(per_second.saturating_mul(4).min(NO_LIMIT));
    let limit = |per_second: u32| if per_second == 0 { NO_LIMIT } else { per_second };
    let (all, costly) = (
        limit(settings.requests_per_second),
        limit(settings.costly_requests_per_second),
    );
    let pages = pages::routes(dir)?;
    let values = BTreeMap::from([
        ("ADMIN_PORT", json!(settings.admin_port)),
        ("LISTEN_ADDRESS", json!(settings.listen.ip())),
        ("LISTEN_PORT", json!(settings.listen.port())),
        ("TRUSTED_HOPS", json!(settings.trusted_hops)),
        (
            "HEADERS_WITHIN",
            json!(format!("{}s", settings.request_seconds.min(10))),
        ),
        ("REQUEST_WITHIN", json!(format!("{}s", settings.request_seconds))),
        ("LOCAL_REPLIES", local_replies::mappers()),
        ("PER_SECOND", json!(all)),
        ("BURST", at_once(all)),
        ("COSTLY_PER_SECOND", json!(costly)),
        ("COSTLY_BURST", at_once(costly)),
        ("JWKS_FOR", json!(format!("{}s", settings.jwks_seconds))),
        ("STRICT_JSON", file(crate::files::STRICT_JSON)?),
        ("DESCRIPTORS", file(crate::files::DESCRIPTORS)?),
        ("SERVICES", json!(SERVICES)),
        ("CORS_ORIGINS", origins(&settings.cors_allowed_origins)?),
        ("PAGES", Value::Array(pages)),
        ("TICKET_SERVICE_ENDPOINTS", endpoints(&settings.ticket_service)),
        ("TICKET_OPS_ENDPOINTS", endpoints(&settings.ticket_ops)),
    ]);
    fill(TEMPLATE, &values)
}

/// Envoy's list of a service's replicas.
fn endpoints(upstreams: &[Upstream]) -> Value {
    upstreams
        .iter()
        .map(|upstream| {
            let address = json!({"socket_address": {"address": upstream.host, "port_value": upstream.port}});
            json!({"endpoint": {"address": address}})
        })
        .collect()
}

/// Envoy's matchers of the origins that may call.
fn origins(list: &str) -> anyhow::Result<Value> {
    let mut matchers = Vec::new();
    for origin in list.split(',').map(str::trim).filter(|origin| !origin.is_empty()) {
        if origin == "*" {
            matchers.push(json!({"safe_regex": {"regex": ".*"}}));
            continue;
        }
        let rest = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"));
        ensure!(
            rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', '?', '#', '@', ' '])),
            "CORS_ALLOWED_ORIGINS: `{origin}` is no origin, such as https://app.example"
        );
        matchers.push(json!({"exact": origin}));
    }
    Ok(matchers.into())
}

/// Puts each value where its name stands. A list that has a line to itself becomes lines of a list.
fn fill(template: &str, values: &BTreeMap<&str, Value>) -> anyhow::Result<String> {
    let mut filled = String::with_capacity(template.len() * 2);
    let mut unused: Vec<_> = values.keys().copied().collect();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').context("`${` without an end")?;
        let value = values.get(name).with_context(|| format!("the template names {name}"))?;
        unused.retain(|known| *known != name);
        filled.push_str(before);
        match value {
            Value::Array(items) if before.ends_with('\n') => {
                let lines: Vec<_> = items.iter().map(|item| format!("              - {item}")).collect();
                filled.push_str(&lines.join("\n"));
            }
            value => filled.push_str(&value.to_string()),
        }
        rest = after;
    }
    filled.push_str(rest);
    if !unused.is_empty() {
        bail!("the template does not name {}", unused.join(", "));
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_value_and_every_value_its_place() {
        let values = BTreeMap::from([("A", json!("x\"y")), ("B", json!([1, {"c": 2}]))]);
        assert_eq!(
            fill("a: ${A}\nb:\n${B}\nc: ${B}\n", &values).unwrap(),
            "a: \"x\\\"y\"\nb:\n              - 1\n              - {\"c\":2}\nc: [1,{\"c\":2}]\n"
        );
        assert!(fill("${A}", &values).is_err(), "B is not used");
        assert!(fill("${A}${B}${C}", &values).is_err(), "there is no C");
        assert!(fill("${A}${B", &values).is_err(), "no end");
    }

    #[test]
    fn origins_are_origins() {
        assert_eq!(origins("").unwrap(), json!([]));
        assert_eq!(
            origins("https://a.example, http://localhost:3000").unwrap(),
            json!([{"exact": "https://a.example"}, {"exact": "http://localhost:3000"}])
        );
        for wrong in [
            "a.example",
            "https://",
            "https://a.example/",
            "https://*.example",
            "ftp://a",
        ] {
            assert!(origins(wrong).is_err(), "{wrong}");
        }
    }
}

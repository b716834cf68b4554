//! The pages that the gateway shows: the API's description with a viewer, and a page to try it. Envoy answers them itself, from
//! files; nothing is fetched from elsewhere.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

/// A file at an address.
pub struct Page {
    /// Where.
    pub path: &'static str,
    pub(crate) file: &'static str,
    pub(crate) content: &'static [u8],
    kind: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! page {
    ($path:literal, $file:literal, $source:literal, $kind:expr) => {
        Page {
            path: $path,
            file: $file,
            content: include_bytes!(concat!("../../", $source)),
            kind: $kind,
        }
    };
}

/// All of them.
pub const PAGES: &[Page] = &[
    page!("/openapi.json", "openapi.json", "docs/openapi.json", "application/json"),
    page!("/docs", "docs.html", "deploy/pages/docs.html", HTML),
    page!("/docs/docs.js", "docs.js", "deploy/pages/docs.js", SCRIPT),
    page!(
        "/docs/swagger-ui.css",
        "swagger-ui.css",
        "deploy/pages/swagger-ui/swagger-ui.css",
        CSS
    ),
    page!(
        "/docs/swagger-ui-bundle.js",
        "swagger-ui-bundle.js",
        "deploy/pages/swagger-ui/swagger-ui-bundle.js",
        SCRIPT
    ),
    page!(
        "/docs/LICENSE",
        "swagger-ui.LICENSE",
        "deploy/pages/swagger-ui/LICENSE",
        "text/plain; charset=utf-8"
    ),
    page!("/try", "try.html", "deploy/pages/try.html", HTML),
    page!("/try/try.js", "try.js", "deploy/pages/try.js", SCRIPT),
    page!("/try/try.css", "try.css", "deploy/pages/try.css", CSS),
];

/// What pages may do: speak to the gateway that they came from, and load nothing from anywhere else. The viewer sets styles.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Envoy's routes to the pages, whose files are in `dir`.
///
/// # Errors
/// Where the folder's name is no UTF-8.
pub fn routes(dir: &Path) -> anyhow::Result<Vec<Value>> {
    let mut routes = Vec::new();
    for page in PAGES {
        let file = dir.join(page.file);
        let headers = [
            ("content-type", page.kind),
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        ];
        let headers = headers.map(|(key, value)| {
            json!({"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"})
        });
        routes.push(json!({
            "match": {"path": page.path, "headers": [{"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}]},
            "direct_response": {
                "status": 200,
                "body": {"filename": file.to_str().context("a folder whose name is no UTF-8")?},
            },
            "response_headers_to_add": headers,
            "typed_per_filter_config": {"envoy.filters.http.grpc_json_transcoder": {
                "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true,
            }},
        }));
    }
    Ok(routes)
}

//! The contracts' HTTP bindings (`google.api.http`), as the transcoder reads them.

use anyhow::{Context as _, bail};
use deskhand_proto::FILE_DESCRIPTOR_SET;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, Value};

/// The services that the gateway shows, in the order in which people read of them. Others are not reachable through it.
pub const SERVICES: &[&str] = &[
    "deskhand.accounts.v1.AuthService",
    "deskhand.tickets.v1.TicketService",
    "deskhand.replies.v1.ReplyService",
    "deskhand.feed.v1.FeedService",
    "deskhand.accounts.v1.UserService",
];

/// Methods that need no access token. The template's rules of `jwt_authn` name the same.
pub const ANONYMOUS: &[&str] = &[
    "deskhand.accounts.v1.AuthService.SignUp",
    "deskhand.accounts.v1.AuthService.LogIn",
    "deskhand.accounts.v1.AuthService.RefreshToken",
    "deskhand.accounts.v1.AuthService.RequestPasswordReset",
    "deskhand.accounts.v1.AuthService.ResetPassword",
    "deskhand.accounts.v1.AuthService.GetJwks",
];

/// One method's HTTP form.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The method.
    pub rpc: MethodDescriptor,
    /// `GET` and so on.
    pub method: &'static str,
    /// The path's segments.
    pub segments: Vec<Segment>,
    /// What stands after the last segment's colon; empty for none.
    pub verb: String,
    /// What the body is.
    pub body: Body,
}

/// A part of a path, between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// As it stands.
    Text(String),
    /// The value of a field, by its path in the request.
    Field(String),
}

/// What the body of a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none: fields that are not in the path are in the query.
    None,
    /// All fields that are not in the path.
    Whole,
    /// This field; others are in the query.
    Field(String),
}

/// The pool of all contracts.
///
/// # Errors
/// Where the descriptor set cannot be read.
pub fn pool() -> anyhow::Result<DescriptorPool> {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).context("the descriptor set")
}

/// All bindings of the services that the gateway shows.
///
/// # Errors
/// Where an RPC has no binding, or one of a kind that is not known here.
pub fn all(pool: &DescriptorPool) -> anyhow::Result<Vec<Binding>> {
    let mut bindings = Vec::new();
    for name in SERVICES {
        let service = pool.get_service_by_name(name).with_context(|| (*name).to_owned())?;
        for rpc in service.methods() {
            bindings.push(Binding::of(pool, &rpc).with_context(|| rpc.full_name().to_owned())?);
        }
    }
    Ok(bindings)
}

impl Binding {
    fn of(pool: &DescriptorPool, rpc: &MethodDescriptor) -> anyhow::Result<Self> {
        let http = pool
            .get_extension_by_name("google.api.http")
            .context("google.api.http")?;
        let options = rpc.options();
        let rule = options.get_extension(&http);
        let rule = rule.as_message().context("google.api.http is a message")?;
        let rpc = rpc.clone();
        for (field, method) in [
            ("get", "GET"),
            ("post", "POST"),
            ("patch", "PATCH"),
            ("delete", "DELETE"),
            ("put", "PUT"),
        ] {
            if !rule.has_field_by_name(field) {
                continue;
            }
            let (segments, verb) = parse(&text(rule, field)?)?;
            let body = match text(rule, "body")?.as_str() {
                "" => Body::None,
                "*" => Body::Whole,
                field => Body::Field(field.to_owned()),
            };
            return Ok(Self {
                rpc,
                method,
                segments,
                verb,
                body,
            });
        }
        bail!("no HTTP binding")
    }

    /// As OpenAPI writes it: `/v1/tickets/{ticket_id}:assign`. There, two spellings of one path are an error, so a field
    /// inside another is called as one beside it: `{ticket.id}` is `{ticket_id}`.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => path = format!("{path}/{text}"),
                Segment::Field(field) => path = format!("{path}/{{{}}}", parameter(field)),
            }
        }
        if !self.verb.is_empty() {
            path = format!("{path}:{}", self.verb);
        }
        path
    }

    /// The fields that the path holds.
    pub fn bound(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Field(field) => Some(field.as_str()),
            Segment::Text(_) => None,
        })
    }

    /// The message that the body is, and its place in the request.
    pub fn body_message(&self) -> Option<(MessageDescriptor, &str)> {
        match &self.body {
            Body::None => None,
            Body::Whole => Some((self.rpc.input(), "")),
            Body::Field(field) => {
                let kind = self.rpc.input().get_field_by_name(field)?.kind();
                Some((kind.as_message()?.clone(), field))
            }
        }
    }

    /// Whether anyone may call it.
    pub fn is_anonymous(&self) -> bool {
        ANONYMOUS.contains(&self.rpc.full_name())
    }

    /// The path of gRPC.
    pub fn grpc_path(&self) -> String {
        format!("/{}/{}", self.rpc.parent_service().full_name(), self.rpc.name())
    }
}

/// What a field of the path is called there.
pub fn parameter(field: &str) -> String {
    field.replace('.', "_")
}

fn text(rule: &DynamicMessage, field: &str) -> anyhow::Result<String> {
    match rule.get_field_by_name(field).as_deref() {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => bail!("{field} of google.api.http is no text"),
    }
}

/// The segments of a path template, and its verb.
fn parse(template: &str) -> anyhow::Result<(Vec<Segment>, String)> {
    let (path, verb) = match template.rsplit_once(':') {
        Some((path, verb)) => (path, verb.to_owned()),
        None => (template, String::new()),
    };
    let path = path.strip_prefix('/').context("a path begins with a slash")?;
    let segment = |text: &str| {
        let field = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        match field {
            Some(field) if field.contains(['=', '*']) => bail!("{text}: patterns are not known here"),
            Some(field) => Ok(Segment::Field(field.to_owned())),
            None if text.is_empty() || text.contains(['{', '}', '*']) => bail!("{text}: not a segment"),
            None => Ok(Segment::Text(text.to_owned())),
        }
    };
    Ok((path.split('/').map(segment).collect::<Result<_, _>>()?, verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_has_a_path_of_its_own_and_paths_are_read_as_they_are_written() {
        let bindings = all(&pool().unwrap()).unwrap();
        let mut seen: Vec<_> = bindings
            .iter()
            .map(|binding| (binding.method, binding.path()))
            .collect();
        assert!(seen.contains(&("PATCH", "/v1/tickets/{ticket_id}".to_owned())));
        assert!(seen.contains(&("POST", "/v1/auth/password-reset:confirm".to_owned())));
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), bindings.len());
    }

    #[test]
    fn the_template_exempts_what_is_anonymous_and_nothing_else() {
        let template = crate::render::TEMPLATE;
        let rules = template.split("rules:\n").nth(1).unwrap();
        let rules = rules.split("prefix: /v1/}").next().unwrap();
        let exempt: Vec<_> = rules
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- match: {path: ")?.strip_suffix('}'))
            .map(|path| path.trim_matches('"').to_owned())
            .collect();
        let mut expected = Vec::new();
        for binding in all(&pool().unwrap())
            .unwrap()
            .iter()
            .filter(|binding| binding.is_anonymous())
        {
            expected.push(binding.grpc_path());
            // Paths outside /v1/ need no exemption.
            expected.extend(Some(binding.path()).filter(|path| path.starts_with("/v1/")));
        }
        assert_eq!(sorted(exempt), sorted(expected));
    }

    #[test]
    fn the_template_routes_the_services_that_are_shown_and_no_other() {
        let routes = crate::render::TEMPLATE.split("routes:\n").nth(1).unwrap();
        for service in SERVICES {
            assert!(routes.contains(&format!("/{service}/")), "{service}");
        }
        for hidden in ["AssistantService", "ServerReflection", "grpc.health"] {
            assert!(!routes.contains(hidden), "{hidden}");
        }
        for binding in all(&pool().unwrap()).unwrap() {
            if binding.rpc.is_server_streaming() {
                let (_, route) = routes
                    .split_once(&format!("path: {}}}\n", binding.grpc_path()))
                    .unwrap();
                let route = route.trim_start();
                let endless =
                    "route: &stream\n                  cluster: ticket_service\n                  timeout: 0s\n";
                assert!(
                    route.starts_with(endless) || route.starts_with("route: *stream\n"),
                    "{route}"
                );
            }
        }
    }

    fn sorted(mut paths: Vec<String>) -> Vec<String> {
        paths.sort();
        paths
    }
}

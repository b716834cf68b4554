//! Settings: flags or variables. `--help` documents each.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, value_parser};

/// Deskhand's gateway: HTTP/JSON, gRPC-Web and gRPC in front of ticket-service, by Envoy.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Program {
    /// What to do [default: run].
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Of the gateway.
    #[command(flatten)]
    pub run: Run,
}

/// What the program does.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Write what Envoy needs, and become Envoy.
    Run,
    /// Write what Envoy needs, and say how to start it.
    Write,
    /// Print the OpenAPI document.
    Openapi,
    /// Ask the gateway on GATEWAY_ADDR whether it lives; exits with 1 where it does not.
    Health,
}

/// All that a gateway needs.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// Where to listen.
    #[arg(long, global = true, env = "GATEWAY_ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where ticket-service is: host and port. Several replicas are several of them with commas between, or a name with several
    /// addresses.
    #[arg(
        long,
        global = true,
        env = "TICKET_SERVICE_UPSTREAM",
        value_delimiter = ',',
        default_value = "127.0.0.1:50051"
    )]
    pub ticket_service: Vec<Upstream>,
    /// Where ticket-service's listener for machines is, which has the keys that verify tokens: the same.
    #[arg(
        long,
        global = true,
        env = "TICKET_OPS_UPSTREAM",
        value_delimiter = ',',
        default_value = "127.0.0.1:9101"
    )]
    pub ticket_ops: Vec<Upstream>,
    /// Origins of web pages on other hosts that may call, with commas between them (https://app.example); `*`: all.
    #[arg(
        long,
        global = true,
        env = "CORS_ALLOWED_ORIGINS",
        default_value = "",
        hide_default_value = true
    )]
    pub cors_allowed_origins: String,
    /// Requests a second from one address, in the long run; four times as many at once. 0: any number.
    #[arg(long, global = true, env = "GATEWAY_REQUESTS_PER_SECOND", default_value_t = 50, value_parser = value_parser!(u32).range(0..=1_000_000))]
    pub requests_per_second: u32,
    /// The same for requests that cost a password's hash or send mail, such as sign-up and log-in.
    #[arg(long, global = true, env = "GATEWAY_COSTLY_REQUESTS_PER_SECOND", default_value_t = 5, value_parser = value_parser!(u32).range(0..=1_000_000))]
    pub costly_requests_per_second: u32,
    /// How many proxies of ours stand in front of the gateway and write x-forwarded-for.
    #[arg(long, global = true, env = "GATEWAY_TRUSTED_HOPS", default_value_t = 0)]
    pub trusted_hops: u8,
    /// Seconds within which a request has to have arrived.
    #[arg(long, global = true, env = "GATEWAY_REQUEST_SECONDS", default_value_t = 30, value_parser = value_parser!(u32).range(1..=3600))]
    pub request_seconds: u32,
    /// Seconds for which the keys that verify tokens are kept; a new key is published for 900 before it signs.
    #[arg(long, global = true, env = "GATEWAY_JWKS_SECONDS", default_value_t = 300, value_parser = value_parser!(u32).range(1..=600))]
    pub jwks_seconds: u32,
    /// Threads that serve [default: one per processor].
    #[arg(long, global = true, env = "GATEWAY_THREADS", value_parser = value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Port of Envoy's own administration, on 127.0.0.1 [default: a free one, which the file `admin` in GATEWAY_DIR names].
    #[arg(
        long,
        global = true,
        env = "GATEWAY_ADMIN_PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub admin_port: u16,
    /// Envoy 1.40 or newer.
    #[arg(long, global = true, env = "ENVOY_BIN", default_value = "envoy")]
    pub envoy_bin: PathBuf,
    /// Folder for the files that Envoy reads; made where there is none.
    #[arg(long, global = true, env = "GATEWAY_DIR", default_value = ".deskhand/gateway")]
    pub dir: PathBuf,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl FromStr for Upstream {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "it is no host and port, such as ticket-service:50051";
        let (host, port) = text.rsplit_once(':').ok_or(wrong)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        match bracketed {
            Some(address) if address.parse::<std::net::Ipv6Addr>().is_ok() => {}
            None if !host.is_empty() && host.chars().all(is_name) => {}
            _ => return Err(wrong),
        }
        Ok(Self {
            host: bracketed.unwrap_or(host).to_owned(),
            port: port.parse().ok().filter(|port| *port != 0).ok_or(wrong)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Program::command().debug_assert();
    }

    #[test]
    fn an_upstream_is_a_host_and_a_port() {
        let upstream = |text: &str| text.parse::<Upstream>().map(|upstream| (upstream.host, upstream.port));
        assert_eq!(upstream("ticket-service:50051"), Ok(("ticket-service".into(), 50051)));
        assert_eq!(upstream("[::1]:9101"), Ok(("::1".into(), 9101)));
        for wrong in [
            "",
            "host",
            "host:",
            "host:0",
            ":1",
            "http://host:1",
            "::1:1",
            "[x]:1",
            "a b:1",
        ] {
            assert!(upstream(wrong).is_err(), "{wrong}");
        }
    }
}

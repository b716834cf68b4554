//! Which server to talk to.

use std::env;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tonic::transport::Uri;

use crate::failure::Failure;

const DEFAULT_ADDRESS: &str = "127.0.0.1:50051";
const DEFAULT_ASSISTANT: &str = "127.0.0.1:50052";

/// A server's address, and where it was learned.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// `host:port`; names the server's session too.
    pub(crate) address: String,
    /// The file that named it, if one did.
    pub(crate) named_by: Option<PathBuf>,
}

/// What a running system says of itself, as far as it matters here.
#[derive(Deserialize)]
struct RunFile {
    ticket_service: String,
    assistant_service: Option<String>,
}

impl Server {
    /// The server that was asked for, or the one that runs here, or the default one.
    pub(crate) fn find(given: Option<&str>, home: Option<PathBuf>, folder: &Path) -> Result<Self, Failure> {
        let named = |file: RunFile| Some(file.ticket_service);
        Self::find_named(named, DEFAULT_ADDRESS, given, home, folder)
    }

    /// The assistant-service that was asked for, or the one that runs here, or the default one.
    pub(crate) fn find_assistant(given: Option<&str>) -> Result<Self, Failure> {
        let folder = env::current_dir().unwrap_or_default();
        let home = env::var_os("DESKHAND_HOME").filter(|home| !home.is_empty());
        let named = |file: RunFile| file.assistant_service;
        Self::find_named(named, DEFAULT_ASSISTANT, given, home.map(PathBuf::from), &folder)
    }

    fn find_named(
        named: impl Fn(RunFile) -> Option<String>,
        default: &str,
        given: Option<&str>,
        home: Option<PathBuf>,
        folder: &Path,
    ) -> Result<Self, Failure> {
        if let Some(address) = given.filter(|address| !address.is_empty()) {
            return Self::parse(address, false);
        }
        let candidates: Vec<PathBuf> = match home {
            Some(home) => vec![home.join("run.json")],
            None => folder
                .ancestors()
                .map(|folder| folder.join(".deskhand/run.json"))
                .collect(),
        };
        for path in candidates {
            if let Some(address) = read_run_file(&path)?.and_then(&named) {
                return Ok(Self {
                    named_by: Some(path),
                    ..Self::parse(&address, true)?
                });
            }
        }
        Self::parse(default, false)
    }

    /// Passwords and tokens would cross a network in clear text: that takes an explicit `http://`, unless the server is
    /// known to be `on_this_machine`.
    fn parse(text: &str, on_this_machine: bool) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::Usage(format!("{text:?} cannot be used as the server's address: {why}"));
        if text.starts_with("https://") {
            return Err(wrong("this client has no TLS yet"));
        }
        let explicit = text
            .strip_prefix("http://")
            .map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let address = explicit.unwrap_or(text);
        let uri: Uri = format!("http://{address}")
            .parse()
            .map_err(|_| wrong("it must be host:port"))?;
        let (Some(authority), "/", None) = (uri.authority(), uri.path(), uri.query()) else {
            return Err(wrong("it must be host:port"));
        };
        if authority.as_str() != address || address.contains('@') || matches!(authority.port_u16(), None | Some(0)) {
            return Err(wrong("it must be host:port"));
        }
        if explicit.is_none() && !on_this_machine && !is_this_machine(authority.host()) {
            return Err(wrong(
                "it is not on this machine; http:// before it says that unencrypted is fine",
            ));
        }
        Ok(Self {
            address: address.to_ascii_lowercase(),
            named_by: None,
        })
    }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// `None` where there is no such file. Another user's file could send the password to a server of theirs.
fn read_run_file(path: &Path) -> Result<Option<RunFile>, Failure> {
    let unusable =
        |why: String| Failure::Local(format!("{} cannot be used: {why}; --server names one", path.display()));
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(unusable(error.to_string())),
    };
    let metadata = file.metadata().map_err(|error| unusable(error.to_string()))?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(unusable("it belongs to another user".to_owned()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(unusable("others may write to it".to_owned()));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(|error| unusable(error.to_string()))?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| unusable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write_run_file(folder: &Path, text: &str) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join("run.json");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    #[test]
    fn the_given_one_wins_then_the_run_file_then_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        assert_eq!(Server::find(None, None, &deep).unwrap().address, DEFAULT_ADDRESS);

        let path = write_run_file(
            &folder.path().join(".deskhand"),
            r#"{"ticket_service":"127.0.0.1:4001","pid":1}"#,
        );
        let found = Server::find(Some(""), None, &deep).unwrap();
        assert_eq!((found.address.as_str(), found.named_by), ("127.0.0.1:4001", Some(path)));
        assert_eq!(
            Server::find(Some("localhost:1"), None, &deep).unwrap().address,
            "localhost:1"
        );

        let home = folder.path().join("home");
        assert_eq!(
            Server::find(None, Some(home.clone()), &deep).unwrap().address,
            DEFAULT_ADDRESS
        );
        write_run_file(&home, r#"{"ticket_service":"http://127.0.0.1:4002"}"#);
        assert_eq!(Server::find(None, Some(home), &deep).unwrap().address, "127.0.0.1:4002");
    }

    #[test]
    fn a_run_file_that_others_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = write_run_file(
            &folder.path().join(".deskhand"),
            r#"{"ticket_service":"127.0.0.1:4001"}"#,
        );
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(
            Server::find(None, None, folder.path()),
            Err(Failure::Local(_))
        ));
    }

    #[test]
    fn a_broken_run_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        write_run_file(&folder.path().join(".deskhand"), "{");
        assert!(matches!(
            Server::find(None, None, folder.path()),
            Err(Failure::Local(_))
        ));
    }

    #[test]
    fn clear_text_leaves_this_machine_only_when_asked_for() {
        for text in [
            "127.0.0.1:1",
            "127.8.8.8:1",
            "[::1]:50051",
            "LOCALHOST:1",
            "0.0.0.0:50051",
            "http://desk:1/",
        ] {
            assert!(Server::parse(text, false).is_ok(), "{text}");
        }
        for text in [
            "desk:50051",
            "10.0.0.1:1",
            "https://127.0.0.1:1",
            "localhost.evil.com:1",
        ] {
            assert!(matches!(Server::parse(text, false), Err(Failure::Usage(_))), "{text}");
        }
    }

    #[test]
    fn addresses_that_are_none() {
        for text in [
            "x",
            "127.0.0.1",
            "127.0.0.1:0",
            "127.0.0.1:99999",
            "u:p@127.0.0.1:1",
            "127.0.0.1:1/x",
            "127.0.0.1:1?x",
            ":1",
            "http://",
        ] {
            assert!(matches!(Server::parse(text, false), Err(Failure::Usage(_))), "{text}");
        }
    }
}

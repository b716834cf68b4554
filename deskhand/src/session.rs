//! The session of whoever logged in, kept between commands: one file a server, for its owner's eyes only.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{env, io};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::failure::Failure;

/// Who logged in, and with what result.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) email: String,
    pub(crate) access_token: SecretString,
    pub(crate) expire_time: OffsetDateTime,
}

/// A session as its file has it.
#[derive(Serialize, Deserialize)]
struct Record {
    server: String,
    email: String,
    access_token: String,
    #[serde(with = "time::serde::rfc3339")]
    access_token_expire_time: OffsetDateTime,
}

/// The folder of all sessions.
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// The one in the user's configuration directory.
    pub(crate) fn of_user() -> Result<Self, Failure> {
        let configured = env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let folder = configured.or_else(|| Some(env::home_dir()?.join(".config")));
        match folder {
            Some(folder) => Ok(Self {
                folder: folder.join("deskhand"),
            }),
            None => Err(Failure::Local(
                "there is no home directory to keep a session in; set XDG_CONFIG_HOME".to_owned(),
            )),
        }
    }

    /// The access token to use at `server`, if it still holds at `now`.
    pub(crate) fn access_token(&self, server: &str, now: OffsetDateTime) -> Result<SecretString, Failure> {
        let Some(session) = self.load(server)? else {
            return Err(Failure::NotLoggedIn(format!("you are not logged in at {server}")));
        };
        if session.expire_time <= now {
            let Session { email, .. } = session;
            return Err(Failure::NotLoggedIn(format!(
                "the session of {email} at {server} has expired"
            )));
        }
        Ok(session.access_token)
    }

    /// The session at `server`, expired or not.
    pub(crate) fn load(&self, server: &str) -> Result<Option<Session>, Failure> {
        let path = self.path(server);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, &error)),
        };
        let unreadable = |why: &str| Failure::NotLoggedIn(format!("the session in {} {why}", path.display()));
        let record: Record = serde_json::from_str(&text).map_err(|_| unreadable("cannot be read"))?;
        if record.server != server {
            return Err(unreadable("is of another server"));
        }
        Ok(Some(Session {
            email: record.email,
            access_token: record.access_token.into(),
            expire_time: record.access_token_expire_time,
        }))
    }

    /// Keeps a session, in place of the one that there was at `server`. Whoever reads sees the old one or the new one.
    pub(crate) fn save(&self, server: &str, session: &Session) -> Result<(), Failure> {
        let record = Record {
            server: server.to_owned(),
            email: session.email.clone(),
            access_token: session.access_token.expose_secret().to_owned(),
            access_token_expire_time: session.expire_time,
        };
        let path = self.path(server);
        let text = serde_json::to_vec(&record).map_err(|error| Failure::Local(error.to_string()))?;
        self.write(&path, &text).map_err(|error| unusable(&path, &error))
    }

    fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // It may have been there before, made by something less careful.
        fs::set_permissions(&self.folder, Permissions::from_mode(0o700))?;
        // A temporary file is 0600 from its first moment on.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    fn path(&self, server: &str) -> PathBuf {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']');
        let name: String = server.chars().map(|c| if plain(c) { c } else { '_' }).collect();
        self.folder.join(format!("session-{name}.json"))
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::Local(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    const SERVER: &str = "127.0.0.1:50051";
    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store {
            folder: folder.path().join("config/deskhand"),
        };
        (folder, store)
    }

    fn session(token: &str, lives: Duration) -> Session {
        Session {
            email: "ada@example.com".to_owned(),
            access_token: token.into(),
            expire_time: NOW + lives,
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn one_session_a_server() {
        let (_folder, store) = store();
        assert!(matches!(store.access_token(SERVER, NOW), Err(Failure::NotLoggedIn(_))));
        store.save(SERVER, &session("one", Duration::MINUTE)).unwrap();
        store.save("[::1]:50051", &session("two", Duration::MINUTE)).unwrap();
        store.save(SERVER, &session("three", Duration::MINUTE)).unwrap();
        assert_eq!(store.access_token(SERVER, NOW).unwrap().expose_secret(), "three");
        assert_eq!(store.access_token("[::1]:50051", NOW).unwrap().expose_secret(), "two");
        let files = fs::read_dir(&store.folder).unwrap().count();
        assert_eq!(files, 2, "nothing temporary stays");
    }

    #[test]
    fn only_the_owner_can_read_it() {
        let (_folder, store) = store();
        fs::create_dir_all(&store.folder).unwrap();
        fs::set_permissions(&store.folder, Permissions::from_mode(0o755)).unwrap();
        fs::write(store.path(SERVER), "{}").unwrap();
        fs::set_permissions(store.path(SERVER), Permissions::from_mode(0o644)).unwrap();
        store.save(SERVER, &session("one", Duration::MINUTE)).unwrap();
        assert_eq!((mode(&store.folder), mode(&store.path(SERVER))), (0o700, 0o600));
    }

    #[test]
    fn an_expired_session_says_whose_it_was() {
        let (_folder, store) = store();
        store.save(SERVER, &session("one", Duration::ZERO)).unwrap();
        let failure = store.access_token(SERVER, NOW).unwrap_err();
        assert_eq!(failure.exit_code(), 3);
        assert_eq!(
            failure.to_string(),
            format!("the session of ada@example.com at {SERVER} has expired")
        );
        assert!(store.access_token(SERVER, NOW - Duration::SECOND).is_ok());
    }

    #[test]
    fn a_broken_file_means_not_logged_in_and_can_be_replaced() {
        let (_folder, store) = store();
        store.save(SERVER, &session("one", Duration::MINUTE)).unwrap();
        for text in ["", "{\"server\":", "[]", "{\"server\":\"127.0.0.1:1\"}"] {
            fs::write(store.path(SERVER), text).unwrap();
            assert_eq!(store.access_token(SERVER, NOW).unwrap_err().exit_code(), 3, "{text}");
        }
        store.save(SERVER, &session("two", Duration::MINUTE)).unwrap();
        assert_eq!(store.access_token(SERVER, NOW).unwrap().expose_secret(), "two");
    }

    #[test]
    fn a_server_name_is_no_path() {
        let (_folder, store) = store();
        assert_eq!(store.path("../x:1").parent(), Some(store.folder.as_path()));
    }
}

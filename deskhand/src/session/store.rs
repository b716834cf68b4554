//! Where sessions are kept: one file a server, for its owner's eyes only, and a lock beside it.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, io};

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use super::{Session, Token};
use crate::failure::Failure;

/// Between two looks at a lock that another command holds.
const POLL: Duration = Duration::from_millis(10);

/// A session as its file has it.
#[derive(Serialize, Deserialize)]
struct Record {
    server: String,
    email: String,
    access_token: String,
    #[serde(with = "time::serde::rfc3339")]
    access_token_expire_time: OffsetDateTime,
    /// Files of earlier versions have neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    refresh_token_expire_time: Option<OffsetDateTime>,
}

/// The place of a server's session.
pub(super) struct Store {
    folder: PathBuf,
    server: String,
}

/// The same while nobody else changes it. A process that dies lets go.
pub(super) struct Locked<'a> {
    store: &'a Store,
    /// Holds the lock until it is closed.
    _lock: File,
}

impl Store {
    /// The one in the user's configuration directory.
    pub(super) fn of_user(server: &str) -> Result<Self, Failure> {
        let configured = env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let folder = configured.or_else(|| Some(env::home_dir()?.join(".config")));
        match folder {
            Some(folder) => Ok(Self {
                folder: folder.join("deskhand"),
                server: server.to_owned(),
            }),
            None => Err(Failure::Local(
                "there is no home directory to keep a session in; set XDG_CONFIG_HOME".to_owned(),
            )),
        }
    }

    /// Whether something is kept, readable or not.
    pub(super) fn exists(&self) -> bool {
        self.path("json").exists()
    }

    /// The session, expired or not.
    pub(super) fn load(&self) -> Result<Option<Session>, Failure> {
        let path = self.path("json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, &error)),
        };
        let unreadable = |why: &str| Failure::NotLoggedIn(format!("the session in {} {why}", path.display()));
        let record: Record = serde_json::from_str(&text).map_err(|_| unreadable("cannot be read"))?;
        if record.server != self.server {
            return Err(unreadable("is of another server"));
        }
        let refresh = record.refresh_token.zip(record.refresh_token_expire_time);
        Ok(Some(Session {
            email: record.email,
            access: Token {
                text: record.access_token.into(),
                expire_time: record.access_token_expire_time,
            },
            refresh: refresh.map(|(text, expire_time)| Token {
                text: text.into(),
                expire_time,
            }),
        }))
    }

    /// Waits until nobody else changes the session, as long as patience lasts.
    pub(super) async fn lock(&self, patience: Duration) -> Result<Locked<'_>, Failure> {
        let path = self.path("lock");
        let wrong = |error: &io::Error| unusable(&path, error);
        self.make_folder().map_err(|error| wrong(&error))?;
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|error| wrong(&error))?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    return Ok(Locked {
                        store: self,
                        _lock: file,
                    });
                }
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(POLL).await,
                Err(TryLockError::WouldBlock) => {
                    return Err(Failure::Busy(format!(
                        "another command is busy with the session at {} and does not finish",
                        self.server
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(wrong(&error)),
            }
        }
    }

    fn make_folder(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // It may have been there before, made by something less careful.
        fs::set_permissions(&self.folder, Permissions::from_mode(0o700))
    }

    fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        // A temporary file is 0600 from its first moment on.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        // The name must outlive a power cut too: the token before it is used up.
        File::open(&self.folder)?.sync_all()
    }

    fn path(&self, ending: &str) -> PathBuf {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']');
        let name: String = self.server.chars().map(|c| if plain(c) { c } else { '_' }).collect();
        self.folder.join(format!("session-{name}.{ending}"))
    }
}

impl Locked<'_> {
    pub(super) fn load(&self) -> Result<Option<Session>, Failure> {
        self.store.load()
    }

    /// Keeps a session, in place of the one that there was. Whoever reads sees the old one or the new one.
    pub(super) fn save(&self, session: &Session) -> Result<(), Failure> {
        let (refresh_token, refresh_token_expire_time) = session
            .refresh
            .as_ref()
            .map(|token| (token.text.expose_secret().to_owned(), token.expire_time))
            .unzip();
        let record = Record {
            server: self.store.server.clone(),
            email: session.email.clone(),
            access_token: session.access.text.expose_secret().to_owned(),
            access_token_expire_time: session.access.expire_time,
            refresh_token,
            refresh_token_expire_time,
        };
        let path = self.store.path("json");
        let text = serde_json::to_vec(&record).map_err(|error| Failure::Local(error.to_string()))?;
        self.store.write(&path, &text).map_err(|error| unusable(&path, &error))
    }

    /// Whether there was one.
    pub(super) fn remove(&self) -> Result<bool, Failure> {
        let path = self.store.path("json");
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(unusable(&path, &error)),
        }
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::Local(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "127.0.0.1:50051";
    const PATIENCE: Duration = Duration::from_secs(10);
    /// A file as it was before there were refresh tokens.
    const OLD: &str = r#"{"server":"127.0.0.1:50051","email":"ada@example.com","access_token":"old",
        "access_token_expire_time":"2026-01-01T00:00:00Z"}"#;

    fn store_in(folder: &tempfile::TempDir, server: &str) -> Store {
        Store {
            folder: folder.path().join("config/deskhand"),
            server: server.to_owned(),
        }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = store_in(&folder, SERVER);
        (folder, store)
    }

    fn token(text: &str) -> Token {
        Token {
            text: text.into(),
            expire_time: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn session(name: &str) -> Session {
        Session {
            email: "ada@example.com".to_owned(),
            access: token(name),
            refresh: Some(token(&format!("{name}, refreshed"))),
        }
    }

    async fn save(store: &Store, name: &str) {
        store.lock(PATIENCE).await.unwrap().save(&session(name)).unwrap();
    }

    fn kept(store: &Store) -> Option<String> {
        let session = store.load().unwrap()?;
        Some(session.access.text.expose_secret().to_owned())
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn one_session_a_server() {
        let (folder, store) = store();
        let other = store_in(&folder, "[::1]:50051");
        assert!(store.load().unwrap().is_none() && !store.exists());
        assert!(!store.folder.exists(), "looking leaves no trace");
        save(&store, "one").await;
        save(&other, "two").await;
        save(&store, "three").await;
        assert_eq!(kept(&store).as_deref(), Some("three"));
        assert_eq!(kept(&other).as_deref(), Some("two"));
        let files = fs::read_dir(&store.folder).unwrap().count();
        assert_eq!(files, 4, "a session and a lock each; nothing temporary stays");

        assert!(store.lock(PATIENCE).await.unwrap().remove().unwrap());
        assert!(!store.lock(PATIENCE).await.unwrap().remove().unwrap());
        assert_eq!((kept(&store), kept(&other).as_deref()), (None, Some("two")));
    }

    #[tokio::test]
    async fn everything_is_read_back() {
        let (_folder, store) = store();
        save(&store, "one").await;
        let read = store.load().unwrap().unwrap();
        let refresh = read.refresh.unwrap();
        assert_eq!(read.email, "ada@example.com");
        assert!(read.access.is(&"one".into()) && refresh.is(&"one, refreshed".into()));
        assert_eq!(refresh.expire_time, OffsetDateTime::UNIX_EPOCH);
    }

    #[tokio::test]
    async fn a_session_without_a_refresh_token_is_read_too() {
        let (_folder, store) = store();
        let locked = store.lock(PATIENCE).await.unwrap();
        fs::write(store.path("json"), OLD).unwrap();
        let old = locked.load().unwrap().unwrap();
        assert!(old.access.is(&"old".into()) && old.refresh.is_none());
        locked.save(&old).unwrap();
        assert!(!fs::read_to_string(store.path("json")).unwrap().contains("refresh"));
        assert!(locked.load().unwrap().unwrap().refresh.is_none());
    }

    #[tokio::test]
    async fn only_the_owner_can_read_it() {
        let (_folder, store) = store();
        fs::create_dir_all(&store.folder).unwrap();
        fs::set_permissions(&store.folder, Permissions::from_mode(0o755)).unwrap();
        fs::write(store.path("json"), "{}").unwrap();
        fs::set_permissions(store.path("json"), Permissions::from_mode(0o644)).unwrap();
        save(&store, "one").await;
        assert_eq!((mode(&store.folder), mode(&store.path("json"))), (0o700, 0o600));
        assert_eq!(mode(&store.path("lock")), 0o600);
    }

    #[tokio::test]
    async fn a_broken_file_means_not_logged_in_and_can_be_replaced() {
        let (_folder, store) = store();
        save(&store, "one").await;
        for text in [
            "",
            "{\"server\":",
            "[]",
            "{\"server\":\"127.0.0.1:1\"}",
            &OLD.replace(":50051", ":1"),
        ] {
            fs::write(store.path("json"), text).unwrap();
            assert_eq!(store.load().unwrap_err().exit_code(), 3, "{text}");
            assert!(store.exists());
        }
        save(&store, "two").await;
        assert_eq!(kept(&store).as_deref(), Some("two"));
    }

    #[tokio::test]
    async fn changes_take_turns() {
        let (_folder, store) = store();
        let locked = store.lock(PATIENCE).await.unwrap();
        let failure = store.lock(Duration::from_millis(30)).await.map(|_| ()).unwrap_err();
        assert_eq!(failure.exit_code(), 6);
        assert!(failure.to_string().contains(SERVER), "{failure}");
        // Whoever only reads does not wait.
        assert!(store.load().unwrap().is_none());

        let waiting = async {
            let locked = store.lock(PATIENCE).await.unwrap();
            assert_eq!(kept(&store).as_deref(), Some("one"), "the first one was not done");
            locked.save(&session("two")).unwrap();
        };
        let working = async {
            sleep(Duration::from_millis(50)).await;
            locked.save(&session("one")).unwrap();
            drop(locked);
        };
        tokio::join!(waiting, working);
        assert_eq!(kept(&store).as_deref(), Some("two"));
    }

    #[test]
    fn a_server_name_is_no_path() {
        let folder = tempfile::tempdir().unwrap();
        let store = store_in(&folder, "../x:1");
        assert_eq!(store.path("json").parent(), Some(store.folder.as_path()));
    }
}

//! The keys that sign access tokens: a folder of Ed25519 PKCS #8 PEM files, one of which signs while all verify.
//!
//! - `schedule`: the rules, over times and a clock
//! - `folder`, `key`: the files, and what is in them
//! - `set`: what was read last
//! - `jwks`: the public halves
//! - [`command`]: how people make, look at and retire keys

pub mod command;
mod folder;
pub(crate) mod jwks;
mod key;
mod schedule;
mod set;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;

use folder::{Folder, KeyFile};
pub(crate) use jwks::PublicKey;
use key::Key;
use set::{Reading, Set};

/// How often the folder is looked at: a key that is retired because it leaked is out within a second.
const PERIOD: Duration = Duration::from_millis(500);

/// The keys in force. A clone is a handle to the same keys.
#[derive(Clone, Debug)]
pub struct Keys(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: Folder,
    set: RwLock<Arc<Set>>,
    seen: Mutex<Seen>,
}

/// What was found when the folder was looked at last.
#[derive(Debug, Default)]
struct Seen {
    files: Vec<KeyFile>,
    /// What was wrong, and has been logged.
    wrong: Vec<String>,
}

impl Keys {
    /// Reads the folder; makes a first key, readable to its owner only, where there is none.
    ///
    /// # Errors
    /// Where the folder or a key in it cannot be read.
    pub fn from_folder(path: &Path) -> anyhow::Result<Self> {
        Self::load(path).with_context(|| of_keys(path))
    }

    fn load(path: &Path) -> anyhow::Result<Self> {
        let folder = Folder::make(path)?;
        let mut files = folder.list()?;
        if files.is_empty() {
            let _lock = folder.lock()?;
            // Another that starts now may have made one.
            if folder.list()?.is_empty() {
                command::make(&folder, None, OffsetDateTime::now_utc())?;
            }
            files = folder.list()?;
        }
        let Reading { set, broken } = Set::read(&folder, files.clone(), None);
        if let Some(error) = broken.into_iter().next() {
            return Err(error);
        }
        let Some(set) = set else { bail!("there is no key") };
        Ok(Self(Arc::new(Shared {
            folder,
            set: RwLock::new(Arc::new(set)),
            seen: Mutex::new(Seen {
                files,
                wrong: Vec::new(),
            }),
        })))
    }

    /// The key that signs.
    pub(super) fn signing(&self, now: OffsetDateTime) -> Arc<Key> {
        self.set().signing(now)
    }

    /// The key of this id.
    pub(super) fn verifying(&self, id: &str) -> Option<Arc<Key>> {
        self.set().verifying(id)
    }

    /// The public halves of all keys, the oldest first.
    pub(super) fn public(&self) -> Vec<PublicKey> {
        self.set().public()
    }

    /// Follows changes of the folder until it is dropped.
    pub(super) async fn keep_reading(&self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let keys = self.clone();
            // A folder may be a network's.
            if tokio::task::spawn_blocking(move || keys.read()).await.is_err() {
                tracing::error!("reading the signing keys broke off");
            }
        }
    }

    /// Reads what has changed. Nothing of what was read before is lost to a file that is broken.
    fn read(&self) {
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = match self.0.folder.list() {
            Ok(files) if files == seen.files && seen.wrong.is_empty() => return,
            Ok(files) => {
                seen.files.clone_from(&files);
                self.take_over(files)
            }
            Err(error) => vec![anyhow::Error::new(error).context(of_keys(self.0.folder.path()))],
        };
        let wrong: Vec<String> = wrong.iter().map(|error| format!("{error:#}")).collect();
        for error in wrong.iter().filter(|error| !seen.wrong.contains(error)) {
            tracing::error!(error, "signing keys cannot be read; what was read before stays in use");
        }
        seen.wrong = wrong;
    }

    /// Puts the keys of these files in force; what could not be read is answered.
    fn take_over(&self, files: Vec<KeyFile>) -> Vec<anyhow::Error> {
        let before = self.set();
        let Reading { set, mut broken } = Set::read(&self.0.folder, files, Some(&before));
        match set {
            Some(set) => {
                for key in set.public().iter().filter(|key| before.verifying(&key.kid).is_none()) {
                    tracing::info!(kid = key.kid, "a signing key is new");
                }
                for key in before.public().iter().filter(|key| set.verifying(&key.kid).is_none()) {
                    tracing::info!(kid = key.kid, "a signing key is gone");
                }
                *self.0.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
            }
            None => broken.push(anyhow::anyhow!("there is no key in {}", self.0.folder.path().display())),
        }
        broken
    }

    fn set(&self) -> Arc<Set> {
        self.0.set.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn of_keys(folder: &Path) -> String {
    format!("the signing keys, {} (SIGNING_KEYS_DIR)", folder.display())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::slice;

    use super::*;

    fn ids(keys: &Keys) -> Vec<String> {
        keys.public().into_iter().map(|key| key.kid).collect()
    }

    /// A new key's id and the text of its file.
    fn new_key() -> (String, String) {
        let (key, text) = Key::generate().unwrap();
        (key.id().to_owned(), text)
    }

    #[test]
    fn a_first_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = Keys::from_folder(folder.path()).unwrap();
        let second = Keys::from_folder(folder.path()).unwrap();

        let now = OffsetDateTime::now_utc();
        let id = first.signing(now).id().to_owned();
        assert_eq!(id, second.signing(now).id());
        assert!(second.verifying(&id).is_some() && second.verifying("other").is_none());
        let [file] = first.0.folder.list().unwrap().try_into().unwrap();
        let mode = fs::metadata(folder.path().join(file.name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn of_several_that_start_at_once_one_makes_the_first_key() {
        let folder = tempfile::tempdir().unwrap();
        let started: Vec<_> = std::thread::scope(|scope| {
            let start = || ids(&Keys::from_folder(folder.path()).unwrap());
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert_eq!(started[0].len(), 1);
        assert!(started.iter().all(|ids| *ids == started[0]));
    }

    #[test]
    fn the_key_of_an_earlier_version_stays_in_use_and_is_followed_by_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (old, text) = new_key();
        fs::write(folder.path().join("0001.pem"), text).unwrap();
        let (new, text) = new_key();
        fs::write(folder.path().join("20261122T120000Z-new.pem"), text).unwrap();
        let keys = Keys::from_folder(folder.path()).unwrap();
        let at = |minutes: i64| time::macros::datetime!(2026-11-22 12:00 UTC) + time::Duration::minutes(minutes);
        assert_eq!(keys.signing(at(14)).id(), old);
        assert_eq!(keys.signing(at(15)).id(), new);
        assert!(keys.verifying(&old).is_some() && keys.verifying(&new).is_some());
    }

    #[test]
    fn a_file_that_is_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("0001.pem"), "nonsense").unwrap();
        let error = format!("{:#}", Keys::from_folder(folder.path()).unwrap_err());
        assert!(
            error.contains("0001.pem") && error.contains("SIGNING_KEYS_DIR") && !error.contains("nonsense"),
            "{error}"
        );
    }

    #[test]
    fn changes_are_followed_and_what_is_broken_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::from_folder(folder.path()).unwrap();
        let [first] = ids(&keys).try_into().unwrap();
        let (second, text) = new_key();
        let path = folder.path().join("20990101T120000Z-b.pem");
        fs::write(&path, &text).unwrap();
        keys.read();
        assert_eq!(ids(&keys), [first.clone(), second.clone()]);

        // Cut short: what it was stays; one that was never whole is not there.
        fs::write(&path, &text[..50]).unwrap();
        let (third, text) = new_key();
        let third_path = folder.path().join("20990102T120000Z-c.pem");
        fs::write(&third_path, "nonsense").unwrap();
        keys.read();
        assert_eq!(ids(&keys), [first.clone(), second.clone()]);
        assert_eq!(keys.0.seen.lock().unwrap().wrong.len(), 2);

        // A key that is removed is out even while another is broken.
        fs::write(&third_path, text).unwrap();
        let first_file = keys.0.folder.list().unwrap().remove(0);
        fs::remove_file(folder.path().join(first_file.name)).unwrap();
        keys.read();
        assert_eq!(ids(&keys), [second.clone(), third.clone()]);

        fs::remove_file(&path).unwrap();
        keys.read();
        assert_eq!(ids(&keys), slice::from_ref(&third));
        assert_eq!(keys.0.seen.lock().unwrap().wrong.len(), 0);

        fs::remove_file(&third_path).unwrap();
        keys.read();
        assert_eq!(
            ids(&keys),
            slice::from_ref(&third),
            "without any key nothing would work"
        );
        fs::remove_dir_all(folder.path()).unwrap();
        keys.read();
        assert_eq!(ids(&keys), [third]);
    }

    #[test]
    fn the_same_key_in_two_files_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let (id, text) = new_key();
        for name in ["0001.pem", "20261122T120000Z-b.pem"] {
            fs::write(folder.path().join(name), &text).unwrap();
        }
        assert_eq!(ids(&Keys::from_folder(folder.path()).unwrap()), [id]);
    }

    #[test]
    fn nothing_private_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let (_, text) = new_key();
        fs::write(folder.path().join("0001.pem"), &text).unwrap();
        let shown = format!("{:?}", Keys::from_folder(folder.path()).unwrap());
        let secret = text.lines().nth(1).unwrap();
        assert!(
            shown.contains("0001.pem") && !shown.contains(&secret[secret.len() - 20..]),
            "{shown}"
        );
    }
}

//! The keys of a folder as they were last read.

use std::sync::Arc;

use time::OffsetDateTime;

use super::folder::{Folder, KeyFile};
use super::jwks::PublicKey;
use super::key::Key;
use super::schedule::{Made, Schedule};

/// Keys, the oldest first; at least one, and none twice.
#[derive(Debug)]
pub(super) struct Set {
    keys: Vec<(KeyFile, Arc<Key>)>,
    times: Vec<Made>,
}

/// What came of reading a folder.
pub(super) struct Reading {
    /// `None` where no key is left.
    pub(super) set: Option<Set>,
    /// What is wrong with files that cannot be used, each with its name.
    pub(super) broken: Vec<anyhow::Error>,
}

impl Set {
    /// Reads the files that are not known from `last`. One that cannot be read any more stays what it was there; one that
    /// is gone is gone, whatever is wrong with others.
    pub(super) fn read(folder: &Folder, files: Vec<KeyFile>, last: Option<&Self>) -> Reading {
        let known = last.map_or(&[][..], |last| last.keys.as_slice());
        let mut broken = Vec::new();
        let mut keys: Vec<(KeyFile, Arc<Key>)> = Vec::new();
        for file in files {
            let before = known.iter().find(|(before, _)| before.name == file.name);
            let read = match before {
                Some((unchanged, key)) if *unchanged == file => Some((file, key.clone())),
                _ => match folder.read(&file) {
                    Ok(key) => Some((file, Arc::new(key))),
                    Err(error) => {
                        broken.push(error);
                        before.cloned()
                    }
                },
            };
            if let Some((file, key)) = read
                && !keys.iter().any(|(_, other)| other.id() == key.id())
            {
                keys.push((file, key));
            }
        }
        let times = keys.iter().map(|(file, _)| file.made).collect();
        let set = (!keys.is_empty()).then_some(Self { keys, times });
        Reading { set, broken }
    }

    /// The rules, for these keys.
    pub(super) fn schedule(&self) -> Schedule<'_> {
        Schedule(&self.times)
    }

    /// The key that signs.
    pub(super) fn signing(&self, now: OffsetDateTime) -> Arc<Key> {
        self.keys[self.schedule().signing(now)].1.clone()
    }

    /// The key of this id.
    pub(super) fn verifying(&self, id: &str) -> Option<Arc<Key>> {
        self.iter().find(|(_, key)| key.id() == id).map(|(_, key)| key.clone())
    }

    /// All of them, to be published.
    pub(super) fn public(&self) -> Vec<PublicKey> {
        self.iter().map(|(_, key)| PublicKey::of(key)).collect()
    }

    /// Files and keys, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(KeyFile, Arc<Key>)> {
        self.keys.iter()
    }
}

//! The folder that the keys are in. A file's name says when its key was made (`20261122T120000Z-<id>.pem`) and not its
//! time stamps, for those change when a folder is copied or restored.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use time::OffsetDateTime;
use time::PrimitiveDateTime;
use time::format_description::well_known::Iso8601;
use time::format_description::well_known::iso8601::{Config, EncodedConfig, TimePrecision};

use super::key::Key;
use super::schedule::Made;

/// `20261122T120000Z`.
const NAME_TIME: EncodedConfig = Config::DEFAULT
    .set_use_separators(false)
    .set_time_precision(TimePrecision::Second { decimal_digits: None })
    .encode();
/// Of a key's id in the name, for people.
const ID_IN_NAME: usize = 8;
/// One command at a time changes the folder.
const LOCK: &str = ".lock";
/// What a new key is called until it is whole.
const DRAFT: &str = ".new";

/// A folder of keys.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

/// A file that is to hold a key. Equal where nothing of it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyFile {
    pub(super) name: String,
    pub(super) made: Made,
    stamp: Stamp,
}

/// What changes when a file does; all zero where it cannot be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stamp {
    is_file: bool,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Of the rights too.
    changed: (i64, i64),
}

impl Folder {
    /// The folder at `path`, whether or not it is there.
    pub(super) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The folder at `path`, made for its owner alone where there is none.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Self::at(path))
    }

    /// How it is named in messages.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Its key files, the oldest key first.
    pub(super) fn list(&self) -> io::Result<Vec<KeyFile>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let Ok(name) = entry?.file_name().into_string() else {
                continue;
            };
            if name.ends_with(".pem") {
                let stamp = fs::metadata(self.0.join(&name)).map(|metadata| Stamp::of(&metadata));
                files.push(KeyFile {
                    made: made(&name),
                    name,
                    stamp: stamp.unwrap_or_default(),
                });
            }
        }
        files.sort_by(|a, b| (a.made, &a.name).cmp(&(b.made, &b.name)));
        Ok(files)
    }

    /// Reads a key. The error names the file, and says nothing of its content.
    pub(super) fn read(&self, file: &KeyFile) -> anyhow::Result<Key> {
        let path = self.0.join(&file.name);
        // Anything else could be without an end.
        anyhow::ensure!(
            fs::metadata(&path).is_ok_and(|found| found.is_file()),
            "{} is no file",
            path.display()
        );
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Key::parse(&text)
            .with_context(|| format!("{} is not a PKCS #8 PEM file of an Ed25519 private key", path.display()))
    }

    /// Keeps others from changing the folder until the answer is dropped.
    pub(super) fn lock(&self) -> io::Result<File> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.0.join(LOCK))?;
        file.lock()?;
        Ok(file)
    }

    /// Writes a key, whole or not at all; to be called under [`Self::lock`].
    pub(super) fn write(&self, key: &Key, text: &str, made: OffsetDateTime) -> anyhow::Result<()> {
        let draft = self.0.join(DRAFT);
        // One that was cut short may lie there.
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let time = made.format(&Iso8601::<NAME_TIME>)?;
        let id: String = key.id().chars().take(ID_IN_NAME).collect();
        fs::rename(&draft, self.0.join(format!("{time}-{id}.pem")))?;
        Ok(self.sync()?)
    }

    /// Removes a key file for good; to be called under [`Self::lock`].
    pub(super) fn remove(&self, file: &KeyFile) -> anyhow::Result<()> {
        let path = self.0.join(&file.name);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        Ok(self.sync()?)
    }

    /// Makes names outlast a loss of power.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            is_file: metadata.is_file(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What a file's name says. Keys of the program's first versions are called `0001.pem`.
fn made(name: &str) -> Made {
    let (time, _) = name.split_once('-')?;
    let time = time.strip_suffix('Z').filter(|time| time.len() == 15)?;
    Some(PrimitiveDateTime::parse(time, &Iso8601::DEFAULT).ok()?.assume_utc())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use time::macros::datetime;

    use super::*;

    #[test]
    fn names_say_when_a_key_was_made() {
        let noon = datetime!(2026-11-22 12:00:07 UTC);
        assert_eq!(made("20261122T120007Z-abcdefgh.pem"), Some(noon));
        assert_eq!(made("20261122T120007Z--b-d_fgh.pem"), Some(noon));
        for name in [
            "0001.pem",
            "20261122T120007Z.pem",
            "2026-11-22T12:00:07Z-a.pem",
            "20261322T120007Z-a.pem",
            "-.pem",
        ] {
            assert_eq!(made(name), None, "{name}");
        }
    }

    #[test]
    fn a_key_is_written_for_its_owner_alone_and_found_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::make(&parent.path().join("of/keys")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o700);

        let noon = datetime!(2026-11-22 12:00 UTC);
        let (key, text) = Key::generate().unwrap();
        let lock = folder.lock().unwrap();
        fs::write(folder.path().join(DRAFT), "cut short").unwrap();
        folder.write(&key, &text, noon).unwrap();
        drop(lock);
        let [file] = folder.list().unwrap().try_into().unwrap();
        assert_eq!(file.name, format!("20261122T120000Z-{}.pem", &key.id()[..8]));
        assert_eq!(file.made, Some(noon));
        assert_eq!(folder.read(&file).unwrap().id(), key.id());
        for name in [&file.name, LOCK] {
            assert_eq!(mode(&folder.path().join(name)), 0o600, "{name}");
        }
        folder.remove(&file).unwrap();
        assert_eq!(folder.list().unwrap(), []);
    }

    #[test]
    fn the_oldest_comes_first_and_those_without_a_time_before() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::at(parent.path());
        let names = [
            "0001.pem",
            "zzz.pem",
            "20251122T120000Z-z.pem",
            "20261122T120000Z-a.pem",
        ];
        for name in names.iter().rev().chain(&["README", "20201122T120000Z-a.pem.bak"]) {
            fs::write(parent.path().join(name), "").unwrap();
        }
        let listed: Vec<_> = folder.list().unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(listed, names);
    }

    #[test]
    fn a_change_of_a_file_shows_and_its_content_does_not() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::at(parent.path());
        let path = parent.path().join("0001.pem");
        fs::write(&path, "-----BEGIN SECRET-----").unwrap();
        let before = folder.list().unwrap();
        assert_eq!(before, folder.list().unwrap());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_ne!(before, folder.list().unwrap());
        let error = format!("{:#}", folder.read(&before[0]).unwrap_err());
        assert!(error.contains("0001.pem") && !error.contains("SECRET"), "{error}");

        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = format!("{:#}", folder.read(&folder.list().unwrap()[0]).unwrap_err());
        assert!(error.contains("0001.pem is no file"), "{error}");
    }
}

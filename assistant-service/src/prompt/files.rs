//! Where templates come from: the program itself, and a directory of the operator's own.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{fs, io};

/// The most that a directory may hold, and how deep; there are less than 30 files of our own.
const MOST_FILES: usize = 500;
/// See [`MOST_FILES`].
const DEEPEST: usize = 4;
/// The largest file, in bytes.
const LARGEST: u64 = 64 * 1024;
/// A file that changed this long ago has changed its time as well; two changes at once may have one time.
const SETTLED: Duration = Duration::from_secs(2);

/// Texts of templates, by name.
pub(super) type Files = BTreeMap<String, String>;

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../prompts/", $name)))),*]
    };
}

const BUILT_IN: [(&str, &str); 28] = built_in![
    "about/account.j2",
    "about/billing.j2",
    "about/general.j2",
    "about/technical.j2",
    "draft/account.j2",
    "draft/base.j2",
    "draft/billing.j2",
    "draft/general.j2",
    "draft/technical.j2",
    "reply/account.j2",
    "reply/base.j2",
    "reply/billing.j2",
    "reply/general.j2",
    "reply/technical.j2",
    "rewrite.j2",
    "shared/limits.j2",
    "shared/style.j2",
    "shared/untrusted.j2",
    "summary/account.j2",
    "summary/base.j2",
    "summary/billing.j2",
    "summary/general.j2",
    "summary/technical.j2",
    "triage/account.j2",
    "triage/base.j2",
    "triage/billing.j2",
    "triage/general.j2",
    "triage/technical.j2",
];

/// The files that are part of the program.
pub(super) fn built_in() -> Files {
    BUILT_IN
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

/// What a directory held when it was last looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Name, time of change, length.
    files: Vec<(String, SystemTime, u64)>,
}

impl Look {
    /// Looks, without reading any file.
    ///
    /// # Errors
    /// Where the directory cannot be looked at, or holds more than anybody needs.
    pub(super) fn at(directory: &Path) -> io::Result<Self> {
        let mut look = Self::default();
        look.walk(directory, "", DEEPEST)?;
        look.files.sort();
        Ok(look)
    }

    /// Whether nothing can have changed since `earlier` without showing.
    pub(super) fn is_surely(&self, earlier: &Self) -> bool {
        self == earlier
            && self
                .files
                .iter()
                .all(|(_, changed, _)| changed.elapsed().is_ok_and(|ago| ago > SETTLED))
    }

    fn walk(&mut self, directory: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            // What begins with a dot is an editor's, or the inside of a mounted ConfigMap.
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
                continue;
            };
            // Of what a link points to, as in such a mount. It may have gone in the meantime.
            let Ok(about) = fs::metadata(entry.path()) else {
                continue;
            };
            let name = format!("{prefix}{name}");
            if about.is_dir() && depth > 1 {
                self.walk(&entry.path(), &format!("{name}/"), depth - 1)?;
            } else if about.is_file() && name.ends_with(".j2") {
                if self.files.len() == MOST_FILES {
                    return Err(io::Error::other(format!("there are more than {MOST_FILES} files")));
                }
                self.files.push((name, about.modified()?, about.len()));
            }
        }
        Ok(())
    }

    /// Reads the files that were seen: those that can be read, and what is wrong with the others, by name.
    pub(super) fn read(&self, directory: &Path) -> (Files, BTreeMap<String, String>) {
        let mut files = Files::new();
        let mut wrong = BTreeMap::new();
        for (name, _, length) in &self.files {
            let text = if *length > LARGEST {
                Err(format!("it has more than {LARGEST} bytes"))
            } else {
                fs::read_to_string(directory.join(name)).map_err(|error| error.to_string())
            };
            match text {
                Ok(text) => drop(files.insert(name.clone(), text)),
                Err(error) => drop(wrong.insert(name.clone(), error)),
            }
        }
        (files, wrong)
    }
}

//! The prompts that hold now: built in, or from a directory that is read again when it changes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::Context as _;

use super::catalog::{Catalog, Problems};
use super::files::{self, Files, Look};

/// Under this name [`Problems`] tells of the directory itself.
const DIRECTORY: &str = "PROMPTS_DIR";

/// Keeps the prompts.
#[derive(Debug)]
pub struct Store {
    current: RwLock<Arc<Catalog>>,
    built_in: Catalog,
    longest: usize,
    directory: Option<PathBuf>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    look: Look,
    files: Files,
    unreadable: Problems,
    problems: Problems,
}

impl Store {
    /// The built-in prompts, and over them what `directory` holds. A broken file there does not keep the service from
    /// starting: it is told as later on.
    ///
    /// # Errors
    /// Where a built-in prompt is broken, or the directory cannot be looked at.
    pub fn open(directory: Option<PathBuf>, longest: usize) -> anyhow::Result<Self> {
        let built_in = Catalog::built_in(longest)?;
        let store = Self {
            current: RwLock::new(Arc::new(built_in.clone())),
            built_in,
            longest,
            directory,
            seen: Mutex::default(),
        };
        if let Some(directory) = &store.directory {
            Look::at(directory).with_context(|| format!("{DIRECTORY}: {}", directory.display()))?;
            store.refresh();
        }
        Ok(store)
    }

    /// The prompts as they are now.
    pub fn current(&self) -> Arc<Catalog> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// Whether there is a directory to look at.
    pub fn can_change(&self) -> bool {
        self.directory.is_some()
    }

    /// Whether all of the operator's files are in use: none is broken.
    pub fn is_well(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.problems.is_empty()
    }

    /// Looks at the directory, and takes what has changed. Reads files; says once what is wrong, and once that it no
    /// longer is.
    pub fn refresh(&self) {
        let Some(directory) = &self.directory else {
            return;
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let look = match Look::at(directory) {
            Ok(look) if look.is_surely(&seen.look) && !seen.problems.contains_key(DIRECTORY) => return,
            Ok(look) => look,
            Err(error) => {
                let problems = Problems::from([(DIRECTORY.to_owned(), error.to_string())]);
                return tell(&mut seen.problems, problems);
            }
        };
        let (own, unreadable) = look.read(directory);
        seen.look = look;
        if own == seen.files && unreadable == seen.unreadable && !seen.problems.contains_key(DIRECTORY) {
            return;
        }
        let (catalog, mut problems) = self.made_of(&own, &unreadable);
        problems.extend(unreadable.clone());
        seen.files = own;
        seen.unreadable = unreadable;
        tell(&mut seen.problems, problems);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        for (old, new) in current.all().zip(catalog.all()) {
            if old.version != new.version {
                tracing::info!(
                    prompt = new.id,
                    version = new.version,
                    overridden = new.overridden,
                    "prompt changed"
                );
            }
        }
        *current = Arc::new(catalog);
    }

    fn made_of(&self, own: &Files, unreadable: &Problems) -> (Catalog, Problems) {
        let mut all = files::built_in();
        all.extend(own.iter().map(|(name, text)| (name.clone(), text.clone())));
        // Whoever overrides a file does not want ours, even where theirs cannot be read.
        all.retain(|name, _| !unreadable.contains_key(name));
        let (catalog, problems) = self.current().renewed(&all, Some(&self.built_in), self.longest);
        for name in own.keys().filter(|name| !is_used(name, &all)) {
            tracing::warn!(
                file = name,
                "a prompt's file is not of a name that is used; is it misspelt?"
            );
        }
        (catalog, problems)
    }
}

/// Whether `name` is that of a built-in file, or stands in another one's text.
fn is_used(name: &str, all: &Files) -> bool {
    let stem = name.trim_end_matches(".j2");
    files::built_in().contains_key(name)
        || all
            .iter()
            .any(|(other, text)| other != name && (text.contains(name) || text.contains(stem)))
}

fn tell(known: &mut Problems, now: Problems) {
    if *known == now {
        return;
    }
    for (what, error) in &now {
        if known.get(what) != Some(error) {
            tracing::error!(what, error, "a prompt is broken; the last good one is kept");
        }
    }
    for what in known.keys().filter(|what| !now.contains_key(*what)) {
        tracing::info!(what, "a prompt is well again");
    }
    *known = now;
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::conversation::Category;
    use crate::prompt::LONGEST_AT_LEAST;
    use crate::prompt::catalog::Task;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn open(&self) -> Store {
            Store::open(Some(self.0.path().to_owned()), LONGEST_AT_LEAST).unwrap()
        }
    }

    fn billing(store: &Store) -> String {
        store.current().choose(Task::Reply, Category::Billing).text().to_owned()
    }

    #[test]
    fn a_change_is_taken_a_broken_one_is_not_and_removing_the_file_brings_ours_back() {
        let folder = Folder::new();
        let store = folder.open();
        let ours = billing(&store);
        assert!(store.is_well() && store.can_change());

        folder.write("about/billing.j2", "One.");
        store.refresh();
        assert!(billing(&store).contains("One.") && store.is_well());

        // Of the same length and, as may be, of the same time.
        folder.write("about/billing.j2", "Two.");
        store.refresh();
        assert!(billing(&store).contains("Two."));

        folder.write("about/billing.j2", "{{ x");
        store.refresh();
        assert!(billing(&store).contains("Two.") && !store.is_well());

        fs::remove_file(folder.0.path().join("about/billing.j2")).unwrap();
        store.refresh();
        assert_eq!(billing(&store), ours);
        assert!(store.is_well());
    }

    #[test]
    fn what_is_broken_from_the_start_leaves_ours() {
        let folder = Folder::new();
        folder.write("shared/untrusted.j2", "{% endif %}");
        let store = folder.open();
        assert!(!store.is_well());
        assert_eq!(*store.current(), Catalog::built_in(LONGEST_AT_LEAST).unwrap());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_broken_one() {
        let folder = Folder::new();
        fs::create_dir(folder.0.path().join("about")).unwrap();
        fs::write(folder.0.path().join("about/billing.j2"), [0xff, 0xfe]).unwrap();
        folder.write("about/account.j2", &"x".repeat(70_000));
        folder.write(".hidden/rewrite.j2", "not looked at");
        folder.write("rewrite.txt", "not looked at");
        let store = folder.open();
        assert!(!store.is_well());
        assert_eq!(*store.current(), Catalog::built_in(LONGEST_AT_LEAST).unwrap());
    }

    #[test]
    fn a_directory_that_goes_away_leaves_what_was_there() {
        let folder = Folder::new();
        folder.write("about/billing.j2", "Mine.");
        let store = folder.open();
        let away = folder.0.path().with_extension("away");
        fs::rename(folder.0.path(), &away).unwrap();
        store.refresh();
        assert!(billing(&store).contains("Mine.") && !store.is_well());
        fs::rename(&away, folder.0.path()).unwrap();
        store.refresh();
        assert!(billing(&store).contains("Mine.") && store.is_well());

        let nowhere = Store::open(Some("/nowhere/at/all".into()), LONGEST_AT_LEAST).unwrap_err();
        assert!(nowhere.to_string().contains("PROMPTS_DIR"));
    }

    #[test]
    fn a_file_of_no_use_is_known() {
        let mut all = files::built_in();
        all.insert("reply/biling.j2".to_owned(), "x".to_owned());
        all.insert("mine/hours.j2".to_owned(), "x".to_owned());
        all.insert(
            "about/general.j2".to_owned(),
            "{% include \"mine/hours.j2\" %}".to_owned(),
        );
        assert!(!is_used("reply/biling.j2", &all));
        assert!(is_used("mine/hours.j2", &all) && is_used("about/general.j2", &all));
    }
}

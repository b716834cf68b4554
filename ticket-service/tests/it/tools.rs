//! Programs and libraries that are not ours, where `./dev test` puts them.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder whose name begins so.
pub(crate) fn folder(begins: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools");
    let mut found = fs::read_dir(&tools)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path());
    found
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(begins))
        })
        .unwrap_or_else(|| panic!("no {begins}* in {}: `./dev test` installs it", tools.display()))
}

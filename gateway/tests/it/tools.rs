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

/// A browser without a window.
pub(crate) fn browser() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let mut places = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    places
        .find(|place| place.exists())
        .unwrap_or_else(|| panic!("no Chromium: `./dev test` says where it comes from"))
}

/// Envoy itself.
pub(crate) fn envoy() -> PathBuf {
    folder("envoy-").join("envoy/_bin/envoy")
}

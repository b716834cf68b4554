//! Connection URLs that sqlx, psql and every libpq program read alike.

use std::fmt::Write;
use std::path::Path;

use crate::place::PORT;

/// The cluster's only role, a superuser.
pub(crate) const USER: &str = "postgres";

/// Everything is said in the URL, so that no `PG*` variable of the caller's changes what it means.
pub(crate) fn of(socket_dir: &Path, database: &str) -> String {
    let host = encode(socket_dir.as_os_str().as_encoded_bytes());
    format!(
        "postgres:///{}?host={host}&port={PORT}&user={USER}&sslmode=disable",
        encode(database.as_bytes())
    )
}

/// Percent-encodes what has, or may have, a meaning in a URL.
fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, &byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(byte.into());
        } else {
            // Writing to a String does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_encoded() {
        assert_eq!(
            of(Path::new("/my files/50%+é"), "a?b"),
            "postgres:///a%3Fb?host=/my%20files/50%25%2B%C3%A9&port=5432&user=postgres&sslmode=disable"
        );
    }
}

//! The passwords that are tried first. docs/decisions/0010-passwords.md says where the list comes from.

use std::collections::HashSet;
use std::sync::LazyLock;

/// One a line, in NFKC and lower case, of 8 characters or more, sorted.
const LIST: &str = include_str!("common.txt");

static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| LIST.lines().collect());

/// Whether a password, in NFKC and lower case, is one of them.
pub(super) fn contains(folded: &str) -> bool {
    COMMON.contains(folded)
}

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization as _;

    use super::*;

    #[test]
    fn the_list_is_in_the_form_that_is_looked_up() {
        let lines: Vec<&str> = LIST.lines().collect();
        assert!(lines.len() > 3000, "{}", lines.len());
        assert!(lines.is_sorted_by(|a, b| a < b), "sorted, and none twice");
        for line in lines {
            assert!(line.chars().count() >= 8, "{line}");
            assert_eq!(line.nfkc().collect::<String>().to_lowercase(), line);
        }
    }
}

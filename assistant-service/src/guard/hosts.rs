//! Hosts that answers may link to.

use std::fmt;
use std::str::FromStr;

/// No host's name is longer.
pub(super) const LONGEST: usize = 253;

/// Hosts, each with all below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `host` is one of them, or below one.
    pub fn allow(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.0.iter().any(|allowed| {
            host.strip_suffix(allowed.as_str())
                .is_some_and(|below| below.is_empty() || below.ends_with('.'))
        })
    }

    /// These, and the hosts of the links in `text`.
    pub fn and_those_in(&self, text: &str) -> Self {
        let mut hosts = self.clone();
        for (at, _) in text.match_indices("://") {
            let scheme = text.get(..at).unwrap_or_default();
            let secure = scheme.len().checked_sub(5).and_then(|from| scheme.get(from..));
            let plain = scheme.len().checked_sub(4).and_then(|from| scheme.get(from..));
            let is_web =
                |scheme: Option<&str>, name| scheme.is_some_and(|scheme: &str| scheme.eq_ignore_ascii_case(name));
            if !is_web(secure, "https") && !is_web(plain, "http") {
                continue;
            }
            let after = text.get(at + 3..).unwrap_or_default();
            let end = after.find(|c: char| !is_of_host(c)).unwrap_or(after.len());
            let (host, rest) = after.split_at(end);
            // What stands before an `@` is no host.
            let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
            if !rest.get(..authority.min(word)).unwrap_or_default().contains('@') {
                hosts.0.extend(parse(host).ok());
            }
        }
        hosts
    }
}

/// Whether a host's name can hold this, as far as we allow it to: names in other letters are written in their ASCII form.
pub(super) fn is_of_host(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '-')
}

fn parse(name: &str) -> Result<String, String> {
    let host = name.trim().trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > LONGEST || !host.split('.').all(label) {
        return Err(format!("'{name}' is not a host's name, such as help.example.com"));
    }
    Ok(host)
}

impl FromStr for Hosts {
    type Err = String;

    /// Names with commas between, or nothing.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_allows_itself_and_what_is_below_it() {
        let hosts: Hosts = "Example.com, help.desk.example".parse().unwrap();
        for host in ["example.com", "EXAMPLE.com.", "a.b.example.com", "help.desk.example"] {
            assert!(hosts.allow(host), "{host}");
        }
        for host in [
            "evilexample.com",
            "example.com.evil",
            "desk.example",
            "com",
            "",
            ".",
            "example.com..",
        ] {
            assert!(!hosts.allow(host), "{host}");
        }
        assert_eq!(hosts.to_string(), "example.com,help.desk.example");
    }

    #[test]
    fn only_names_are_taken() {
        for none in ["", "  "] {
            assert!(none.parse::<Hosts>().unwrap().is_empty());
        }
        for wrong in [
            "https://example.com",
            "example.com/x",
            "a..b",
            "-a.b",
            "a b",
            "*.example.com",
            "a,",
            "ö.example",
            "h:1",
        ] {
            assert!(wrong.parse::<Hosts>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_text_vouches_for_the_hosts_of_its_links() {
        let text = "See https://docs.example/x and HTTP://a.b.example, not ftp://ftp.example or https://user@evil.example/ or \
                    https:// x or https://-.";
        let hosts = Hosts::default().and_those_in(text);
        assert_eq!(hosts.to_string(), "docs.example,a.b.example");
        let both = "own.example"
            .parse::<Hosts>()
            .unwrap()
            .and_those_in("https://x.example");
        assert!(both.allow("own.example") && both.allow("x.example"));
    }
}

//! What does not leave, and what does not come back.

use clap::Args;

use crate::guard::hosts::Hosts;
use crate::redaction::kind::Kinds;

/// What does not leave, and what does not come back. docs/prompts.md says more.
#[derive(Args, Clone, Debug)]
pub struct Kept {
    /// What of a conversation the provider must not see: any of email, phone, card, iban, ip, secret, with commas between;
    /// `all`, or `none`. Placeholders leave in its place, and answers come back with what they stand for.
    #[arg(long, env = "REDACT", default_value_t = Kinds::ALL, value_name = "KINDS")]
    pub redact: Kinds,
    /// Hosts that answers may link to, each with all below it, with commas between. Other links are shown as text.
    #[arg(long, env = "LINKS_ALLOWED", default_value_t = Hosts::default(), value_name = "HOSTS")]
    pub links_allowed: Hosts,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::settings::Cli;

    #[test]
    fn everything_is_kept_back_unless_it_is_said() {
        let kept = |arguments: &[&str]| {
            let cli = Cli::try_parse_from([&["assistant-service"], arguments].concat());
            cli.unwrap().settings.kept
        };
        assert_eq!(kept(&[]).redact, Kinds::ALL);
        assert!(kept(&[]).links_allowed.is_empty());
        for none in ["", "none"] {
            assert!(kept(&["--redact", none]).redact.is_empty());
        }
        assert_eq!(kept(&["--redact", "email,card"]).redact.to_string(), "email,card");
        let hosts = kept(&["--links-allowed", "example.com, a.example"]).links_allowed;
        assert!(hosts.allow("help.example.com") && hosts.allow("a.example"));
    }
}

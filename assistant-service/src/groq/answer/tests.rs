//! Answers, event by event.

use super::*;

fn read(events: &[&str]) -> (String, Result<(), Failure>, Answer) {
    let mut answer = Answer::default();
    let taken = events.iter().try_for_each(|data| {
        answer.take(Event {
            name: b"",
            data: data.as_bytes(),
        })
    });
    let verdict = taken.and_then(|()| answer.verdict());
    (answer.take_text(), verdict, answer)
}

fn kind(events: &[&str]) -> Kind {
    read(events).1.unwrap_err().kind
}

const HELLO: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

#[test]
fn an_answer_as_the_provider_sends_it() {
    let usage = r#"{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,"queue_time":0.1,
        "prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}"#;
    let (text, verdict, answer) = read(&[
        r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","system_fingerprint":"f","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"x_groq":{"id":"req_1","seed":2}}"#,
        r#"{"choices":[{"index":0,"delta":{"reasoning":"Hm","channel":"analysis"},"finish_reason":null}]}"#,
        HELLO,
        r#"{"choices":[{"index":0,"delta":{"content":" \"you\" \ud83d\ude00"}}]}"#,
        &format!(
            r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}],"x_groq":{{"id":"req_1","usage":{usage}}},"usage":{usage}}}"#
        ),
        &format!(r#"{{"choices":[],"usage":{usage},"service_tier":"on_demand"}}"#),
        "[DONE]",
    ]);

    assert_eq!(text, "Hello \"you\" 😀");
    assert_eq!(verdict, Ok(()));
    assert_eq!(answer.upstream_id.as_deref(), Some("req_1"));
    let usage = answer.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (9, 5));
    assert_eq!(usage.prompt_tokens_details.unwrap().cached_tokens, Some(4));
    assert_eq!(usage.completion_tokens_details.unwrap().reasoning_tokens, Some(2));
}

#[test]
fn only_a_finish_with_words_and_the_end_marker_is_a_whole_answer() {
    let finish = |reason: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#);

    assert!(read(&[HELLO, STOP, "[DONE]"]).1.is_ok());
    assert!(matches!(kind(&[HELLO, STOP]), Kind::Protocol(_)));
    assert!(matches!(kind(&[HELLO, "[DONE]"]), Kind::Protocol(_)));
    assert!(matches!(kind(&[HELLO]), Kind::Protocol(_)));
    assert!(matches!(kind(&[]), Kind::Protocol(_)));
    assert_eq!(kind(&[STOP, "[DONE]"]), Kind::Empty);
    assert_eq!(
        kind(&[r#"{"choices":[{"delta":{"content":" \n"}}]}"#, STOP, "[DONE]"]),
        Kind::Empty
    );
    assert_eq!(kind(&[HELLO, &finish("length"), "[DONE]"]), Kind::Truncated);
    assert_eq!(
        kind(&[HELLO, &finish("content_filter"), "[DONE]"]),
        Kind::ContentFiltered
    );
    for unexpected in ["tool_calls", "function_call", "sunset"] {
        assert!(
            matches!(kind(&[HELLO, &finish(unexpected), "[DONE]"]), Kind::Protocol(_)),
            "{unexpected}"
        );
    }
}

#[test]
fn errors_in_all_three_places_end_it() {
    assert_eq!(
        kind(&[HELLO, r#"{"error":{"message":"m","status_code":503}}"#]),
        Kind::Overloaded
    );
    assert_eq!(
        kind(&[HELLO, r#"{"x_groq":{"id":"r","error":"over capacity"}}"#]),
        Kind::Overloaded
    );
    let mut answer = Answer::default();
    let data = br#"{"error":{"message":"m","type":"invalid_request_error","code":"tool_use_failed"}}"#;
    assert_eq!(
        answer.take(Event { name: b"error", data }).unwrap_err().kind,
        Kind::InvalidOutput
    );
    assert_eq!(
        answer
            .take(Event {
                name: b"error",
                data: b"oh no"
            })
            .unwrap_err()
            .kind,
        Kind::Overloaded
    );
    let flat = br#"{"message":"m","code":"model_not_found"}"#;
    assert_eq!(
        answer
            .take(Event {
                name: b"error",
                data: flat
            })
            .unwrap_err()
            .kind,
        Kind::ModelUnavailable
    );
}

#[test]
fn tools_that_were_offered_may_be_called_whole_or_in_pieces() {
    let finish = r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#;
    let call = |index: &str, name: &str, arguments: &str| {
        format!(
            r#"{{"choices":[{{"delta":{{"tool_calls":[{{{index}"id":"c","type":"function","function":{{"name":"{name}","arguments":"{arguments}"}}}}]}}}}]}}"#
        )
    };
    let read = |events: &[String]| {
        let mut answer = Answer::offering(vec!["hand_off".to_owned()]);
        let taken = events
            .iter()
            .map(String::as_str)
            .chain([finish, "[DONE]"])
            .try_for_each(|data| {
                answer.take(Event {
                    name: b"",
                    data: data.as_bytes(),
                })
            });
        taken.and_then(|()| answer.verdict()).map(|()| answer.take_calls())
    };
    let expected = Ok(vec![ToolCall {
        name: "hand_off".to_owned(),
        arguments: "{why}".to_owned(),
    }]);
    assert_eq!(read(&[call("", "hand_off", "{why}")]), expected);
    assert_eq!(read(&[call(r#""index":0,"#, "hand_off", "{why}")]), expected);
    let pieces = [
        call(r#""index":0,"#, "hand_off", ""),
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{wh"}}]}}]}"#.to_owned(),
        call(r#""index":0,"#, "", "y}"),
    ];
    assert_eq!(read(&pieces), expected);

    for wrong in [
        vec![],
        vec![call(r#""index":1,"#, "hand_off", "{}")],
        vec![call("", "hand_off", &"x".repeat(LONGEST_ARGUMENTS))],
        vec![call("", "hand_off", "{}"); MOST_CALLS + 1],
    ] {
        assert!(matches!(read(&wrong).unwrap_err().kind, Kind::Protocol(_)));
    }
    let unknown = read(&[call("", "format_disk", "{}")]);
    assert_eq!(unknown.unwrap_err().kind, Kind::InvalidOutput);
}

#[test]
fn an_answer_in_one_piece() {
    let take = |body: &str| {
        let mut answer = Answer::default();
        let taken = answer.take_whole(body.as_bytes()).and_then(|()| answer.verdict());
        (taken.map_err(|failure| failure.kind), answer.take_text(), answer.usage)
    };
    let body = r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant",
        "content":"{\"a\":1}","reasoning":"hm"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4},
        "usage_breakdown":null,"x_groq":{"id":"req_1"}}"#;
    let (verdict, text, usage) = take(body);
    assert_eq!((verdict, text.as_str()), (Ok(()), r#"{"a":1}"#));
    assert_eq!(usage.map(|usage| usage.completion_tokens), Some(4));
    assert_eq!(take(&body.replace("stop", "length")).0, Err(Kind::Truncated));
    assert_eq!(
        take(r#"{"error":{"message":"m","status_code":503}}"#).0,
        Err(Kind::Overloaded)
    );
    for garbage in ["", "{", "[]", "{}", "<html>"] {
        assert!(matches!(take(garbage).0, Err(Kind::Protocol(_))), "{garbage}");
    }
}

#[test]
fn garbage_and_uninvited_tool_calls_are_no_answer() {
    for garbage in ["", "{", "hello", "5", "\"x\"", r#"{"choices":5}"#, "<html>"] {
        assert!(matches!(kind(&[garbage]), Kind::Protocol(_)), "{garbage}");
    }
    assert!(matches!(
        kind(&[r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#]),
        Kind::Protocol(_)
    ));
}

#[test]
fn a_name_that_is_none_is_not_kept() {
    for odd in ["", "two words", "line\\nbreak", &"x".repeat(129)] {
        let answer = read(&[
            r#"{"x_groq":{"id":"req_1"}}"#,
            &format!(r#"{{"x_groq":{{"id":"{odd}"}}}}"#),
        ])
        .2;
        assert_eq!(answer.upstream_id.as_deref(), Some("req_1"), "{odd}");
    }
}

#[test]
fn nulls_and_unknown_fields_say_nothing() {
    let odd = r#"{"choices":null,"usage":null,"x_groq":null,"error":null,"new":{"a":[1]}}"#;
    let null = r#"{"choices":[{"index":0,"delta":null},{"delta":{"content":null,"tool_calls":null}},{"index":1,"delta":{"content":"other"}}]}"#;
    let (text, verdict, _) = read(&[odd, null, HELLO, STOP, "[DONE]", "garbage after the end"]);
    assert_eq!(text, "Hello");
    assert_eq!(verdict, Ok(()));
}

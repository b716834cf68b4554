//! A thousand calls of all kinds: what is told of each, held against the provider's own books.

use std::collections::HashMap;

use deskhand_proto::assistant::v1::UsageSource;
use deskhand_proto::assistant::v1::stream_reply_response::Event;
use futures_util::stream::{self, StreamExt as _};
use groq_sim::{Keep, Limits, Settings};

use crate::harness::{Desk, PATIENCE, Reply, about};

const ASKS: u64 = 1_000;
const AT_ONCE: usize = 16;

/// SplitMix64: numbers that a seed gives again.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// What the provider does about one ask; `first=1` lets a repeat go well.
fn scenario(random: &mut Numbers) -> String {
    let tokens = 1 + random.below(120);
    let after = 1 + random.below(30);
    match random.below(24) {
        0..10 => format!("ok tokens={tokens} reasoning={after}"),
        10 => format!("usage times=0 tokens={tokens}"),
        11 => format!("usage times=1 tokens={tokens}"),
        12 => format!("usage times=3 tokens={tokens}"),
        13 => format!("byte-at-a-time tokens={tokens}"),
        14 => "status code=503 first=1".to_owned(),
        15 => "status code=500".to_owned(),
        16 => format!("cut how=reset after={after}"),
        17 => format!("end-early after={after}"),
        18 => format!("error-event after={after}"),
        19 => format!("length after={after}"),
        20 => "content-filter after=5".to_owned(),
        21 => "html-error code=502 first=1".to_owned(),
        22 => "tool-calls tool=hand_off".to_owned(),
        _ => "not-json".to_owned(),
    }
}

#[tokio::test]
async fn a_thousand_calls_of_all_kinds_are_told_as_the_provider_has_them() {
    let settings = Settings {
        limits: Limits {
            tokens_per_minute: 1_000_000_000,
            requests_per_day: 1_000_000_000,
            ..Limits::GENEROUS
        },
        keep: Keep { calls: 4_000 },
        ..Settings::instant()
    };
    let sim = groq_sim::start(settings).await.unwrap();
    // With a breaker that never opens: all asks are to get through to the provider.
    let desk = Desk::asking(&sim.base_url(), &["--breaker-failures", "0"]).await;
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    println!("seed {seed}");
    let mut random = Numbers(seed);
    let asks: Vec<_> = (0..ASKS)
        .map(|n| {
            (
                format!("ask {n} [sim:{}]", scenario(&mut random)),
                random.below(25) == 0,
            )
        })
        .collect();
    let replies: Vec<(Reply, bool)> = stream::iter(asks)
        .map(|(message, leaves)| {
            let desk = &desk;
            async move {
                if leaves {
                    return (until_text(desk, &message).await, true);
                }
                (desk.reply(about(&message)).await, false)
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;

    let made = sim.control().calls().len();
    assert!(
        sim.control().wait_for_ended(made, PATIENCE).await.is_some(),
        "all calls end"
    );
    let books: HashMap<String, groq_sim::Call> = sim
        .control()
        .calls()
        .into_iter()
        .map(|call| (call.request_id.clone(), call))
        .collect();
    let (mut announced, mut reported, mut estimated, mut left) = (0, 0, 0, 0);
    for (reply, leaves) in &replies {
        if *leaves {
            // Nobody is left to be told; what was announced covers what it cost.
            left += 1;
            announced += reply
                .events
                .iter()
                .filter(|event| matches!(event, Event::CallStarted(_)))
                .count();
            continue;
        }
        for (started, ended) in reply.calls() {
            announced += 1;
            let told = ended.usage.as_ref().expect("usage is always told");
            let Some(call) = books.get(&ended.upstream_id) else {
                // Only a call whose headers never came has no name.
                assert!(ended.upstream_id.is_empty(), "seed {seed}: {ended:?}");
                continue;
            };
            let billed = call.billed.clone();
            let (input, output) = billed.map_or((0, 0), |usage| (usage.prompt_tokens, usage.completion_tokens));
            let (input, output) = (i64::from(input), i64::from(output));
            match ended.usage_source() {
                UsageSource::Reported => {
                    reported += 1;
                    assert_eq!(
                        (told.input_tokens, told.output_tokens),
                        (input, output),
                        "seed {seed}: {}",
                        call.scenario
                    );
                }
                _ => {
                    estimated += 1;
                    assert!(
                        told.input_tokens >= input && told.output_tokens >= output,
                        "seed {seed}: {}: {told:?} of {input}, {output}",
                        call.scenario
                    );
                }
            }
            assert!(
                started.input_tokens_at_most >= input && started.output_tokens_at_most >= output,
                "seed {seed}"
            );
        }
    }
    println!("{made} calls: {reported} reported, {estimated} estimated; {left} callers left");
    assert_eq!(
        announced, made,
        "seed {seed}: every call is announced, and none that was not made"
    );
    assert!(reported > 500 && estimated > 50 && left > 10);
}

/// Asks, and leaves with the first piece of text, or the end.
async fn until_text(desk: &Desk, message: &str) -> Reply {
    let mut reply = Reply::default();
    if let Ok(stream) = desk.client.clone().stream_reply(about(message)).await {
        let mut stream = stream.into_inner();
        while let Ok(Some(message)) = stream.message().await {
            let event = message.event.unwrap();
            let text = matches!(event, Event::Delta(_));
            reply.events.push(event);
            if text {
                break;
            }
        }
    }
    reply
}

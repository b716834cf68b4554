//! Where requests go on that make one call at a time, as callers are told of it and give it back.

use deskhand_proto::assistant::v1 as proto;
use service_kit::refusal::Violation;

use crate::groq::engine::{Allowance, Past};

/// No request makes so many calls; a number beyond it was not told by us.
const MOST_CALLS: i32 = 1_000;

/// Where a request of this allowance goes on.
pub(crate) fn told(allowance: &Allowance) -> proto::Continuation {
    let past = allowance.past();
    proto::Continuation {
        call_no: past.calls.saturating_add(1),
        tokens_left: allowance
            .tokens_left()
            .map_or(0, |left| i64::try_from(left).unwrap_or(i64::MAX)),
        // It is texts and numbers, which can always be written.
        state: serde_json::to_vec(&past).unwrap_or_default(),
    }
}

/// How a request stands that goes on where this says.
///
/// # Errors
/// Where it was not told by us.
pub(crate) fn parse(continuation: &proto::Continuation) -> Result<Past, Violation> {
    if !(2..=MOST_CALLS).contains(&continuation.call_no) {
        return Err(Violation::new("continuation.call_no", "It must be as it was told."));
    }
    let past: Past = serde_json::from_slice(&continuation.state)
        .map_err(|_| Violation::new("continuation.state", "It must be as it was told."))?;
    Ok(Past {
        calls: continuation.call_no - 1,
        ..past
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::groq::engine::Mend;

    proptest! {
        #[test]
        fn what_is_told_is_read_as_it_was(calls in 1..MOST_CALLS, tokens in 1..i64::MAX, answer in any::<String>(), wrong in any::<String>()) {
            let past = Past { calls, mend: Some(Mend { answer, wrong }), ..Past::default() };
            let allowance = Allowance::after(past.clone(), Some(tokens.unsigned_abs()), true);
            let told = told(&allowance);
            prop_assert_eq!((told.call_no, told.tokens_left), (calls + 1, tokens));
            prop_assert_eq!(parse(&told).unwrap(), past);
        }

        #[test]
        fn what_was_not_told_by_us_is_refused_or_harmless(call_no in any::<i32>(), state in any::<Vec<u8>>()) {
            if let Ok(past) = parse(&proto::Continuation { call_no, tokens_left: 0, state }) {
                prop_assert!((1..MOST_CALLS).contains(&past.calls));
            }
        }
    }
}

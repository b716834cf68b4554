//! Durations as Go prints them: `6s`, `130ms`, `2m59.56s`.

use std::time::Duration;

pub(super) fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 1_000_000)),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `nanos` in a unit, without trailing zeros.
fn decimal(nanos: u128, unit: u128) -> String {
    let (whole, fraction) = (nanos / unit, nanos % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{fraction:0digits$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_prints_them() {
        for (micros, text) in [
            (0, "0s"),
            (130_000, "130ms"),
            (577_500, "577.5ms"),
            (6_000_000, "6s"),
            (6_352_500, "6.3525s"),
            (60_000_000, "1m0s"),
            (179_560_000, "2m59.56s"),
            (1_033_344_000, "17m13.344s"),
            (3_600_000_000, "1h0m0s"),
            (80, "80µs"),
        ] {
            assert_eq!(format(Duration::from_micros(micros)), text);
        }
    }
}

//! What was measured, for people.

use std::fmt;
use std::time::Duration;

/// Rows of a name, a figure and a ratio.
#[derive(Default)]
pub(crate) struct Table(Vec<[String; 3]>);

impl Table {
    /// Adds a row; `ratio` is to what `of` names.
    pub(crate) fn row(&mut self, name: &str, figure: String, ratio: Option<(f64, &str)>) {
        let ratio = ratio.map_or_else(String::new, |(ratio, of)| format!("{ratio:.3} of {of}"));
        self.0.push([name.to_owned(), figure, ratio]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for [name, figure, ratio] in &self.0 {
            writeln!(f, "{name:40} {figure:>30}  {ratio}")?;
        }
        Ok(())
    }
}

/// The value that so many thousandths are at or below.
pub(crate) fn quantile(times: &mut [Duration], thousandths: usize) -> Duration {
    times.sort_unstable();
    times
        .get(times.len().saturating_sub(1) * thousandths / 1000)
        .copied()
        .unwrap_or_default()
}

pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// A quantile over rounds.
pub(crate) struct Spread {
    least: Duration,
    pub(crate) median: Duration,
    most: Duration,
}

impl Spread {
    pub(crate) fn of(rounds: &mut [Vec<Duration>], thousandths: usize) -> Self {
        let mut of_rounds: Vec<_> = rounds.iter_mut().map(|times| quantile(times, thousandths)).collect();
        Self {
            median: quantile(&mut of_rounds, 500),
            least: of_rounds.first().copied().unwrap_or_default(),
            most: of_rounds.last().copied().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [least, median, most] = [self.least, self.median, self.most].map(milliseconds);
        write!(f, "{median} ({least} to {most})")
    }
}

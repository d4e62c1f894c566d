//! Interleaved measurement: the same work by several contenders, round by round, and the median rate of each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;

/// How many operations were done, and how long that took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) count: u64,
    pub(crate) took: Duration,
}

/// A contender: its name, and its work.
pub(crate) type Contender<'a> = (&'static str, Work<'a>);

/// Does a round of work.
pub(crate) type Work<'a> = Box<dyn FnMut() -> anyhow::Result<Done> + 'a>;

/// Work of which all takes part in the measurement; it says how many operations it did.
pub(crate) fn timed<'a>(mut work: impl FnMut() -> anyhow::Result<u64> + 'a) -> Work<'a> {
    Box::new(move || {
        let started = Instant::now();
        let count = work()?;
        Ok(Done { count, took: started.elapsed() })
    })
}

/// Lets each contender work once for warming up, then `rounds` times by turns. Returns the median rates in operations per
/// second: that of the first contender, which is ours, and those of the peers by name.
pub(crate) fn interleave(
    rounds: usize,
    contenders: &mut [Contender<'_>],
) -> anyhow::Result<(f64, BTreeMap<&'static str, f64>)> {
    let mut rates = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..=rounds {
        for ((_, work), rates) in contenders.iter_mut().zip(&mut rates) {
            let done = work()?;
            if round > 0 {
                rates.push(per_second(done));
            }
        }
    }
    let mut named = contenders.iter().map(|(name, _)| *name).zip(rates.into_iter().map(median));
    let (_, ours) = named.next().context("ours comes first")?;
    Ok((ours, named.collect()))
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn per_second(done: Done) -> f64 {
    done.count as f64 / done.took.as_secs_f64()
}

pub(crate) fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

//! Taking turns: the same work by several hands, round by round, and the median of each.

use std::time::{Duration, Instant};

/// How many operations were done, and how long that took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) count: u64,
    pub(crate) took: Duration,
}

/// One hand: its name, and its work.
pub(crate) type Hand<'a> = (&'static str, Work<'a>);

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

/// Lets each hand work once for warming up, then `rounds` times in turn. Returns the median rate of each, in
/// operations per second.
pub(crate) fn in_turn(rounds: usize, hands: &mut [Hand<'_>]) -> anyhow::Result<Vec<f64>> {
    let mut rates = vec![Vec::with_capacity(rounds); hands.len()];
    for round in 0..=rounds {
        for ((_, work), rates) in hands.iter_mut().zip(&mut rates) {
            let done = work()?;
            if round > 0 {
                rates.push(per_second(done));
            }
        }
    }
    Ok(rates.into_iter().map(median).collect())
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn per_second(done: Done) -> f64 {
    done.count as f64 / done.took.as_secs_f64()
}

pub(crate) fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

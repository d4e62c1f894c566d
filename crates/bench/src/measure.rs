//! Taking turns: the same work by several hands, round by round, and the median of each.

use std::time::{Duration, Instant};

/// One hand: its name, and work that says how many operations it did.
pub(crate) type Hand<'a> = (&'static str, Box<dyn FnMut() -> anyhow::Result<u64> + 'a>);

/// Lets each hand work once for warming up, then `rounds` times in turn. Returns the median rate of each, in
/// operations per second.
pub(crate) fn in_turn(rounds: usize, hands: &mut [Hand<'_>]) -> anyhow::Result<Vec<f64>> {
    let mut rates = vec![Vec::with_capacity(rounds); hands.len()];
    for round in 0..=rounds {
        for ((_, work), rates) in hands.iter_mut().zip(&mut rates) {
            let started = Instant::now();
            let done = work()?;
            let rate = per_second(done, started.elapsed());
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    Ok(rates.into_iter().map(median).collect())
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn per_second(done: u64, took: Duration) -> f64 {
    done as f64 / took.as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

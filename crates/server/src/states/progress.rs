//! Answers to changes that may take as long as there are entries: one JSON object at the end, or, for who wants that,
//! JSON Lines that say how far it has come until then.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::problem::Problem;
use super::request::LINES;
use crate::reply::{self, Reply};

/// The time between two lines about progress.
const EVERY: Duration = Duration::from_millis(250);

/// The time after which an empty line says that the change goes on, where nothing else does.
const STILL: Duration = Duration::from_secs(15);

/// How far a change has come.
#[derive(Default)]
pub(super) struct Progress {
    done: AtomicU64,
    /// One more than the number, so that 0 is "not known".
    of: AtomicU64,
}

impl Progress {
    /// Notes how far it is.
    pub(super) fn set(&self, done: u64, of: Option<u64>) {
        self.of.store(of.map_or(0, |of| of.saturating_add(1)), Relaxed);
        self.done.store(done, Relaxed);
    }

    fn get(&self) -> (u64, Option<u64>) {
        (self.done.load(Relaxed), self.of.load(Relaxed).checked_sub(1))
    }
}

/// Does the work, and answers with what came of it. Whoever goes away before the end takes the work with them.
pub(super) async fn answer<T, F>(lines: bool, work: impl FnOnce(Arc<Progress>) -> F) -> Result<Reply, Problem>
where
    T: Serialize,
    F: Future<Output = Result<T, Problem>> + Send + 'static,
{
    let progress = Arc::new(Progress::default());
    let work = work(progress.clone());
    if !lines {
        return Ok(reply::json(StatusCode::OK, &work.await?));
    }
    let work = work.map(|done| match done {
        Ok(result) => line(&json!({ "result": result })),
        Err(problem) => line(&problem.into_line()),
    });
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let said = Instant::now();
    let report = Report { work: work.boxed(), ended: false, progress, told: (0, None), ticks, said };
    let body = Body::from_stream(unfold(report, |mut report| async move {
        let line = report.next().await?;
        Some((Ok::<_, Infallible>(line), report))
    }));
    Ok(reply::of(StatusCode::OK, LINES, body))
}

/// The lines of one change.
struct Report {
    work: BoxFuture<'static, String>,
    ended: bool,
    progress: Arc<Progress>,
    told: (u64, Option<u64>),
    ticks: Interval,
    /// When the last line was said.
    said: Instant,
}

impl Report {
    async fn next(&mut self) -> Option<String> {
        while !self.ended {
            tokio::select! {
                biased;
                last = &mut self.work => {
                    self.ended = true;
                    return Some(last);
                }
                _ = self.ticks.tick() => {}
            }
            let now = self.progress.get();
            if now != self.told {
                (self.told, self.said) = (now, Instant::now());
                return Some(line(&json!({ "progress": { "done": now.0, "of": now.1 } })));
            }
            if self.said.elapsed() >= STILL {
                self.said = Instant::now();
                return Some("\n".to_owned());
            }
        }
        None
    }
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::response::IntoResponse;
    use tokio::time::sleep;

    use super::*;

    async fn said(reply: Reply) -> String {
        String::from_utf8(to_bytes(reply.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn progress_is_told_now_and_then_and_the_end_at_once() {
        let reply = answer(true, |progress| async move {
            for done in 1..=100 {
                progress.set(done, (done > 60).then_some(100));
                sleep(Duration::from_millis(5)).await;
            }
            Ok(json!({ "entries": 100 }))
        });
        let told = said(reply.await.unwrap()).await;
        let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.last(), Some(&json!({ "result": { "entries": 100 } })));
        let progress = &lines[..lines.len() - 1];
        assert!((2..=3).contains(&progress.len()), "{told}");
        assert_eq!(progress[0]["progress"]["of"], Value::Null);
        assert!(
            progress
                .windows(2)
                .all(|two| two[0]["progress"]["done"].as_u64() < two[1]["progress"]["done"].as_u64())
        );
    }

    /// Who waits knows a change that takes its time from a program that hangs.
    #[tokio::test(start_paused = true)]
    async fn a_change_that_says_nothing_is_still_there() {
        let reply = answer(true, |_| async {
            sleep(Duration::from_secs(50)).await;
            Ok(json!({}))
        });
        assert_eq!(said(reply.await.unwrap()).await, "\n\n\n{\"result\":{}}\n");
    }

    #[tokio::test]
    async fn an_error_is_the_last_line_or_the_answer() {
        let failing =
            |lines| answer(lines, |_| async { Err::<(), _>(Problem::new(StatusCode::CONFLICT, "no")) });
        let told = said(failing(true).await.unwrap()).await;
        assert_eq!(told, "{\"error\":{\"status\":409,\"detail\":\"no\"}}\n");
        let reply = failing(false).await.unwrap_err().into_response();
        assert_eq!(reply.status(), StatusCode::CONFLICT);
        assert_eq!(said(reply).await, r#"{"detail":"no"}"#);
    }
}

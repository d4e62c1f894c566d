//! The counts of owners and spaces, kept with every write, beside a recount of the rows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use inboxclaw_contract::store::HistoryLimit;
use inboxclaw_contract::{Entry, Expiry, Outcome, OwnerId, SpaceId, Turn};
use inboxclaw_contract_testing::{HandClock, SpacesGround, Words, seconds};
use inboxclaw_store::{Durability, HistoryBounds, Options, SqliteStore};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;

/// Spaces, what they hold by their rows, and what is said of them.
const RECOUNT: &str = "
    SELECT s.id, count(e.key), coalesce(sum(length(CAST(e.key AS BLOB)) + length(CAST(e.value AS BLOB))), 0),
        coalesce(o.entries, s.entries), coalesce(o.bytes, s.bytes)
    FROM spaces s LEFT JOIN owners o ON o.space = s.id LEFT JOIN entries e ON e.space = s.id GROUP BY s.id";

const SECRETS_LEFT: &str =
    "SELECT count(*) FROM entries WHERE secret = 1 AND space NOT IN (SELECT space FROM owners)";

#[derive(Debug, Clone)]
enum Step {
    Put(u32, usize, Option<u64>, bool),
    /// More than a clear would tell key by key.
    PutMany,
    Delete(u32),
    DeletePrefix(&'static str),
    Restore(u32),
    /// To the space that history names, counted from its newest row.
    Swap(usize, bool),
    /// To a space that is built anew.
    Build(u32, bool),
    Clock(i64),
    Sweep,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..40_u32, 0..30_usize, prop::option::of(1..60_u64), any::<bool>())
            .prop_map(|(key, length, ttl, secret)| Step::Put(key, length, ttl, secret)),
        2 => Just(Step::PutMany),
        2 => (0..40_u32).prop_map(Step::Delete),
        2 => select(vec!["", "1", "é/", "é/1", "many/00"]).prop_map(Step::DeletePrefix),
        2 => (0..40_u32).prop_map(Step::Restore),
        3 => (0..3_usize, any::<bool>()).prop_map(|(back, keep)| Step::Swap(back, keep)),
        2 => (0..40_u32, any::<bool>()).prop_map(|(keys, keep)| Step::Build(keys, keep)),
        2 => (1..40_i64).prop_map(Step::Clock),
        2 => Just(Step::Sweep),
    ]
}

/// Short and long keys, of one and of several bytes a character.
fn key(number: u32) -> String {
    if number.is_multiple_of(2) { format!("é/{number}") } else { number.to_string() }
}

fn entry(number: u32) -> Entry {
    let at = jiff::Timestamp::from_second(1_600_000_000).unwrap();
    let (value, revision) = (inboxclaw_contract_testing::json("[1,2,3]"), inboxclaw_contract::Version(1));
    let (key, secret) = (key(number), number.is_multiple_of(3));
    Entry { key, value, revision, created_at: at, updated_at: at, expires_at: None, secret }
}

async fn take(ground: &SpacesGround, owner: OwnerId, step: &Step) {
    let turn = ground.turn(owner).await;
    let turn = match step {
        Step::Put(number, length, ttl, secret) => {
            let value = format!("\"{}\"", "é".repeat(*length));
            let expiry = ttl.map_or(Expiry::Never, seconds);
            let put = turn.put_for(&key(*number), &value, expiry);
            if *secret { put.secret(&key(number + 1), &value) } else { put }
        }
        Step::PutMany => (0..1_010).fold(turn, |turn, n| turn.put(&format!("many/{n:04}"), "1")),
        Step::Delete(number) => turn.delete(&key(*number)),
        Step::DeletePrefix(prefix) => turn.delete_prefix(prefix).delete_prefix("é/1").put("1", "1"),
        Step::Restore(number) => turn.restore(entry(*number)),
        Step::Swap(back, keep) => match replaced(ground, owner, *back).await {
            Some(space) => turn.swap(space, *keep).put("1", "2").delete_prefix("é/2"),
            None => return,
        },
        Step::Build(keys, keep) => {
            let built = ground.spaces.build(owner).await.unwrap();
            let fill = (0..*keys).map(|n| (key(n), Some(entry(n)))).collect();
            ground.spaces.fill(&built, fill).await.unwrap();
            let outcome = ground.store.commit(turn.swap(built.id, *keep).delete("1")).await.unwrap();
            return assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
        }
        Step::Clock(seconds) => return ground.clock.step(*seconds),
        Step::Sweep => {
            while ground.store.sweep().await.unwrap().more {}
            return;
        }
    };
    commit(ground, turn).await;
}

/// A swap back to the space that is in place already is refused, and nothing else is.
async fn commit(ground: &SpacesGround, turn: Turn) {
    let swaps = turn.swap.is_some();
    match ground.store.commit(turn).await {
        Ok(Outcome::Committed(_)) => {}
        Err(inboxclaw_contract::StoreError::Refused(_)) if swaps => {}
        other => panic!("{other:?}"),
    }
}

async fn replaced(ground: &SpacesGround, owner: OwnerId, back: usize) -> Option<SpaceId> {
    let history = ground.store.history(owner, None, HistoryLimit::turns(1_000)).await.unwrap();
    history.iter().filter_map(|past| past.replaced).nth(back)
}

fn recount(path: &Path) {
    let check = Connection::open(path).unwrap();
    let mut all = check.prepare(RECOUNT).unwrap();
    let rows = all
        .query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get::<_, i64>(4)?]));
    for [space, entries, bytes, said_entries, said_bytes] in rows.unwrap().map(Result::unwrap) {
        assert_eq!((said_entries, said_bytes), (entries, bytes), "space {space}");
    }
    let left: i64 = check.query_row(SECRETS_LEFT, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "secrets left in spaces that are not in place");
}

async fn live(steps: Vec<Step>) {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = dir.path().join("a.db");
    let clock = HandClock::new();
    // Little history, so that replaced spaces go while others are still named.
    let history = HistoryBounds { age: std::time::Duration::from_secs(60), ..HistoryBounds::default() };
    let options = Options { durability: Durability::Normal, history, ..Options::new(clock.clone()) };
    let store = Arc::new(SqliteStore::open(&path, options).unwrap());
    let ground = SpacesGround::new(store, clock);
    let owner = ground.source("a").await;
    for step in steps {
        take(&ground, owner, &step).await;
        recount(&path);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, max_shrink_iters: 500, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn counts_stay_exact(steps in vec(any_step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(live(steps));
    }
}

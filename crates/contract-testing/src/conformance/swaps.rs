//! Another space in place of an owner's: what it brings, what it leaves behind, and when it is refused.

use inboxclaw_contract::store::{Before, HistoryLimit};
use inboxclaw_contract::turn::Conflict;
use inboxclaw_contract::{Entry, OwnerId, SpaceId, StoreError, Turn, Version};

use crate::{SpacesGround, Words, json, seconds, turn};

/// So many that clearing them away is done by a fresh space.
const MANY: usize = 1_100;

fn many(turn: Turn) -> Turn {
    (0..MANY).fold(turn, |turn, n| turn.put(&format!("k/{n:04}"), "1"))
}

/// What `many` puts, as counts.
const MANY_COUNTS: (u64, u64) = (MANY as u64, 7 * MANY as u64);

/// An owner that had many entries and was cleared, and the space that it had before.
async fn cleared(ground: &SpacesGround, name: &str) -> (OwnerId, SpaceId, Vec<Entry>) {
    let owner = ground.source(name).await;
    ground.commit(many(ground.turn(owner).await).cursor("c")).await;
    let before = ground.all(owner).await;
    ground.commit(ground.turn(owner).await.delete_prefix("")).await;
    (owner, ground.last(owner).await.replaced.unwrap(), before)
}

pub async fn deleting_many_entries_leaves_their_space_to_history(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    ground.commit(many(ground.turn(owner).await)).await;
    let before = ground.all(owner).await;
    let clear = ground.turn(owner).await.delete_prefix("k/").delete_prefix("").put("k/0001", "2").cursor("c");
    assert_eq!(ground.commit(clear).await.version, Version(2));
    assert_eq!((ground.keys(owner, "").await, ground.counts(owner).await), (vec!["k/0001".into()], (1, 7)));
    let entry = ground.all(owner).await.remove(0);
    assert_eq!((entry.value.as_str(), entry.revision), ("2", Version(2)));
    let past = ground.last(owner).await;
    assert!(past.replaced.is_some() && !past.marker);
    assert_eq!((past.entries, past.cursor), (vec![("k/0001".to_owned(), Before::Absent)], Some(None)));
    // It comes back as it was.
    let back = ground.turn(owner).await.swap(past.replaced.unwrap(), true);
    assert_eq!(ground.commit(back).await.version, Version(3));
    assert_eq!((ground.all(owner).await, ground.counts(owner).await), (before, MANY_COUNTS));
    assert!(ground.last(owner).await.replaced.is_some_and(|space| Some(space) != past.replaced));
    assert_eq!(ground.store.snapshot(owner).await.unwrap().cursor.as_deref(), Some("c"), "the cursor stays");
}

pub async fn deleting_few_entries_is_told_key_by_key(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    ground.commit((0..1_000).fold(ground.turn(owner).await, |turn, n| turn.put(&n.to_string(), "1"))).await;
    ground.commit(ground.turn(owner).await.delete_prefix("")).await;
    let past = ground.last(owner).await;
    assert_eq!((past.replaced, past.entries.len(), ground.counts(owner).await), (None, 1_000, (0, 0)));
}

pub async fn clearing_away_what_has_expired_is_no_change(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    let put =
        (0..MANY).fold(ground.turn(owner).await, |turn, n| turn.put_for(&n.to_string(), "1", seconds(9)));
    ground.commit(put).await;
    ground.clock.step(9);
    let clear = ground.turn(owner).await.delete_prefix("");
    assert_eq!(ground.commit(clear).await.version, Version(1));
    assert_eq!(ground.counts(owner).await, (0, 0));
    assert_eq!(ground.store.history(owner, None, HistoryLimit::turns(9)).await.unwrap().len(), 1);
    ground.commit(turn(owner, Version(1)).put("a", "1")).await;
    assert_eq!((ground.keys(owner, "").await, ground.counts(owner).await), (vec!["a".into()], (1, 2)));
}

pub async fn a_swap_conflicts_with_every_change_since_its_base(ground: &SpacesGround) {
    let (owner, space, _) = cleared(ground, "a").await;
    let base = ground.version(owner).await;
    ground.commit(turn(owner, base).put("elsewhere", "1")).await;
    assert_eq!(ground.conflict(turn(owner, base).swap(space, true)).await, Conflict::Unknown);
    assert_eq!(ground.keys(owner, "").await, ["elsewhere"]);
    // And every turn from before a swap conflicts with it.
    let base = ground.version(owner).await;
    ground.commit(turn(owner, base).swap(space, true)).await;
    ground.commit(ground.turn(owner).await.put("later", "1")).await;
    assert_eq!(ground.conflict(turn(owner, base).put("other", "1")).await, Conflict::Unknown);
    let after = Version(base.0 + 1);
    ground.commit(turn(owner, after).put("other", "1")).await;
    assert_eq!(ground.conflict(turn(owner, after).put("later", "2")).await, Conflict::Key("later".into()));
}

pub async fn a_space_of_somebody_else_is_refused(ground: &SpacesGround) {
    let (owner, _, _) = cleared(ground, "a").await;
    let (_, others, _) = cleared(ground, "b").await;
    let base = ground.version(owner).await;
    for space in [others, SpaceId(99)] {
        let bad = turn(owner, base).swap(space, true).put("k", "1").emit("e", "t");
        let refused = ground.store.commit(bad).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    }
    assert_eq!((ground.version(owner).await, ground.counts(owner).await), (base, (0, 0)));
    assert!(ground.event_ids().await.is_empty());
}

pub async fn a_swap_happens_before_everything_else_in_its_turn(ground: &SpacesGround) {
    let (owner, space, before) = cleared(ground, "a").await;
    ground.commit(ground.turn(owner).await.put("left", "1").secret("k/secret", "12").secret("s", "1")).await;
    let swap = ground.turn(owner).await.swap(space, true).delete_prefix("k/0").delete_prefix("k/s");
    ground.commit(swap.put("k/0001", "2").put("k/1000", "3").delete("k/1001").put("s", "4")).await;
    let kept: Vec<_> = before.into_iter().filter(|entry| entry.key.as_str() > "k/1001").collect();
    let all = ground.all(owner).await;
    let found: Vec<_> = all.iter().take(2).map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
    assert_eq!(found, [("k/0001", "2"), ("k/1000", "3")]);
    assert_eq!((all[0].revision, &all[2..all.len() - 1]), (Version(4), &kept[..]));
    assert_eq!(all.last().map(|entry| (entry.key.as_str(), entry.secret)), Some(("s", false)));
    assert_eq!(ground.counts(owner).await, (all.len() as u64, 7 * (all.len() as u64 - 1) + 2));
    let past = ground.last(owner).await;
    let secrets: Vec<_> =
        past.entries.iter().filter(|(_, old)| *old == Before::Secret).map(|(key, _)| key).collect();
    assert_eq!(secrets, ["k/secret", "s"]);
    // 1,000 that were deleted, one changed and one deleted after that, and the two secrets.
    assert_eq!(past.entries.len(), 1_004);
}

pub async fn a_swap_that_clears_leaves_what_the_turn_puts(ground: &SpacesGround) {
    let (owner, space, before) = cleared(ground, "a").await;
    ground.commit(ground.turn(owner).await.put("left", "1").secret("s", "1")).await;
    ground.commit(ground.turn(owner).await.swap(space, true).delete_prefix("").put("a", "1")).await;
    assert_eq!((ground.keys(owner, "").await, ground.counts(owner).await), (vec!["a".into()], (1, 2)));
    let past = ground.last(owner).await;
    assert_eq!(past.entries, [("a".to_owned(), Before::Absent)]);
    ground.commit(ground.turn(owner).await.swap(past.replaced.unwrap(), true)).await;
    assert_eq!(ground.keys(owner, "").await, ["left"]);
    ground.commit(ground.turn(owner).await.swap(space, true)).await;
    assert_eq!(ground.all(owner).await, before);
}

pub async fn secrets_move_with_a_swap_and_never_stay_behind(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    ground.commit(many(ground.turn(owner).await).secret("s/old", "1")).await;
    ground.commit(ground.turn(owner).await.delete_prefix("").put("plain", "1")).await;
    let first = ground.last(owner).await.replaced.unwrap();
    let put = ground.turn(owner).await.secret("k/0000", "\"long\"").secret("s/new", "1");
    ground.commit(put.secret("s/gone", "1")).await;
    ground.commit(ground.turn(owner).await.touch("s/gone", seconds(5))).await;
    ground.clock.step(5);
    let secret = ground.all(owner).await.remove(0);
    ground.commit(ground.turn(owner).await.swap(first, true)).await;
    let second = ground.last(owner).await.replaced.unwrap();
    let all = ground.all(owner).await;
    assert_eq!((all.len(), &all[0]), (MANY + 1, &secret), "a secret wins over what is none");
    assert_eq!(all.last().map(|entry| entry.key.as_str()), Some("s/new"), "the old one did not come back");
    assert_eq!(ground.counts(owner).await, (MANY_COUNTS.0 + 1, MANY_COUNTS.1 + 5 + 6));
    // Without the wish to keep them they go.
    ground.commit(ground.turn(owner).await.swap(second, false)).await;
    assert_eq!((ground.keys(owner, "").await, ground.counts(owner).await), (vec!["plain".into()], (1, 6)));
    ground.commit(ground.turn(owner).await.swap(first, true)).await;
    let all = ground.all(owner).await;
    assert_eq!((all.len(), all[0].key.as_str()), (MANY - 1, "k/0001"), "what the secret lay upon is gone");
    assert!(all.iter().all(|entry| !entry.secret));
    assert_eq!(ground.counts(owner).await.0, MANY_COUNTS.0 - 1);
}

pub async fn a_built_space_keeps_the_secrets_that_it_came_with(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    let put = ["s", "t", "u"].iter().fold(ground.turn(owner).await, |turn, key| turn.secret(key, "1"));
    ground.commit(put).await;
    let built = ground.spaces.build(owner).await.unwrap();
    let old = ground.all(owner).await;
    let fill = [("s", true), ("t", false), ("v", true)].map(|(key, secret)| {
        (key.to_owned(), Some(Entry { key: key.into(), value: json("200"), secret, ..old[0].clone() }))
    });
    ground.spaces.fill(&built, fill.into()).await.unwrap();
    ground.commit(ground.turn(owner).await.swap(built.id, true)).await;
    let all = ground.all(owner).await;
    let found: Vec<_> = all.iter().map(|entry| (&*entry.key, entry.value.as_str(), entry.secret)).collect();
    assert_eq!(found, [("s", "200", true), ("t", "1", true), ("u", "1", true), ("v", "200", true)]);
    assert_eq!((&all[1], ground.counts(owner).await), (&old[1], (4, 4 + 2 + 2 + 4)));
}

pub async fn a_limit_holds_for_swaps(ground: &SpacesGround) {
    let (owner, space, _) = cleared(ground, "a").await;
    let policy = inboxclaw_contract::store::StateLimits { max_entries: Some(10), ..Default::default() };
    ground.store.set_limits(owner, policy).await.unwrap();
    let refused = ground.store.commit(ground.turn(owner).await.swap(space, true)).await;
    let Err(StoreError::OverLimit(text)) = refused else { panic!("{refused:?}") };
    assert_eq!(text, "source:a would have 1100 entries of state, the limit is 10");
    let fits = ground.turn(owner).await.swap(space, true).delete_prefix("k/").put("a", "1");
    ground.commit(fits).await;
    assert_eq!(ground.counts(owner).await, (1, 2));
}

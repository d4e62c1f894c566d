//! Everything that can be read of states, beside the model.

use std::sync::{Arc, Mutex};

use inboxclaw_contract::space::{EntryInfo, Look};
use inboxclaw_contract::store::{HistoryLimit, PastTurn};
use inboxclaw_contract::{Entry, Housekeeping, OwnerId, Spaces, State, Version};

use crate::ground::Ground;
use crate::state::{OwnerModel, Past, World, owner};
use crate::steps::KEYS;

/// Takes over what the model cannot know: the numbers of spaces, and which of the entries are gone that a sweep was
/// free to take.
pub(crate) async fn adopt(world: &mut World, ground: &Ground) {
    let (now, swept) = (world.now, world.swept);
    for (place, model) in world.owners.iter_mut().enumerate() {
        let found = ground.store.space(owner(place)).await.unwrap();
        let known = &mut model.ids[model.space];
        assert_eq!(*known.get_or_insert(found.id), found.id, "another space than expected");
        let keys = ground.store.keys(owner(place), "", None, 1_000).await.unwrap();
        // Where a sweep saw an entry expired, no step back of the clock brings it back.
        let free = |entry: &Entry| {
            entry.expires_at.is_some_and(|at| at > now && at <= swept) || model.may_take(entry, now)
        };
        let live = model.rows().values().filter(|row| crate::state::is_live(&row.entry, now));
        let gone = live.filter(|row| !keys.contains(&row.entry.key) && free(&row.entry));
        let gone: Vec<u64> = gone.map(|row| row.born).collect();
        gone.into_iter().for_each(|born| model.lose(born));
    }
}

/// Compares.
pub(crate) async fn compare(world: &World, ground: &Ground) {
    for (place, model) in world.owners.iter().enumerate() {
        let id = owner(place);
        let snapshot = ground.store.snapshot(id).await.unwrap();
        assert_eq!(
            (snapshot.version, &snapshot.cursor, snapshot.now),
            (Version(model.version), &model.cursor, world.now),
            "the head of owner {place}"
        );
        entries(world, ground, model, id).await;
        looks(world, ground, model, id).await;
        counts(world, ground, model, place).await;
        history(ground, model, id).await;
    }
}

async fn entries(world: &World, ground: &Ground, model: &OwnerModel, id: OwnerId) {
    let live: Vec<Entry> = model.all_live(world.now).into_iter().cloned().collect();
    assert_eq!(ground.store.list(id, "", None, 100).await.unwrap(), live);
    for prefix in ["a/", "a_", "A"] {
        let under = || live.iter().filter(|entry| entry.key.starts_with(prefix));
        assert_eq!(
            ground.store.list(id, prefix, None, 100).await.unwrap(),
            under().cloned().collect::<Vec<_>>(),
            "under {prefix:?}"
        );
        let keys: Vec<_> = under().map(|entry| entry.key.clone()).collect();
        assert_eq!(ground.store.keys(id, prefix, None, 100).await.unwrap(), keys);
        assert_eq!(scanned(ground, id, prefix).await, under().cloned().collect::<Vec<_>>());
    }
    let keys: Vec<String> = KEYS.iter().chain(&["none"]).map(|&key| key.to_owned()).collect();
    let expected: Vec<_> = keys.iter().map(|key| model.live(key, world.now).cloned()).collect();
    assert_eq!(ground.store.entries(id, &keys).await.unwrap(), expected);
    let space = model.ids[model.space].unwrap();
    assert_eq!(ground.store.entries_in(space, &keys).await.unwrap(), expected);
    let mut expiring: Vec<_> =
        live.iter().filter_map(|entry| Some((entry.expires_at?, entry.key.clone()))).collect();
    expiring.sort();
    let mut found = ground.store.expiring(id, world.now, 100).await.unwrap();
    assert!(found.is_sorted_by_key(|(_, at)| *at), "{found:?}");
    found.sort_by_key(|(key, at)| (*at, key.clone()));
    assert_eq!(found.into_iter().map(|(key, at)| (at, key)).collect::<Vec<_>>(), expiring);
}

async fn scanned(ground: &Ground, id: OwnerId, prefix: &str) -> Vec<Entry> {
    let found = Arc::new(Mutex::new(Vec::new()));
    let into = found.clone();
    let each = Box::new(move |entry| {
        into.lock().unwrap().push(entry);
        true
    });
    ground.store.scan(id, prefix, each).await.unwrap();
    std::mem::take(&mut *found.lock().unwrap())
}

/// Listings for people, in pages.
async fn looks(world: &World, ground: &Ground, model: &OwnerModel, id: OwnerId) {
    for values in [true, false] {
        let live = model.all_live(world.now).into_iter().cloned().map(EntryInfo::from);
        let expected: Vec<_> =
            live.map(|info| EntryInfo { value: info.value.filter(|_| values), ..info }).collect();
        let mut look = Look { prefix: String::new(), after: None, entries: 2, bytes: 12, values };
        let mut found = Vec::new();
        loop {
            let page = ground.store.look(id, &look).await.unwrap();
            assert!(page.entries.len() <= 2);
            let last = page.entries.last().map(|entry| entry.key.clone());
            found.extend(page.entries);
            if page.next.is_none() {
                break;
            }
            assert_eq!(page.next, last, "a page goes on after its last key");
            look.after = page.next;
        }
        assert_eq!(found, expected, "with values: {values}");
    }
}

async fn counts(world: &World, ground: &Ground, model: &OwnerModel, place: usize) {
    let id = owner(place);
    let (stored, live) = model.counts(world.now);
    let found = ground.store.space(id).await.unwrap();
    assert_eq!(found.version, Version(model.version));
    let found = (found.entries, found.bytes);
    let between = |found, live, stored| live <= found && found <= stored;
    let fits = between(found.0, live.0, stored.0) && between(found.1, live.1, stored.1);
    assert!(fits, "counts of owner {place}: {found:?}, live {live:?}, stored {stored:?}");
    let owners = ground.store.owners().await.unwrap();
    let info = owners.iter().find(|info| info.id == id).unwrap();
    assert_eq!((info.entries, info.bytes, info.version), (found.0, found.1, Version(model.version)));
    assert_eq!(info.cursor, model.cursor);
}

async fn history(ground: &Ground, model: &OwnerModel, id: OwnerId) {
    let found = ground.store.history(id, None, HistoryLimit::turns(1_000)).await.unwrap();
    let kept: Vec<_> =
        model.past.iter().rev().take_while(|past| past.kept).map(|past| past_turn(model, past)).collect();
    assert_eq!(found.len(), kept.len(), "length of history");
    for (found, kept) in found.iter().zip(&kept) {
        assert_eq!(found, kept, "history");
    }
    let Some(middle) = kept.get(kept.len() / 2) else { return };
    let older = ground.store.history(id, Some(middle.version), HistoryLimit::turns(2)).await.unwrap();
    let expected: Vec<_> =
        kept.iter().filter(|past| past.version < middle.version).take(2).cloned().collect();
    assert_eq!(older, expected, "history before {:?}", middle.version);
}

fn past_turn(model: &OwnerModel, past: &Past) -> PastTurn {
    PastTurn {
        version: Version(past.version),
        at: past.at,
        author: past.author.clone(),
        cursor: past.cursor.clone(),
        entries: past.before.clone().into_iter().collect(),
        marker: false,
        replaced: past.replaced.map(|space| model.ids[space].expect("a known space")),
        undoes: past.undoes.map(Version),
    }
}

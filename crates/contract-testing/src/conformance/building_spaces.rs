//! What turns and sweeps do meanwhile to a space that is being built: nobody who builds one could catch up with it.

use inboxclaw_contract::space::NewSpace;
use inboxclaw_contract::turn::{Age, Conflict, Sweep};
use inboxclaw_contract::{Outcome, OwnerId, Version};
use jiff::SignedDuration;

use super::spaces::old_entry;
use crate::{SpacesGround, Words, seconds};

async fn fill(ground: &SpacesGround, space: &NewSpace, key: &str, value: &str) {
    ground.spaces.fill(space, vec![(key.to_owned(), Some(old_entry(key, value)))]).await.unwrap();
}

async fn copied(ground: &SpacesGround, owner: OwnerId) -> NewSpace {
    let space = ground.spaces.build(owner).await.unwrap();
    let from = ground.spaces.space(owner).await.unwrap().id;
    ground.spaces.copy(from, &space, "", None, 99).await.unwrap();
    space
}

async fn revision(ground: &SpacesGround, owner: OwnerId) -> Version {
    ground.all(owner).await[0].revision
}

pub async fn no_revision_stands_for_two_values(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    let space = ground.spaces.build(owner).await.unwrap();
    fill(ground, &space, "k", "\"built\"").await;
    for version in 1..=3 {
        ground.commit(ground.turn(owner).await.put("k", &version.to_string())).await;
        assert_eq!(revision(ground, owner).await, Version(version));
    }
    ground.commit(ground.turn(owner).await.swap(space.id, true)).await;
    assert_eq!(ground.get(owner, "k").await.as_deref(), Some("\"built\""));
    assert_eq!(revision(ground, owner).await, Version(4));
}

pub async fn of_two_built_spaces_one_comes_in_place(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    let (one, two) = (ground.spaces.build(owner).await.unwrap(), ground.spaces.build(owner).await.unwrap());
    let other = ground.spaces.build(ground.source("b").await).await.unwrap();
    fill(ground, &one, "k", "1").await;
    fill(ground, &two, "k", "2").await;
    ground.commit(ground.turn(owner).await.swap(one.id, true)).await;
    let late = ground.conflict(ground.turn(owner).await.swap(two.id, true)).await;
    assert_eq!(late, Conflict::Unknown, "both may have the same revision for another value");
    let next = ground.spaces.build(owner).await.unwrap();
    fill(ground, &next, "k", "3").await;
    ground.commit(ground.turn(owner).await.swap(next.id, true)).await;
    assert_eq!(
        (ground.get(owner, "k").await.as_deref(), revision(ground, owner).await),
        (Some("3"), Version(2))
    );
    ground.commit(ground.turn(other.owner).await.swap(other.id, true)).await;
}

pub async fn a_touch_reaches_the_copies(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    let turn = ground.turn(owner).await.put_for("k", "1", seconds(10)).put_for("other", "1", seconds(10));
    ground.commit(turn).await;
    let space = copied(ground, owner).await;
    fill(ground, &space, "other", "2").await;
    let touched = ground.turn(owner).await.touch("k", seconds(100)).touch("other", seconds(5));
    assert_eq!(ground.commit(touched).await.version, Version(1));
    ground.commit(ground.turn(owner).await.swap(space.id, true)).await;
    ground.clock.step(50);
    assert_eq!(ground.keys(owner, "").await, ["k", "other"], "another entry under the key is none of it");
    ground.clock.step(50);
    assert_eq!(ground.keys(owner, "").await, ["other"]);
}

pub async fn what_goes_because_of_its_age_goes_from_the_copies(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put("k", "1").put("other", "1")).await;
    ground.clock.step(100);
    let space = copied(ground, owner).await;
    fill(ground, &space, "other", "2").await;
    let now = ground.store.snapshot(owner).await.unwrap().now;
    let before = now.checked_sub(SignedDuration::from_secs(50)).unwrap();
    let mut turn = ground.turn(owner).await;
    turn.sweeps.push(Sweep { prefix: String::new(), by: Age::Updated, before });
    ground.commit(turn).await;
    assert_eq!(ground.sweep().await, 2);
    ground.commit(ground.turn(owner).await.swap(space.id, true)).await;
    assert_eq!(ground.keys(owner, "").await, ["other"]);
    assert_eq!(ground.counts(owner).await, (1, 6));
}

pub async fn what_comes_in_place_is_counted_once(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put("k", "1").put("other", "1")).await;
    ground.clock.step(100);
    let space = copied(ground, owner).await;
    let now = ground.store.snapshot(owner).await.unwrap().now;
    let mut turn = ground.turn(owner).await;
    turn.sweeps.push(Sweep { prefix: "k".into(), by: Age::Updated, before: now });
    ground.commit(turn).await;
    // Both may be in one transaction.
    let swap = ground.turn(owner).await.swap(space.id, true);
    let (swap, swept) = tokio::join!(ground.store.commit(swap), ground.store.sweep());
    assert!(matches!(swap.unwrap(), Outcome::Committed(_)) && swept.unwrap().entries == 1);
    assert_eq!(ground.sweep().await, 0);
    assert_eq!((ground.keys(owner, "").await, ground.counts(owner).await), (vec!["other".into()], (1, 6)));
}

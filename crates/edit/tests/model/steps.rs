//! What can happen to states, at random.

use std::time::Duration;

use inboxclaw_contract::store::{Expire, StateLimits};
use inboxclaw_contract::turn::{Age, EntryChange, Sweep};
use inboxclaw_contract::{Entry, Expiry, Turn, Version};
use inboxclaw_edit::{Condition, EntryFilter, Mode};
use jiff::{SignedDuration, Timestamp};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::ground::{json, turn};
use crate::state::{OWNERS, World, owner};

pub(crate) const KEYS: [&str; 8] = ["A/1", "a", "a/1", "a/2", "aXb", "a_b", "b", "\u{10FFFF}"];
const PREFIXES: [&str; 6] = ["", "a", "a/", "a_", "A", "\u{10FFFF}"];
const VALUES: [&str; 3] = ["1", "{\"a\": 1}", "\"x\""];

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Turn(Plan),
    /// Builds a space and puts it in place.
    Swap(Build),
    Put {
        owner: usize,
        key: &'static str,
        put: Put,
        condition: Wanted,
    },
    Delete {
        owner: usize,
        key: &'static str,
        condition: Wanted,
    },
    Cursor {
        owner: usize,
        cursor: Option<&'static str>,
    },
    DeleteChosen {
        owner: usize,
        choice: EntryFilter,
        dry_run: bool,
    },
    Undo {
        owner: usize,
        which: Chosen,
        force: bool,
    },
    Rewind {
        owner: usize,
        to: Back,
    },
    Export {
        owner: usize,
        secrets: bool,
    },
    /// The number of the export, from the newest.
    Import {
        owner: usize,
        export: usize,
        mode: Mode,
    },
    Copy {
        from: usize,
        to: usize,
        prefix: &'static str,
        mode: Mode,
    },
    Govern {
        owner: usize,
        policy: StateLimits,
    },
    /// By so many seconds.
    Clock(i64),
    Sweep,
    Reopen,
    Kill,
}

#[derive(Debug, Clone)]
pub(crate) struct Put {
    pub(crate) value: &'static str,
    pub(crate) expiry: Expiry,
    pub(crate) secret: Option<bool>,
}

/// A condition before the revision is known.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    This(Condition),
    /// The present revision, or one beside it.
    Revision(i64),
}

/// Which change to take back, before the version is known.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chosen {
    Person,
    Any,
    Back(i64),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Back {
    Versions(i64),
    Seconds(i64),
}

/// A turn before its base is known.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    owner: usize,
    /// How many versions its base is behind.
    behind: i64,
    read_keys: Vec<&'static str>,
    read_prefixes: Vec<&'static str>,
    read_cursor: bool,
    author: bool,
    changes: Changes,
    /// A key, and how far its wanted revision is from the one that is there.
    check: Option<(&'static str, i64)>,
    sweep: Option<(&'static str, Age, i64)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Changes {
    cursor: Option<Option<&'static str>>,
    deleted_prefixes: Vec<&'static str>,
    entries: Vec<(&'static str, Change)>,
}

#[derive(Debug, Clone)]
enum Change {
    Plain(EntryChange),
    Restore(Kept),
}

/// An entry as it is put by hand: times in seconds from now.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    value: &'static str,
    age: i64,
    expires: Option<i64>,
    secret: bool,
}

/// A space that is built and put in place.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    pub(crate) owner: usize,
    pub(crate) fill: Vec<(&'static str, Option<Kept>)>,
    /// Then copied from the present space, under this prefix.
    pub(crate) copy: Option<&'static str>,
    pub(crate) keep_secrets: bool,
    /// Turns that come in between.
    behind: i64,
    /// Never put in place.
    pub(crate) abandon: bool,
    changes: Changes,
}

impl Kept {
    pub(crate) fn entry(&self, key: &str, now: Timestamp) -> Entry {
        let after = |seconds: i64| now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        Entry {
            key: key.to_owned(),
            value: json(self.value),
            revision: Version(1),
            created_at: after(-2 * self.age),
            updated_at: after(-self.age),
            expires_at: self.expires.map(after),
            secret: self.secret,
        }
    }
}

impl Changes {
    fn write(&self, turn: &mut Turn, now: Timestamp) {
        turn.cursor = self.cursor.map(|cursor| cursor.map(str::to_owned));
        turn.deleted_prefixes = self.deleted_prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
        for (key, change) in &self.entries {
            let change = match change {
                Change::Plain(change) => change.clone(),
                Change::Restore(kept) => EntryChange::Restore(kept.entry(key, now)),
            };
            turn.entries.insert((*key).to_owned(), change);
        }
    }
}

impl Plan {
    pub(crate) fn turn(&self, world: &World) -> Turn {
        let model = &world.owners[self.owner];
        let mut turn = turn(owner(self.owner), Version((model.version - self.behind).max(0)));
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        turn.reads.keys = owned(&self.read_keys);
        turn.reads.prefixes = owned(&self.read_prefixes);
        turn.reads.cursor = self.read_cursor;
        turn.author = self.author.then(|| "cli:bob".to_owned());
        self.changes.write(&mut turn, world.now);
        if let Some((key, off)) = self.check {
            let revision = model.live(key, world.now).map(|entry| Version(entry.revision.0 + off));
            turn.checks.push((key.to_owned(), revision));
        }
        if let Some((prefix, by, seconds)) = self.sweep {
            let before = world.now.checked_sub(SignedDuration::from_secs(seconds)).unwrap();
            turn.sweeps.push(Sweep { prefix: prefix.to_owned(), by, before });
        }
        turn
    }
}

impl Build {
    /// The turn that puts the space in place, but for the swap.
    pub(crate) fn turn(&self, world: &World) -> Turn {
        let model = &world.owners[self.owner];
        let mut turn = turn(owner(self.owner), Version((model.version - self.behind).max(0)));
        self.changes.write(&mut turn, world.now);
        // Whether a new space is emptied or another one taken is the store's business.
        turn.deleted_prefixes.retain(|prefix| !prefix.is_empty());
        turn
    }
}

pub(crate) fn any_step() -> impl Strategy<Value = Step> {
    let any_owner = || prop_oneof![3 => Just(0), 2 => 1_usize..OWNERS];
    let key = || select(KEYS.to_vec());
    let prefix = || select(PREFIXES.to_vec());
    let mode = || select(vec![Mode::Merge, Mode::Replace]);
    prop_oneof![
        10 => any_plan().prop_map(Step::Turn),
        2 => any_build().prop_map(Step::Swap),
        5 => (any_owner(), key(), any_put(), any_wanted())
            .prop_map(|(owner, key, put, condition)| Step::Put { owner, key, put, condition }),
        2 => (any_owner(), key(), any_wanted())
            .prop_map(|(owner, key, condition)| Step::Delete { owner, key, condition }),
        1 => (any_owner(), any_cursor()).prop_map(|(owner, cursor)| Step::Cursor { owner, cursor }),
        1 => (any_owner(), any_choice(), any::<bool>())
            .prop_map(|(owner, choice, dry_run)| Step::DeleteChosen { owner, choice, dry_run }),
        5 => (any_owner(), any_chosen(), any::<bool>())
            .prop_map(|(owner, which, force)| Step::Undo { owner, which, force }),
        3 => (any_owner(), any_back()).prop_map(|(owner, to)| Step::Rewind { owner, to }),
        1 => (any_owner(), any::<bool>()).prop_map(|(owner, secrets)| Step::Export { owner, secrets }),
        2 => (any_owner(), 0_usize..3, mode())
            .prop_map(|(owner, export, mode)| Step::Import { owner, export, mode }),
        1 => (0..OWNERS, 1..OWNERS, prefix(), mode())
            .prop_map(|(from, by, prefix, mode)| Step::Copy { from, to: (from + by) % OWNERS, prefix, mode }),
        1 => (any_owner(), any_policy()).prop_map(|(owner, policy)| Step::Govern { owner, policy }),
        5 => select(vec![1, 10, 10, 100, 3_000, -10, -59, -61, -4_000, 4 * 24 * 3_600]).prop_map(Step::Clock),
        2 => Just(Step::Sweep),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

fn any_cursor() -> impl Strategy<Value = Option<&'static str>> {
    option::of(select(vec!["c", "d"]))
}

fn any_put() -> impl Strategy<Value = Put> {
    let secret = prop_oneof![3 => Just(None), 1 => Just(Some(true)), 1 => Just(Some(false))];
    (select(VALUES.to_vec()), any_expiry(), secret).prop_map(|(value, expiry, secret)| Put {
        value,
        expiry,
        secret,
    })
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let this = |condition| Just(Wanted::This(condition));
    prop_oneof![
        6 => this(Condition::Any),
        1 => this(Condition::Absent),
        1 => this(Condition::Present),
        1 => (-1_i64..2).prop_map(Wanted::Revision),
    ]
}

fn any_chosen() -> impl Strategy<Value = Chosen> {
    prop_oneof![3 => Just(Chosen::Person), 3 => Just(Chosen::Any), 2 => (-1_i64..6).prop_map(Chosen::Back)]
}

fn any_back() -> impl Strategy<Value = Back> {
    let seconds = select(vec![-1, 0, 1, 10, 15, 100, 3_000, 5 * 24 * 3_600]);
    prop_oneof![3 => (-1_i64..8).prop_map(Back::Versions), 2 => seconds.prop_map(Back::Seconds)]
}

fn any_age() -> impl Strategy<Value = Age> {
    select(vec![Age::Created, Age::Updated])
}

fn any_choice() -> impl Strategy<Value = EntryFilter> {
    let older = (select(vec![1_u64, 10, 100]).prop_map(Duration::from_secs), any_age());
    (select(PREFIXES.to_vec()), option::of(older))
        .prop_map(|(prefix, older_than)| EntryFilter { prefix: prefix.to_owned(), older_than })
}

fn any_policy() -> impl Strategy<Value = StateLimits> {
    let rule = (select(PREFIXES.to_vec()), select(vec![0_u64, 10, 100]), any_age()).prop_map(
        |(prefix, after, by)| Expire { prefix: prefix.into(), after: Duration::from_secs(after), by },
    );
    let entries = option::weighted(0.3, 0_u64..6);
    let bytes = option::weighted(0.2, 0_u64..40);
    (vec(rule, 0..3), entries, bytes).prop_map(|(expire, max_entries, max_bytes)| StateLimits {
        expire,
        max_entries,
        max_bytes,
    })
}

fn any_changes() -> impl Strategy<Value = Changes> {
    let cursor = option::weighted(0.3, any_cursor());
    let prefixes = prop_oneof![4 => Just(vec![]), 1 => vec(select(PREFIXES.to_vec()), 1..3)];
    let entries = btree_map(select(KEYS.to_vec()), any_change(), 0..4);
    (cursor, prefixes, entries).prop_map(|(cursor, deleted_prefixes, entries)| Changes {
        cursor,
        deleted_prefixes,
        entries: entries.into_iter().collect(),
    })
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let reads =
        (btree_set(select(KEYS.to_vec()), 0..3), btree_set(select(PREFIXES.to_vec()), 0..2), any::<bool>());
    let check = option::weighted(0.2, (select(KEYS.to_vec()), prop_oneof![3 => Just(0), 1 => Just(1)]));
    let sweep = option::weighted(0.1, (select(PREFIXES.to_vec()), any_age(), select(vec![0, 10, 100])));
    let behind = prop_oneof![4 => Just(0), 2 => 1_i64..4];
    let who = (prop_oneof![2 => Just(0), 1 => 1_usize..OWNERS], any::<bool>());
    (who, behind, reads, any_changes(), check, sweep).prop_map(
        |((owner, author), behind, (keys, prefixes, read_cursor), changes, check, sweep)| Plan {
            owner,
            behind,
            read_keys: keys.into_iter().collect(),
            read_prefixes: prefixes.into_iter().collect(),
            read_cursor,
            author,
            changes,
            check,
            sweep,
        },
    )
}

fn any_kept() -> impl Strategy<Value = Kept> {
    let expires = option::of(select(vec![-10_i64, 0, 10, 100]));
    let secret = prop_oneof![5 => Just(false), 1 => Just(true)];
    (select(VALUES.to_vec()), select(vec![0_i64, 1, 10, 100]), expires, secret)
        .prop_map(|(value, age, expires, secret)| Kept { value, age, expires, secret })
}

fn any_build() -> impl Strategy<Value = Build> {
    let owner = prop_oneof![2 => Just(0), 1 => 1_usize..OWNERS];
    let fill = vec((select(KEYS.to_vec()), option::weighted(0.9, any_kept())), 0..5);
    let copy = option::of(select(PREFIXES.to_vec()));
    let behind = prop_oneof![6 => Just(0), 1 => Just(1)];
    let abandon = prop_oneof![6 => Just(false), 1 => Just(true)];
    (owner, fill, copy, any::<bool>(), behind, abandon, any_changes()).prop_map(
        |(owner, fill, copy, keep_secrets, behind, abandon, changes)| Build {
            owner,
            fill,
            copy,
            keep_secrets,
            behind,
            abandon,
            changes,
        },
    )
}

fn any_expiry() -> impl Strategy<Value = Expiry> {
    select(vec![
        Expiry::Keep,
        Expiry::Keep,
        Expiry::Never,
        Expiry::For(Duration::ZERO),
        Expiry::For(Duration::from_secs(10)),
        Expiry::For(Duration::from_secs(100)),
        Expiry::Until(Timestamp::from_second(1_700_000_050).unwrap()),
    ])
}

fn any_change() -> impl Strategy<Value = Change> {
    let secret = prop_oneof![4 => Just(false), 1 => Just(true)];
    prop_oneof![
        6 => (select(VALUES.to_vec()), any_expiry(), secret).prop_map(|(value, expiry, secret)| {
            Change::Plain(EntryChange::Put { value: json(value), expiry, secret })
        }),
        2 => any_expiry().prop_map(|expiry| Change::Plain(EntryChange::Touch { expiry })),
        2 => Just(Change::Plain(EntryChange::Delete)),
        1 => any_kept().prop_map(Change::Restore),
    ]
}

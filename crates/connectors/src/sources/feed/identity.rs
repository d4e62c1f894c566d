//! Which known entry an entry of a document is.
//!
//! Most entries have a stem of their own, and that is all. But many feeds give several entries one `guid`, or one link
//! and no `guid`. Those are told apart by link, title and date, against what is remembered and never against their
//! neighbours: an entry that is known keeps its name, whatever appears or disappears beside it. Of what is not equal in
//! all three, only what is the only one of its kind counts as the same, in the document and in memory. A lone entry
//! with a lone memory is the same whatever changed. An entry that is none of the known ones is new.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::ops::Bound;

use inboxclaw_contract::Entry;

use super::item::{Item, Traits, digest, short};

/// What is remembered of an entry.
pub(super) struct Record {
    pub(super) entry: Entry,
    /// `None` when an earlier version of this program wrote it.
    pub(super) traits: Option<Traits>,
}

impl Record {
    /// Whether it is of an entry with these traits.
    fn is_like(&self, item: &Item) -> bool {
        self.traits
            .as_ref()
            .is_some_and(|traits| (&traits.link, &traits.title) == (&item.traits.link, &item.traits.title))
    }
}

/// What an item is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedItem {
    /// Its name if it is new.
    pub(super) name: String,
    /// The name of the record that it continues.
    pub(super) known: Option<String>,
}

/// The names under which entries may be remembered that have left the feed. Nobody asks for those that are plainly
/// there.
pub(super) fn former_names(items: &[Item], seen: &BTreeMap<String, Record>) -> Vec<String> {
    let mut names = Vec::new();
    for (stem, group) in groups(items) {
        for item in group.iter().map(|at| &items[*at]) {
            let is_it = |name: &str| seen.get(name).is_some_and(|record| record.is_like(item));
            if !of_stem(seen, stem).any(is_it) {
                names.push(format!("{stem}#{}", item.traits.variant()));
                names.extend(old_names(item));
                names.push(stem.to_owned());
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Names the items.
pub(super) fn named(items: &[Item], records: &BTreeMap<String, Record>) -> Vec<NamedItem> {
    let mut named: Vec<Option<NamedItem>> = vec![None; items.len()];
    for (stem, group) in groups(items) {
        let mut known: Vec<&str> = of_stem(records, stem).collect();
        let old = group.iter().flat_map(|at| old_names(&items[*at]));
        let old =
            old.filter_map(|name| records.get_key_value(&name)).filter(|(_, record)| record.traits.is_none());
        known.extend(old.map(|(name, _)| name.as_str()));
        known.sort_unstable();
        known.dedup();
        let members: Vec<&Item> = group.iter().map(|at| &items[*at]).collect();
        let pairs = pair(&members, &known, records);
        let is_alone = members.len() == 1 && known.is_empty();
        let mut taken: HashSet<String> = known.iter().map(|name| (*name).to_owned()).collect();
        for ((at, item), pair) in group.iter().zip(&members).zip(pairs) {
            let name = if is_alone { stem.to_owned() } else { variant_name(item, &taken) };
            taken.insert(name.clone());
            named[*at] = Some(NamedItem { name, known: pair.map(|known_at| known[known_at].to_owned()) });
        }
    }
    named.into_iter().flatten().collect()
}

/// The places of the items by stem, in the order of the document.
fn groups(items: &[Item]) -> BTreeMap<&str, Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        groups.entry(&item.stem).or_default().push(at);
    }
    groups
}

/// The names that are a stem or one of its variants.
fn of_stem<'a, T>(known: &'a BTreeMap<String, T>, stem: &str) -> impl Iterator<Item = &'a str> + use<'a, T> {
    let (stem, variants) = (stem.to_owned(), format!("{stem}#"));
    let own = known.get_key_value(&stem).map(|(name, _)| name.as_str());
    let length = variants.len() + 16;
    let from = known.range::<str, _>((Bound::Excluded(variants.as_str()), Bound::Unbounded));
    let mut others = Vec::new();
    for (name, _) in from.take_while(|(name, _)| name.starts_with(&variants)) {
        if name.len() == length && name[variants.len()..].bytes().all(|byte| byte.is_ascii_hexdigit()) {
            others.push(name.as_str());
        }
    }
    own.into_iter().chain(others)
}

/// The names that earlier versions of this program gave to an item, beside its stem.
fn old_names(item: &Item) -> Vec<String> {
    let Traits { link, title, .. } = &item.traits;
    let stems = std::iter::once(&item.stem).chain(&item.former);
    let variants = stems.flat_map(|stem| [format!("{stem}#{link}"), format!("{stem}#{title}")]);
    variants.chain(item.former.iter().cloned()).collect()
}

fn variant_name(item: &Item, taken: &HashSet<String>) -> String {
    let mut variant = item.traits.variant();
    loop {
        let name = format!("{}#{variant}", item.stem);
        if !taken.contains(&name) {
            return name;
        }
        variant = short(&digest([variant.as_str()])).to_owned();
    }
}

/// For each of the items the place of the known name that it continues.
fn pair(items: &[&Item], known: &[&str], records: &BTreeMap<String, Record>) -> Vec<Option<usize>> {
    let mut pairs = Pairs { of_item: vec![None; items.len()], is_taken: vec![false; known.len()] };
    let traits: Vec<Option<&Traits>> =
        known.iter().map(|name| records.get(*name).and_then(|record| record.traits.as_ref())).collect();
    let items_traits: Vec<Option<&Traits>> = items.iter().map(|item| Some(&item.traits)).collect();
    pairs.by(&items_traits, &traits, |traits| (&traits.link, &traits.title, &traits.date));
    pairs.by(&items_traits, &traits, |traits| (&traits.link, &traits.title));
    pairs.by(&items_traits, &traits, |traits| &traits.link);
    pairs.by(&items_traits, &traits, |traits| &traits.title);
    if traits.contains(&None) {
        pairs.by_old_names(items, known, &traits);
    }
    if let ([None], [false]) = (pairs.of_item.as_slice(), pairs.is_taken.as_slice()) {
        pairs.set(0, 0);
    }
    pairs.of_item
}

struct Pairs {
    of_item: Vec<Option<usize>>,
    is_taken: Vec<bool>,
}

impl Pairs {
    fn set(&mut self, item: usize, known: usize) {
        self.of_item[item] = Some(known);
        self.is_taken[known] = true;
    }

    /// Pairs records of earlier versions, which say nothing but their names. What has the plain stem was there before
    /// the others; the oldest entry comes first.
    fn by_old_names(&mut self, items: &[&Item], known: &[&str], traits: &[Option<&Traits>]) {
        let names = items
            .iter()
            .enumerate()
            .flat_map(|(at, item)| old_names(item).into_iter().map(move |name| (name, at)));
        let names: HashMap<String, usize> = names.collect();
        for (at, name) in known.iter().enumerate().filter(|(at, _)| traits[*at].is_none()) {
            let by_name = names.get(*name).copied().filter(|item| self.of_item[*item].is_none());
            let is_stem = items.first().is_some_and(|item| item.stem == *name);
            let first = || self.of_item.iter().position(Option::is_none).filter(|_| is_stem);
            if let Some(item) = by_name.or_else(first) {
                self.set(item, at);
            }
        }
    }

    /// Pairs what is equal by a key that is the only one on both sides, counted among all of them: what is left over
    /// after others were paired is no reason to be the same.
    fn by<'a, K: Hash + Eq>(
        &mut self,
        items: &[Option<&'a Traits>],
        known: &[Option<&'a Traits>],
        key: impl Fn(&'a Traits) -> K,
    ) {
        let (items, known) = (only(items, &key), only(known, &key));
        for (key, item) in items {
            let found = item.zip(known.get(&key).copied().flatten());
            if let Some((item, known)) = found
                && self.of_item[item].is_none()
                && !self.is_taken[known]
            {
                self.set(item, known);
            }
        }
    }
}

/// The place of each key; `None` for one that is there several times.
fn only<'a, K: Hash + Eq>(
    traits: &[Option<&'a Traits>],
    key: impl Fn(&'a Traits) -> K,
) -> HashMap<K, Option<usize>> {
    let mut places = HashMap::new();
    for (at, traits) in traits.iter().enumerate().filter_map(|(at, traits)| Some((at, (*traits)?))) {
        places.entry(key(traits)).and_modify(|place| *place = None).or_insert(Some(at));
    }
    places
}

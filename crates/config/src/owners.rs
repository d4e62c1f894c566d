//! The section `sources`, and what its entries have in common with those of `sink`: names, kinds, keys.
//! Left out: what the kinds do.

use std::cell::RefCell;

use inboxclaw_connectors::SOURCES;
use inboxclaw_contract::coalesce::CoalesceRule;
use inboxclaw_contract::settings::{BuiltSource, StartAt, parse};
use inboxclaw_contract::store::StateLimits;
use inboxclaw_contract::{Outside, OwnerKind, limits};
use serde_json::Value as Json;

use super::check::{schema_of, settings, warnings, whole_schema};
use super::coalesce;
use super::report::{Report, join, nearest};
use super::secrets::Secrets;
use super::sections::SourceCommon;
use super::yaml::{Entry, Node, Value};

/// Source kinds of the forerunner that are still to come.
const LATER_SOURCES: [&str; 8] =
    ["asana", "faktury_online", "fio", "google_health", "home_assistant", "jira", "nordigen", "strava"];
/// Sink kinds of the forerunner that are still to come.
pub(super) const LATER_SINKS: [&str; 1] = ["diary"];

/// A source of the file.
pub struct SourceConfig {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Ready to run.
    pub built: BuiltSource,
    /// The rules for its state.
    pub policy: StateLimits,
    /// The rules by which its events are joined.
    pub coalescing: Vec<CoalesceRule>,
    /// Whether it is paused when it is first registered.
    pub stopped: bool,
}

/// Every kind of source that works in this version.
pub(super) fn source_kinds() -> Vec<&'static str> {
    let mut kinds: Vec<_> = SOURCES.iter().map(|kind| kind.name).collect();
    kinds.sort_unstable();
    kinds
}

/// The keys that every source has besides those of its kind.
const OF_SOURCES: [&str; 4] = ["coalesce", "state", "stopped", "start"];

fn shared_keys(_kind: &str) -> Vec<String> {
    OF_SOURCES.map(str::to_owned).to_vec()
}

/// Reads `sources`.
pub(super) fn sources(report: &mut Report, section: &Node, outside: &Outside) -> Vec<SourceConfig> {
    let kinds =
        Kinds { owner: OwnerKind::Source, known: source_kinds(), later: &LATER_SOURCES, common: shared_keys };
    let entries = section.map().unwrap_or_default().iter();
    entries.filter_map(|entry| source(report, entry, &kinds, outside)).collect()
}

fn source(report: &mut Report, entry: &Entry, kinds: &Kinds, outside: &Outside) -> Option<SourceConfig> {
    let owner = owner(report, entry, kinds)?;
    let place = |key: &str| entry.value.get(key).map_or(entry.place, |entry| entry.place);
    let parse_common = |json| {
        let common = parse::<SourceCommon>(json)?;
        let (policy, coalescing) = (common.state.policy()?, coalesce::rules(&common.coalesce)?);
        Ok((common, policy, coalescing))
    };
    let common = settings(report, &owner.common, &owner.path, &schema_of::<SourceCommon>(), parse_common);
    let now = outside.clock.now();
    let start = common.as_ref().and_then(|(common, ..)| common.start).map(|start| start.at(now));
    let path = join(&owner.path, "start");
    if matches!(start, Some(StartAt::Since(since)) if since > now) {
        report.warn(place("start"), &path, "this time is still to come: until then it means `now`");
    }
    let kind = SOURCES.iter().find(|kind| kind.name == owner.kind)?;
    let outside = Outside { name: entry.key.clone(), ..outside.clone() };
    let refused = RefCell::new(None);
    let build = |value: Json| match (kind.build)(value.clone(), &Outside { start, ..outside.clone() }) {
        // The key is none of its own: told where it stands, after everything else.
        Err(error) if start.is_some() && error.path == "start" => {
            refused.replace(Some(error.to_string()));
            (kind.build)(value, &outside)
        }
        built => built,
    };
    let schema = with_common(whole_schema(kind.schema), schema_of::<SourceCommon>());
    let built = settings(report, &owner.own, &owner.path, &schema, build);
    if let Some(built) = &built {
        warnings(report, &owner.own, &owner.path, &built.warnings);
    }
    if let Some(message) = refused.into_inner() {
        report.problem(place("start"), &path, message);
    }
    let (common, policy, coalescing) = common?;
    Some(SourceConfig {
        name: entry.key.clone(),
        kind: kind.name,
        built: built?,
        policy,
        coalescing,
        stopped: common.stopped,
    })
}

/// The schema of a kind that also knows the keys of every owner of its sort, so that they are among the nearest.
pub(super) fn with_common(mut own: Json, mut common: Json) -> Json {
    if let (Some(own), Some(common)) =
        (own["properties"].as_object_mut(), common["properties"].as_object_mut())
    {
        own.extend(std::mem::take(common));
    }
    own
}

/// Which kinds there are.
pub(super) struct Kinds {
    pub(super) owner: OwnerKind,
    pub(super) known: Vec<&'static str>,
    pub(super) later: &'static [&'static str],
    /// The keys that a kind shares with others.
    pub(super) common: fn(&str) -> Vec<String>,
}

/// An entry taken apart.
pub(super) struct OwnerNode {
    pub(super) kind: String,
    /// Name and kind in their section, as in `sources.docs.filesystem`.
    pub(super) path: String,
    /// The keys that its kind shares with others.
    pub(super) common: Node,
    /// The keys of its kind.
    pub(super) own: Node,
}

/// Takes an entry apart.
pub(super) fn owner(report: &mut Report, entry: &Entry, kinds: &Kinds) -> Option<OwnerNode> {
    let section = if kinds.owner == OwnerKind::Source { "sources" } else { "sink" };
    let path = join(section, &entry.key);
    if let Err(error) = limits::check_name(kinds.owner, &entry.key) {
        let mut message = error.to_string();
        if kinds.owner == OwnerKind::Sink && limits::NEWLY_RESERVED_SINKS.contains(&entry.key.as_str()) {
            message.push_str(&format!(
                "; give it another name here, and `inboxclaw state move sink:{} NAME` takes along what it has",
                entry.key
            ));
        }
        report.problem(entry.place, &path, message);
    }
    let Some(entries) = entry.value.map() else {
        let found = entry.value.kind();
        let message = format!(
            "expected a mapping of settings, found {found}; without settings write `{}: {{}}`",
            entry.key
        );
        report.problem(entry.place, &path, message);
        return None;
    };
    let kind = kind(report, entry, kinds, &path)?;
    let node = |wanted: &dyn Fn(&str) -> bool| Node {
        place: entry.place,
        value: Value::Map(entries.iter().filter(|entry| wanted(&entry.key)).cloned().collect()),
        hidden: false,
    };
    let common = (kinds.common)(&kind);
    let is_common = |key: &str| common.iter().any(|common| common == key);
    let own = node(&|key| key != "type" && !is_common(key));
    let common = node(&is_common);
    Some(OwnerNode { path: join(&path, &kind), kind, common, own })
}

/// The kind: `type`, or else the name.
fn kind(report: &mut Report, entry: &Entry, kinds: &Kinds, path: &str) -> Option<String> {
    let given = entry.value.get("type");
    let place = given.map_or(entry.place, |given| given.value.place);
    let kind = match given.map(|given| &given.value.value) {
        None => &entry.key,
        Some(Value::Text(kind)) => kind,
        Some(_) => {
            report.problem(
                place,
                &join(path, "type"),
                format!("expected a text, one of: {}", kinds.known.join(", ")),
            );
            return None;
        }
    };
    if kinds.known.contains(&kind.as_str()) {
        return Some(kind.clone());
    }
    let (owner, all) = (kinds.owner, kinds.known.join(", "));
    let near = nearest(kind, kinds.known.iter().copied());
    let near = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
    let message = if kinds.later.contains(&kind.as_str()) {
        format!("the {owner} type `{kind}` is not available in this version yet; there are: {all}")
    } else if given.is_some() {
        format!("unknown {owner} type `{kind}`{near}; there are: {all}")
    } else {
        format!("`type` is missing, and the name `{kind}` is no {owner} type{near}; there are: {all}")
    };
    let path = if given.is_some() { join(path, "type") } else { path.to_owned() };
    let shown = given.map(|given| Secrets::of(&entry.value).hide(&message, &[], &given.value));
    report.problem(place, &path, shown.unwrap_or(message));
    None
}

//! The sections `sources` and `sink`: which kind each entry is, and what it is built from.
//! Left out: what the kinds do.

use inboxclaw_connectors::{SINKS, SOURCES};
use inboxclaw_contract::settings::{BuiltSource, parse};
use inboxclaw_contract::{Outside, OwnerKind, Patterns, SettingsError, Sink, limits};
use serde_json::Value as Json;

use super::check::{schema_of, settings, whole_schema};
use super::report::{Report, join, nearest};
use super::secrets::Secrets;
use super::sections::{SinkCommon, SourceCommon};
use super::yaml::{Entry, Node, Value};
use crate::{pull, sse};

/// Source kinds of the forerunner that are still to come.
const LATER_SOURCES: [&str; 11] = [
    "asana",
    "faktury_online",
    "fio",
    "gmail",
    "google_calendar",
    "google_drive",
    "google_health",
    "home_assistant",
    "jira",
    "nordigen",
    "strava",
];
/// Sink kinds of the forerunner that are still to come.
const LATER_SINKS: [&str; 3] = ["command", "diary", "webhook"];
/// Accepted so that a file that is shared with a Windows machine works, and without effect.
const WITHOUT_EFFECT: &str = "win11toast";

/// A source of the file.
pub struct SourceConfig {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Ready to run.
    pub built: BuiltSource,
}

/// A sink of the file.
pub struct SinkConfig {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Which event types it takes.
    pub patterns: Patterns,
    /// What it is.
    pub target: Target,
}

/// What a sink is.
pub enum Target {
    /// Consumers fetch batches and confirm them.
    Pull(pull::Settings),
    /// Consumers listen to a stream.
    Sse(sse::Settings),
    /// It pushes.
    Push(Box<dyn Sink>),
}

/// Every kind of sink that works in this version.
pub(super) fn sink_kinds() -> Vec<&'static str> {
    let mut kinds = vec![pull::KIND, sse::KIND];
    kinds.extend(SINKS.iter().map(|kind| kind.name));
    kinds.sort_unstable();
    kinds
}

/// Every kind of source that works in this version.
pub(super) fn source_kinds() -> Vec<&'static str> {
    let mut kinds: Vec<_> = SOURCES.iter().map(|kind| kind.name).collect();
    kinds.sort_unstable();
    kinds
}

/// Reads `sources`.
pub(super) fn sources(report: &mut Report, section: &Node, outside: &Outside) -> Vec<SourceConfig> {
    let later = Kinds { owner: OwnerKind::Source, known: source_kinds(), later: &LATER_SOURCES };
    let read = |report: &mut Report, entry: &Entry| {
        let owner = owner(report, entry, &later, &["coalesce"])?;
        let common =
            settings(report, &owner.common, &owner.path, &schema_of::<SourceCommon>(), parse::<SourceCommon>);
        if common.is_some_and(|common| !common.coalesce.is_empty()) {
            let place = entry.value.get("coalesce").map_or(entry.place, |entry| entry.place);
            report.problem(
                place,
                &join(&owner.path, "coalesce"),
                "coalescing is not available in this version yet",
            );
        }
        let kind = SOURCES.iter().find(|kind| kind.name == owner.kind)?;
        let outside = Outside { name: entry.key.clone(), ..outside.clone() };
        let build = |value| (kind.build)(value, &outside);
        let built = settings(report, &owner.own, &owner.path, &whole_schema(kind.schema), build)?;
        Some(SourceConfig { name: entry.key.clone(), kind: kind.name, built })
    };
    section.map().unwrap_or_default().iter().filter_map(|entry| read(report, entry)).collect()
}

/// Reads `sink`.
pub(super) fn sinks(report: &mut Report, section: &Node, outside: &Outside) -> Vec<SinkConfig> {
    let mut known = sink_kinds();
    known.push(WITHOUT_EFFECT);
    let kinds = Kinds { owner: OwnerKind::Sink, known, later: &LATER_SINKS };
    let read = |report: &mut Report, entry: &Entry| {
        let owner = owner(report, entry, &kinds, &["match"])?;
        let common =
            settings(report, &owner.common, &owner.path, &schema_of::<SinkCommon>(), parse::<SinkCommon>);
        if owner.kind == WITHOUT_EFFECT {
            report.warn(entry.place, &owner.path, "this sink has no effect: notifications need Windows");
            return None;
        }
        let (kind, target) = target(report, &owner, &entry.key, outside)?;
        Some(SinkConfig { name: entry.key.clone(), kind, patterns: common?.patterns, target })
    };
    section.map().unwrap_or_default().iter().filter_map(|entry| read(report, entry)).collect()
}

fn target(
    report: &mut Report,
    owner: &OwnerNode,
    name: &str,
    outside: &Outside,
) -> Option<(&'static str, Target)> {
    if owner.kind == pull::KIND {
        let parsed = settings(
            report,
            &owner.own,
            &owner.path,
            &schema_of::<pull::Settings>(),
            parse::<pull::Settings>,
        )?;
        return Some((pull::KIND, Target::Pull(parsed)));
    }
    if owner.kind == sse::KIND {
        let parsed =
            settings(report, &owner.own, &owner.path, &schema_of::<sse::Settings>(), parse::<sse::Settings>)?;
        return Some((sse::KIND, Target::Sse(parsed)));
    }
    let kind = SINKS.iter().find(|kind| kind.name == owner.kind)?;
    let outside = Outside { name: name.to_owned(), ..outside.clone() };
    let build = |value: Json| -> Result<_, SettingsError> { (kind.build)(value, &outside) };
    let sink = settings(report, &owner.own, &owner.path, &whole_schema(kind.schema), build)?;
    Some((kind.name, Target::Push(sink)))
}

/// Which kinds there are.
struct Kinds {
    owner: OwnerKind,
    known: Vec<&'static str>,
    later: &'static [&'static str],
}

/// An entry taken apart.
struct OwnerNode {
    kind: String,
    /// Name and kind in their section, as in `sources.docs.filesystem`.
    path: String,
    /// The keys that every owner of this sort has.
    common: Node,
    /// The keys of its kind.
    own: Node,
}

fn owner(report: &mut Report, entry: &Entry, kinds: &Kinds, common: &[&str]) -> Option<OwnerNode> {
    let section = if kinds.owner == OwnerKind::Source { "sources" } else { "sink" };
    let path = join(section, &entry.key);
    if let Err(error) = limits::check_name(kinds.owner, &entry.key) {
        report.problem(entry.place, &path, error.to_string());
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
    let own = node(&|key| key != "type" && !common.contains(&key));
    let common = node(&|key| common.contains(&key));
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

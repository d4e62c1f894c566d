//! The sections `sources` and `sink`: which kind each entry is, and what it is built from.
//! Left out: what the kinds do.

use std::cell::RefCell;

use inboxclaw_connectors::{SINKS, SOURCES};
use inboxclaw_contract::coalesce::CoalesceRule;
use inboxclaw_contract::settings::{BuiltSink, BuiltSource, StartAt, parse};
use inboxclaw_contract::store::StateLimits;
use inboxclaw_contract::{Outside, OwnerKind, SettingsError, limits};
use inboxclaw_server::{pull, sse};
use inboxclaw_settings::Patterns;
use serde_json::Value as Json;

use super::check::{schema_of, settings, warnings, whole_schema};
use super::coalesce;
use super::report::{Report, join, nearest};
use super::secrets::Secrets;
use super::sections::{SinkCommon, SinkStart, SourceCommon};
use super::yaml::{Entry, Node, Value};

/// Source kinds of the forerunner that are still to come.
const LATER_SOURCES: [&str; 8] =
    ["asana", "faktury_online", "fio", "google_health", "home_assistant", "jira", "nordigen", "strava"];
/// Sink kinds of the forerunner that are still to come.
const LATER_SINKS: [&str; 3] = ["command", "diary", "webhook"];
/// Accepted so that a file that is shared with a Windows machine works, and without effect.
pub(super) const WITHOUT_EFFECT: &str = "win11toast";

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

/// A sink of the file.
pub struct SinkConfig {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Which event types it takes.
    pub patterns: Patterns,
    /// Where it begins when it is new.
    pub start: StartAt,
    /// The rules for its state.
    pub policy: StateLimits,
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
    Push(BuiltSink),
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

/// The keys that every source has besides those of its kind.
const OF_SOURCES: [&str; 4] = ["coalesce", "state", "stopped", "start"];
/// The same of sinks.
const OF_SINKS: [&str; 3] = ["match", "state", "start"];

/// Reads `sources`.
pub(super) fn sources(report: &mut Report, section: &Node, outside: &Outside) -> Vec<SourceConfig> {
    let kinds = Kinds { owner: OwnerKind::Source, known: source_kinds(), later: &LATER_SOURCES };
    let entries = section.map().unwrap_or_default().iter();
    entries.filter_map(|entry| source(report, entry, &kinds, outside)).collect()
}

fn source(report: &mut Report, entry: &Entry, kinds: &Kinds, outside: &Outside) -> Option<SourceConfig> {
    let owner = owner(report, entry, kinds, &OF_SOURCES)?;
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

/// Reads `sink`.
pub(super) fn sinks(report: &mut Report, section: &Node, outside: &Outside) -> Vec<SinkConfig> {
    let mut known = sink_kinds();
    known.push(WITHOUT_EFFECT);
    let kinds = Kinds { owner: OwnerKind::Sink, known, later: &LATER_SINKS };
    let entries = section.map().unwrap_or_default().iter();
    entries.filter_map(|entry| sink(report, entry, &kinds, outside)).collect()
}

fn sink(report: &mut Report, entry: &Entry, kinds: &Kinds, outside: &Outside) -> Option<SinkConfig> {
    let owner = owner(report, entry, kinds, &OF_SINKS)?;
    let parse_common = |json| {
        let common = parse::<SinkCommon>(json)?;
        common.state.policy().map(|policy| (common, policy))
    };
    let (begin, rest) = begin(&owner.common);
    let common = settings(report, &rest, &owner.path, &schema_of::<SinkCommon>(), parse_common);
    let start = settings(report, &begin, &owner.path, &schema_of::<SinkStart>(), parse::<SinkStart>);
    if owner.kind == WITHOUT_EFFECT {
        report.warn(entry.place, &owner.path, "this sink has no effect: notifications need Windows");
        return None;
    }
    let begins = entry.value.get("start").map(|start| start.place);
    if let Some(place) = begins.filter(|_| owner.kind == sse::KIND) {
        let message =
            "a stream begins when a client connects, or after the event that it names; remove the key";
        report.problem(place, &join(&owner.path, "start"), message);
    }
    let (kind, target) = target(report, &owner, &entry.key, outside)?;
    let (common, policy) = common?;
    let now = outside.clock.now();
    let start = start?.start.map_or(StartAt::Now, |start| start.at(now));
    if let (Some(place), StartAt::Since(since)) = (begins, start)
        && since > now
    {
        let message = "this time is still to come: until then it means `now`";
        report.warn(place, &join(&owner.path, "start"), message);
    }
    Some(SinkConfig { name: entry.key.clone(), kind, patterns: common.patterns, start, policy, target })
}

/// Where a sink begins, and what every sink has.
fn begin(common: &Node) -> (Node, Node) {
    let entries = common.map().unwrap_or_default().iter().cloned();
    let (begin, rest) = entries.partition(|entry: &Entry| entry.key == "start");
    let node = |entries| Node { value: Value::Map(entries), ..common.clone() };
    (node(begin), node(rest))
}

/// The schema of a kind that also knows the keys of every owner of its sort, so that they are among the nearest.
fn with_common(mut own: Json, mut common: Json) -> Json {
    if let (Some(own), Some(common)) =
        (own["properties"].as_object_mut(), common["properties"].as_object_mut())
    {
        own.extend(std::mem::take(common));
    }
    own
}

/// The same for a sink that remembers how far it came.
fn with_start(own: Json) -> Json {
    with_common(with_common(own, schema_of::<SinkCommon>()), schema_of::<SinkStart>())
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
            &with_start(schema_of::<pull::Settings>()),
            parse::<pull::Settings>,
        )?;
        if let Some(entry) = owner.own.get("ttl_enabled").filter(|_| parsed.ttl_enabled && !parsed.has_ttl())
        {
            let message =
                "nothing becomes too old without `default_ttl` or `event_ttl`: set one, or remove the key";
            report.warn(entry.place, &join(&owner.path, "ttl_enabled"), message);
        }
        return Some((pull::KIND, Target::Pull(parsed)));
    }
    if owner.kind == sse::KIND {
        let schema = with_common(schema_of::<sse::Settings>(), schema_of::<SinkCommon>());
        let parsed = settings(report, &owner.own, &owner.path, &schema, parse::<sse::Settings>)?;
        return Some((sse::KIND, Target::Sse(parsed)));
    }
    let kind = SINKS.iter().find(|kind| kind.name == owner.kind)?;
    let outside = Outside { name: name.to_owned(), ..outside.clone() };
    let build = |value: Json| -> Result<_, SettingsError> { (kind.build)(value, &outside) };
    let schema = with_start(whole_schema(kind.schema));
    let built = settings(report, &owner.own, &owner.path, &schema, build)?;
    warnings(report, &owner.own, &owner.path, &built.warnings);
    Some((kind.name, Target::Push(built)))
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

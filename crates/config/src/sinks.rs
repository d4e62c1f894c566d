//! The section `sink`: the keys of each kind, and those that sinks share. Left out: what the kinds do.

use std::borrow::Cow;

use inboxclaw_connectors::SINKS;
use inboxclaw_contract::settings::{BuiltSink, StartAt, parse};
use inboxclaw_contract::store::StateLimits;
use inboxclaw_contract::{Condition, Outside, OwnerKind, Push, SettingsError, Warning};
use inboxclaw_server::{pull, sse};
use inboxclaw_settings::{Patterns, Ttl};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value as Json;

use super::check::{schema_of, settings, warnings, whole_schema};
use super::condition::SinkWhere;
use super::delivery::{SinkDelivery, SinkTtl};
use super::owners::{Kinds, LATER_SINKS, OwnerNode, owner, with_common};
use super::report::{Report, join};
use super::sections::{SinkCommon, SinkStart};
use super::yaml::{Entry, Node, Value};

/// Accepted so that a file that is shared with a Windows machine works, and without effect.
pub(super) const WITHOUT_EFFECT: &str = "win11toast";

/// The kinds whose types the forerunner compared with SQL's `LIKE`.
const COMPARED_AS_SQL: [&str; 4] = ["command", "http_pull", "sse", "webhook"];

/// A sink of the file.
pub struct SinkConfig {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Which event types it takes.
    pub patterns: Patterns,
    /// For how long an event is worth handing over; `None` for as long as the log holds it.
    pub ttl: Option<Ttl>,
    /// `false` where the file says that there is no time to live.
    pub ttl_enabled: bool,
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
    /// Consumers listen to a stream of what fulfils the condition.
    Sse(sse::Settings, Option<Condition>),
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

/// The schemas of the keys that a kind of sink has besides its own.
pub(super) fn shared_schemas(kind: &str, generator: &mut SchemaGenerator) -> Vec<Schema> {
    let mut schemas = vec![SinkCommon::json_schema(generator)];
    if kind != sse::KIND && kind != WITHOUT_EFFECT {
        schemas.extend([SinkStart::json_schema(generator), SinkTtl::json_schema(generator)]);
    }
    if is_push(kind) || kind == sse::KIND {
        schemas.push(SinkWhere::json_schema(generator));
    }
    if is_push(kind) {
        schemas.push(SinkDelivery::json_schema(generator));
    }
    schemas
}

fn is_push(kind: &str) -> bool {
    SINKS.iter().any(|sink| sink.name == kind)
}

/// The names of those keys.
fn shared_keys(kind: &str) -> Vec<String> {
    let schemas = shared_schemas(kind, &mut SchemaGenerator::default());
    let names = |schema: &Schema| schema.get("properties").and_then(Json::as_object).cloned();
    let mut keys: Vec<String> =
        schemas.iter().filter_map(names).flat_map(|keys| keys.into_iter().map(|(key, _)| key)).collect();
    // Refused with a better reason than that nobody knows them.
    keys.extend(["start", "where"].map(str::to_owned));
    keys
}

/// Reads `sink`.
pub(super) fn sinks(report: &mut Report, section: &Node, outside: &Outside) -> Vec<SinkConfig> {
    let mut known = sink_kinds();
    known.push(WITHOUT_EFFECT);
    let kinds = Kinds { owner: OwnerKind::Sink, known, later: &LATER_SINKS, common: shared_keys };
    let entries = section.map().unwrap_or_default().iter();
    entries.filter_map(|entry| sink(report, entry, &kinds, outside)).collect()
}

fn sink(report: &mut Report, entry: &Entry, kinds: &Kinds, outside: &Outside) -> Option<SinkConfig> {
    let owner = owner(report, entry, kinds)?;
    let common = shared::<SinkCommon, _>(report, &owner, |json| {
        let common = parse::<SinkCommon>(json)?;
        common.state.policy().map(|policy| (common, policy))
    });
    if owner.kind == WITHOUT_EFFECT {
        report.warn(entry.place, &owner.path, "this sink has no effect: notifications need Windows");
        return None;
    }
    let start = start(report, &owner, outside);
    let ttl = shared::<SinkTtl, _>(report, &owner, parse::<SinkTtl>);
    if let Some(ttl) = &ttl {
        let doubts = ttl.doubts(owner.common.get("ttl_enabled").is_some());
        warnings(report, &entry.value, &owner.path, &doubts);
    }
    if COMPARED_AS_SQL.contains(&owner.kind.as_str()) {
        let doubts = narrower(common.as_ref().map(|(common, _)| &common.patterns), ttl.as_ref());
        warnings(report, &entry.value, &owner.path, &doubts);
    }
    let (kind, target) = target(report, &owner, entry, outside)?;
    let ((common, policy), ttl) = (common?, ttl?);
    let (name, patterns, start) = (entry.key.clone(), common.patterns, start?);
    let (ttl_enabled, ttl) = (ttl.ttl_enabled, ttl.ttl());
    Some(SinkConfig { name, kind, patterns, ttl, ttl_enabled, start, policy, target })
}

/// Prefixes that took more types in the forerunner, where case made no difference and `%` stood for any text.
///
/// No source has a type with an upper-case letter or a `%`, so such a prefix takes nothing here. That `_` stood for any
/// character is not told: prefixes with it are meant literally, and no two types of sources differ in it alone.
fn narrower(patterns: Option<&Patterns>, ttl: Option<&SinkTtl>) -> Vec<Warning> {
    let of_match =
        patterns.into_iter().flat_map(Patterns::prefixes).map(|pattern| ("match".to_owned(), pattern));
    let of_ttl = ttl.into_iter().flat_map(|ttl| ttl.event_ttl.keys());
    let of_ttl = of_ttl.filter(|pattern| pattern.ends_with(".*"));
    let of_ttl = of_ttl.map(|pattern| (format!("event_ttl.{pattern}"), Cow::Borrowed(pattern.as_str())));
    let is_narrower = |pattern: &str| pattern.contains(|c: char| c == '%' || c.is_ascii_uppercase());
    let found = of_match.chain(of_ttl).filter(|(_, pattern)| is_narrower(pattern));
    let told = found.map(|(path, pattern)| {
        let message = format!(
            "{pattern:?} is compared letter by letter: upper case and `%` stand for themselves, unlike in the Python \
             program, and no source has such types; write them in lower case, as `inboxclaw events` shows them"
        );
        Warning::new(path, message)
    });
    told.collect()
}

/// Where the sink begins when it is new.
fn start(report: &mut Report, owner: &OwnerNode, outside: &Outside) -> Option<StartAt> {
    let (path, given) = (join(&owner.path, "start"), owner.common.get("start").map(|entry| entry.place));
    if let Some(place) = given.filter(|_| owner.kind == sse::KIND) {
        let message =
            "a stream begins when a client connects, or after the event that it names; remove the key";
        report.problem(place, &path, message);
        return None;
    }
    let start = shared::<SinkStart, _>(report, owner, parse::<SinkStart>)?.start;
    let now = outside.clock.now();
    let start = start.map_or(StartAt::Now, |start| start.at(now));
    if let (Some(place), StartAt::Since(since)) = (given, start)
        && since > now
    {
        report.warn(place, &path, "this time is still to come: until then it means `now`");
    }
    Some(start)
}

/// Which of the events of its types the sink takes.
fn condition(report: &mut Report, owner: &OwnerNode) -> Option<Option<Condition>> {
    let given = owner.common.get("where").filter(|_| owner.kind == pull::KIND);
    if let Some(given) = given {
        let message = "a pull sink cannot choose by data: its counts of what is left would be wrong, and a batch that is \
            confirmed moves beyond what was left out; choose types with `match`, and by data where the events are used";
        report.problem(given.place, &join(&owner.path, "where"), message);
        return None;
    }
    shared::<SinkWhere, _>(report, owner, |json| parse::<SinkWhere>(json)?.condition())
}

/// Reads those of the shared keys that `S` has; the others are read elsewhere.
fn shared<S: JsonSchema, T>(
    report: &mut Report,
    owner: &OwnerNode,
    parse: impl Fn(Json) -> Result<T, SettingsError>,
) -> Option<T> {
    let schema = schema_of::<S>();
    let entries = owner.common.map().unwrap_or_default().iter();
    let entries = entries.filter(|entry| schema["properties"].get(&entry.key).is_some()).cloned().collect();
    let node = Node { value: Value::Map(entries), ..owner.common.clone() };
    settings(report, &node, &owner.path, &schema, parse)
}

/// The schema of the keys of a kind that also knows those that it shares with others, so that they are among the nearest.
fn with_shared(own: Json, kind: &str) -> Json {
    let mut shared = SchemaGenerator::default();
    let schemas = shared_schemas(kind, &mut shared);
    schemas.into_iter().fold(own, |own, schema| with_common(own, schema.to_value()))
}

/// What the sink is made of.
fn target(
    report: &mut Report,
    owner: &OwnerNode,
    entry: &Entry,
    outside: &Outside,
) -> Option<(&'static str, Target)> {
    let condition = condition(report, owner);
    if owner.kind == pull::KIND {
        condition?;
        let schema = with_shared(schema_of::<pull::Settings>(), pull::KIND);
        let parsed = settings(report, &owner.own, &owner.path, &schema, parse::<pull::Settings>)?;
        return Some((pull::KIND, Target::Pull(parsed)));
    }
    if owner.kind == sse::KIND {
        let schema = with_shared(schema_of::<sse::Settings>(), sse::KIND);
        let parsed = settings(report, &owner.own, &owner.path, &schema, parse::<sse::Settings>)?;
        return Some((sse::KIND, Target::Sse(parsed, condition?)));
    }
    let kind = SINKS.iter().find(|kind| kind.name == owner.kind)?;
    let delivery = shared::<SinkDelivery, _>(report, owner, parse::<SinkDelivery>);
    let outside = Outside { name: entry.key.clone(), ..outside.clone() };
    let build = |value: Json| -> Result<_, SettingsError> { (kind.build)(value, &outside) };
    let schema = with_shared(whole_schema(kind.schema), kind.name);
    let mut built = settings(report, &owner.own, &owner.path, &schema, build)?;
    let one_at_a_time = matches!(built.push, Push::Sink(_));
    let doubts = delivery?.apply(&mut built.policy, one_at_a_time, |key| owner.own.get(key).is_some());
    built.condition = condition?;
    warnings(report, &entry.value, &owner.path, &built.warnings);
    warnings(report, &entry.value, &owner.path, &doubts);
    Some((kind.name, Target::Push(built)))
}

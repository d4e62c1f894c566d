//! The configuration: read from a file, checked whole, and turned into what the program starts.
//!
//! `yaml` reads the tree, `env` expands references, `check` compares it with the settings types, `owners`, `sinks`,
//! `delivery`, `condition`, `states` and `sections` know what stands where, `schema` and `reference` tell editors and people. Left out: starting anything.

mod check;
mod coalesce;
mod condition;
mod delivery;
mod env;
mod owners;
mod reference;
mod report;
mod retention;
mod scalar;
mod schema;
mod secrets;
mod sections;
mod sinks;
mod states;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use env::Environment;
use inboxclaw_contract::settings::parse;
use inboxclaw_contract::{Outside, Owner};
use inboxclaw_server::ServerSettings;
use inboxclaw_server::states::Configured;
use inboxclaw_settings::Patterns;
pub use owners::SourceConfig;
pub use reference::pages;
pub use report::nearest;
pub use report::{ConfigError, Problem};
pub use schema::schema;
pub use sinks::{SinkConfig, Target};

use self::report::{Place, Report, join};
use self::secrets::Secrets;
use self::sections::{DatabaseSettings, Durability};
use self::yaml::{Node, Value};

/// The name that is looked for when none is given.
pub const FILE: &str = "config.yaml";

/// The keys that the file may hold, besides `$schema` and `x-…`.
const TOP: [&str; 4] = ["server", "database", "sources", "sink"];

/// Variables that every process has.
const COMMON: [&str; 10] =
    ["HOME", "HOSTNAME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TMPDIR", "TZ", "USER"];

/// A configuration that can be started.
pub struct Config {
    /// Where it comes from, for messages.
    pub file: PathBuf,
    /// How the program is reached.
    pub server: ServerSettings,
    /// Where it keeps things.
    pub database: Database,
    /// What is noticed, in the order of the file.
    pub sources: Vec<SourceConfig>,
    /// Who is told, in the order of the file.
    pub sinks: Vec<SinkConfig>,
    /// What is doubtful without being wrong.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Every source and sink, as those who show and edit states know them.
    pub fn owners(&self) -> Vec<Configured> {
        let sources = self.sources.iter().map(|source| Configured {
            owner: Owner::source(&source.name),
            connector: source.kind.to_owned(),
            takes: Patterns::default(),
            policy: source.policy.clone(),
        });
        let sinks = self.sinks.iter().map(|sink| Configured {
            owner: Owner::sink(&sink.name),
            connector: sink.kind.to_owned(),
            takes: sink.patterns.clone(),
            policy: sink.policy.clone(),
        });
        sources.chain(sinks).collect()
    }
}

/// The section `database`, resolved.
#[derive(Debug, Clone)]
pub struct Database {
    /// The database file.
    pub path: PathBuf,
    /// Days to keep events that nobody is owed; for ever when not positive.
    pub retention_days: i64,
    /// The same by type, in place of that; `None` is for ever.
    pub retention: BTreeMap<String, Option<Duration>>,
    /// Whether a commit waits for the disk.
    pub durable: bool,
    /// How long a sink is owed an event.
    pub owed_max: Duration,
    /// How long a dead letter waits for a person.
    pub dead_max: Duration,
    /// How many bytes the database may have.
    pub max_bytes: Option<u64>,
    /// How far back the history of an owner goes.
    pub history_age: Duration,
    /// How many bytes it may have.
    pub history_bytes: u64,
}

/// A text that is a configuration, and where it is from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Its name in messages.
    pub file: PathBuf,
    /// The folder in which relative paths start.
    pub base_dir: PathBuf,
    /// The text.
    pub text: String,
    /// Written by the program itself: takes nothing from the environment.
    pub built_in: bool,
}

impl Origin {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            let hint = if error.kind() == std::io::ErrorKind::NotFound {
                "; `inboxclaw init` writes one, --config names another"
            } else {
                ""
            };
            ConfigError::whole(file, format!("cannot be read: {error}{hint}"))
        })?;
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let base_dir = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Self { file: file.to_owned(), base_dir, text, built_in: false })
    }
}

/// Checks a configuration and builds what it names, without any I/O but reading `.env`. `outside` is what the
/// connectors are built with; its name, folder and own files are replaced.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong.
pub fn load(origin: &Origin, mut env: Environment, outside: &Outside) -> Result<Config, ConfigError> {
    let mut report = Report::default();
    let dotenv = if origin.built_in {
        env = Environment::default();
        None
    } else {
        read_dotenv(&origin.base_dir, &mut env, &mut report)
    };
    let outside = Outside { base_dir: origin.base_dir.clone(), ..outside.clone() };
    let read = yaml::parse(&origin.text, &mut report).map(|mut root| {
        expand(&mut root, &env, &mut report);
        let outside = Outside { hidden_variables: hidden_variables(&env, &report), ..outside.clone() };
        sections(&root, origin, &outside, &mut report)
    });
    let config = read.unwrap_or_else(|problem| {
        report.problems.push(problem);
        None
    });
    if report.holds_secret {
        warn_of_readers(&origin.file, &mut report);
    }
    if let Some(dotenv) = dotenv.filter(|_| report.refers_to_secret) {
        warn_of_readers(&dotenv, &mut report);
    }
    let report = report.sorted();
    match config {
        Some(config) if report.problems.is_empty() => Ok(Config { warnings: report.warnings, ..config }),
        _ => Err(ConfigError {
            file: origin.file.clone(),
            problems: report.problems,
            warnings: report.warnings,
        }),
    }
}

/// The variables that no child process is given. Those that describe the system and its user are no secrets, and hardly a
/// program works without them.
fn hidden_variables(env: &Environment, report: &Report) -> Vec<String> {
    let referred = report.variables.iter().map(String::as_str);
    let is_common =
        |name: &str| name.starts_with("LC_") || name.starts_with("XDG_") || COMMON.contains(&name);
    env.own().chain(referred.filter(|name| !is_common(name))).map(str::to_owned).collect()
}

/// Warns of a file with a secret that other users of the machine can read.
fn warn_of_readers(file: &Path, report: &mut Report) {
    let mode = std::fs::metadata(file).map_or(0, |facts| facts.permissions().mode() & 0o777);
    if mode & 0o044 != 0 {
        let file = file.display();
        let message = format!(
            "{file} holds a secret and can be read by others (mode {mode:o}); chmod 600 makes it private"
        );
        report.warnings.push(Problem { place: None, path: String::new(), message });
    }
}

/// Reads the `.env` file, if there is one; returns where it is.
fn read_dotenv(folder: &Path, env: &mut Environment, report: &mut Report) -> Option<PathBuf> {
    let path = env::find_dotenv(folder)?;
    let bad = match std::fs::read_to_string(&path) {
        Ok(text) => {
            env.add_dotenv(&text).into_iter().map(|line| format!("line {line} sets nothing")).collect()
        }
        Err(error) => vec![format!("cannot be read: {error}")],
    };
    let warnings = bad.into_iter().map(|what| format!("{}: {what}", path.display()));
    report.warnings.extend(warnings.map(|message| Problem { place: None, path: String::new(), message }));
    Some(path)
}

/// Expands references in every text. A reference that names no variable stays, because it may belong to a template.
fn expand(root: &mut Node, env: &Environment, report: &mut Report) {
    let mut told = BTreeSet::new();
    expand_in(root, env, report, ("", false), &mut told);
}

fn expand_in(
    node: &mut Node,
    env: &Environment,
    report: &mut Report,
    (path, secret): (&str, bool),
    told: &mut BTreeSet<String>,
) {
    match &mut node.value {
        Value::Text(text) => {
            let expanded = env.expand(text);
            for name in expanded.missing {
                if secret {
                    report.problem(node.place, path, format!("the environment variable {name} is not set"));
                } else if told.insert(name.clone()) {
                    let message =
                        format!("the environment variable {name} is not set, the text stays as it is");
                    report.warn(node.place, path, message);
                }
            }
            for name in expanded.odd.iter().filter(|_| secret) {
                let message = format!(
                    "the reference to `{name}` is no text for a secret: only $NAME and ${{NAME}} of a variable that \
                     is set are replaced"
                );
                report.problem(node.place, path, message);
            }
            report.holds_secret |= secret && !expanded.changed && !text.is_empty() && !names_file(path);
            report.refers_to_secret |= secret && expanded.changed;
            node.hidden = expanded.changed;
            *text = expanded.text;
            report.variables.extend(expanded.used);
        }
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand_in(item, env, report, (&join(path, &index.to_string()), secret), told);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                // The names of sources and sinks are anybody's words.
                let secret = secret || !matches!(path, "sources" | "sink") && secrets::is_secret(&entry.key);
                expand_in(&mut entry.value, env, report, (&join(path, &entry.key), secret), told);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a key that sounds like a secret only says where one is.
fn names_file(path: &str) -> bool {
    ["_file", "_path"].iter().any(|end| path.ends_with(end))
}

fn sections(root: &Node, origin: &Origin, outside: &Outside, report: &mut Report) -> Option<Config> {
    let Some(entries) = root.map() else {
        report.problem(
            root.place,
            "",
            format!("expected a mapping with sources and sink, found {}", root.kind()),
        );
        return None;
    };
    for entry in entries {
        if !TOP.contains(&entry.key.as_str()) && entry.key != "$schema" && !entry.key.starts_with("x-") {
            report.problem(entry.place, "", check::unknown_key(&entry.key, TOP.iter()));
        }
    }
    for key in ["sources", "sink"] {
        if root.get(key).is_none() {
            let message = format!("the key `{key}` is missing; `{key}: {{}}` is enough");
            report.problem(Place { line: 1, column: 1 }, "", message);
        }
    }
    let empty = Node { place: root.place, value: Value::Map(Vec::new()), hidden: false };
    let [server, database, sources, sink] = TOP.map(|key| section(root, key, &empty, report));
    let server = server.and_then(|node| read_server(&node, report));
    let database = database.and_then(|node| read_database(&node, &origin.base_dir, report));
    let own_files = database.iter().map(|database| database.path.clone()).collect();
    let own_server = server.as_ref().and_then(ServerSettings::address);
    let outside = Outside { own_files, own_server, ..outside.clone() };
    let sources = sources.map(|node| owners::sources(report, &node, &outside));
    let sinks = sink.map(|node| sinks::sinks(report, &node, &outside));
    Some(Config {
        file: origin.file.clone(),
        server: server?,
        database: database?,
        sources: sources?,
        sinks: sinks?,
        warnings: Vec::new(),
    })
}

/// A section, which must be a mapping where it is given.
fn section(root: &Node, key: &str, empty: &Node, report: &mut Report) -> Option<Node> {
    let Some(entry) = root.get(key) else { return Some(empty.clone()) };
    if entry.value.map().is_some() {
        return Some(entry.value.clone());
    }
    let found = entry.value.kind();
    report.problem(
        entry.place,
        key,
        format!("expected a mapping, found {found}; without settings write `{key}: {{}}`"),
    );
    None
}

fn read_server(node: &Node, report: &mut Report) -> Option<ServerSettings> {
    let schema = check::schema_of::<ServerSettings>();
    let server = check::settings(report, node, "server", &schema, parse::<ServerSettings>)?;
    let place = |key: &str| node.get(key).map_or(node.place, |entry| entry.value.place);
    if let Err(error) = server.check() {
        let message = error.to_string();
        let path = message.split(' ').next().unwrap_or("server").to_owned();
        let key = path.trim_start_matches("server.");
        let value = node.get(key).map_or(node, |entry| &entry.value);
        let shown = Secrets::of(node).hide(&message, &[key.to_owned()], value);
        report.problem(place(key), &path, shown.trim_start_matches(&path).trim_start());
    }
    if !server.tokens.is_empty() {
        let message =
            "tokens with rights of their own are not available in this version yet; use server.token";
        report.problem(place("tokens"), "server.tokens", message);
    }
    let literal = server.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let exposed = literal.is_ok_and(|address| !address.to_canonical().is_loopback());
    if exposed && server.token.is_none() && !server.allow_anonymous {
        let error = inboxclaw_server::ServeError::Exposed { host: server.host.clone() };
        report.problem(place("host"), "server.host", error.to_string().trim_start_matches("server.host "));
    }
    Some(server)
}

fn read_database(node: &Node, base_dir: &Path, report: &mut Report) -> Option<Database> {
    let schema = check::schema_of::<DatabaseSettings>();
    let settings = check::settings(report, node, "database", &schema, parse::<DatabaseSettings>)?;
    let place = |key: &str| node.get(key).map_or(node.place, |entry| entry.value.place);
    if settings.url.is_some() {
        let message = "PostgreSQL is not available in this version yet; remove the key to use SQLite";
        report.problem(place("url"), "database.url", message);
    }
    if settings.db_path.is_empty() {
        report.problem(place("db_path"), "database.db_path", "the path is empty");
    }
    for entry in node.get("retention").and_then(|entry| entry.value.map()).into_iter().flatten() {
        let key = &entry.key;
        if key.is_empty() || key.starts_with('!') || key.trim_end_matches(".*").contains('*') && key != "*" {
            let message =
                format!("{key:?} is no pattern here: write an exact type, a prefix such as `mock.*`, or `*`");
            report.problem(entry.place, "database.retention", message);
        }
    }
    Some(Database {
        path: base_dir.join(&settings.db_path).components().collect(),
        retention_days: settings.days.unwrap_or(settings.retention_days),
        retention: settings.retention.iter().map(|(pattern, age)| (pattern.clone(), age.0)).collect(),
        durable: settings.durability == Durability::Full,
        owed_max: settings.owed_max.into(),
        dead_max: settings.dead_max.into(),
        max_bytes: settings.max_bytes.map(|size| size.0),
        history_age: settings.history.age.into(),
        history_bytes: settings.history.size.0,
    })
}

/// The text as plain JSON, references not expanded: what an editor compares with the schema.
///
/// # Errors
/// When it is not YAML, or a key stands twice.
pub fn to_json(text: &str) -> Result<serde_json::Value, ConfigError> {
    let mut report = Report::default();
    let root = yaml::parse(text, &mut report);
    report.problems.extend(root.as_ref().err().cloned());
    match root {
        Ok(root) if report.problems.is_empty() => Ok(root.to_json()),
        _ => Err(ConfigError { file: PathBuf::new(), problems: report.problems, warnings: report.warnings }),
    }
}

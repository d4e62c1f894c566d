//! Checks requests and answers against discovery documents, in which Google describes its own services
//! (<https://developers.google.com/discovery/v1/reference/apis>).
//!
//! A request must call a method that exists, with parameters that it has and values that they allow; an answer must
//! have the form that the method promises, and an error the form that all share. Since the documents mark nothing in
//! answers as required, a partial answer passes. Left out: the content of downloads, and everything that the
//! documents say in prose only.

mod document;
mod params;
mod schemas;

use std::collections::{HashMap, HashSet};
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;
use thiserror::Error;

use crate::lock::locked;
use document::{Document, Method};
use schemas::Schemas;

/// The documents that a folder has to hold.
pub const FILES: [&str; 3] = ["gmail.v1.json", "drive.v3.json", "calendar.v3.json"];
/// The environment variable that names the folder; [`NONE`] says that nothing is to be checked.
pub const VARIABLE: &str = "INBOXCLAW_DISCOVERY";
/// The value of [`VARIABLE`] for those who know that nothing is checked, and say so elsewhere.
pub const NONE: &str = "none";

/// Why there is nothing to check against.
#[derive(Debug, Error)]
pub enum Error {
    /// A document cannot be read.
    #[error("cannot read the discovery document {path}: {cause}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A document is none.
    #[error("{path} is no discovery document: {cause}")]
    Parse {
        /// Its path.
        path: PathBuf,
        /// Why.
        cause: serde_json::Error,
    },
}

/// The services as their documents describe them.
#[derive(Debug)]
pub struct Discovery {
    services: Vec<Service>,
}

#[derive(Debug)]
struct Service {
    document: Document,
    methods: Vec<Method>,
    schemas: Schemas,
}

/// A request that calls a method.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    service: &'a Service,
    method: &'a Method,
    is_media: bool,
}

impl Call<'_> {
    /// The method's id, such as `gmail.users.history.list`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.method.id
    }
}

/// Whether the environment says that nothing is to be checked.
#[must_use]
pub fn is_unchecked() -> bool {
    env::var_os(VARIABLE).is_some_and(|value| value == NONE)
}

impl Discovery {
    /// Reads the documents of a folder.
    ///
    /// # Errors
    /// When one of [`FILES`] is missing or is no discovery document.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let services =
            FILES.iter().map(|name| Service::load(&folder.join(name))).collect::<Result<_, _>>()?;
        Ok(Self { services })
    }

    /// The documents of `folder`, or else of the one that the environment names, or else of the default one if it
    /// is there. Each folder is read once in the life of the process.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn found(folder: Option<&Path>) -> Result<Option<Arc<Self>>, Error> {
        if folder.is_none() && is_unchecked() {
            return Ok(None);
        }
        static READ: OnceLock<Mutex<HashMap<PathBuf, Arc<Discovery>>>> = OnceLock::new();
        let named = folder.map(Path::to_owned).or_else(|| env::var_os(VARIABLE).map(PathBuf::from));
        let Some(folder) = named.or_else(|| Some(default_folder()).filter(|folder| folder.is_dir())) else {
            return Ok(None);
        };
        let mut read = locked(READ.get_or_init(Mutex::default));
        if let Some(found) = read.get(&folder) {
            return Ok(Some(found.clone()));
        }
        let found = Arc::new(Self::load(&folder)?);
        read.insert(folder, found.clone());
        Ok(Some(found))
    }

    /// Finds the method that a request calls, and adds to `wrong` what is wrong with the request. `segments` are those
    /// of the path from the root of the service's host.
    #[must_use]
    pub fn request(
        &self,
        http_method: &str,
        segments: &[String],
        query: &[(String, String)],
        wrong: &mut Vec<String>,
    ) -> Option<Call<'_>> {
        let all = self
            .services
            .iter()
            .flat_map(|service| service.methods.iter().map(move |method| (service, method)));
        let fitting = all.filter(|(_, method)| method.fits(http_method, segments));
        // `files/generateIds` is a method of its own, not the file of that name.
        let Some((service, method)) = fitting.max_by_key(|(_, method)| method.literals()) else {
            wrong.push(format!("{http_method} /{}: no method has this path", segments.join("/")));
            return None;
        };
        let mut found = Vec::new();
        check_query(service, method, query, &mut found);
        wrong.extend(found.into_iter().map(|text| format!("{}: {text}", method.id)));
        let asks_media = query.iter().any(|(name, value)| name == "alt" && value == "media");
        Some(Call { service, method, is_media: method.response.is_none() || asks_media })
    }

    /// Adds to `wrong` what is wrong with the answer to a call. `body` is its JSON, `None` when it is none.
    pub fn answer(&self, call: Call<'_>, status: u16, body: Option<&Value>, wrong: &mut Vec<String>) {
        let mut found = Vec::new();
        match (status, body) {
            (400.., Some(body)) => check_error(status, body, &mut found),
            (400.., None) => found.push("the body is not JSON".to_owned()),
            (200, _) if call.is_media => {}
            (200, None) => found.push("the body is not JSON".to_owned()),
            (200, Some(body)) => {
                let response = call.method.response.as_ref();
                response
                    .into_iter()
                    .for_each(|schema| call.service.schemas.check(&schema.name, body, &mut found));
            }
            _ => found.push("no such status is documented".to_owned()),
        }
        wrong.extend(found.into_iter().map(|text| format!("{}: answer {status}: {text}", call.method.id)));
    }
}

impl Service {
    fn load(path: &Path) -> Result<Self, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|cause| Error::Read { path: path.to_owned(), cause })?;
        let parsed = serde_json::from_str::<Document>(&text);
        let mut document = parsed.map_err(|cause| Error::Parse { path: path.to_owned(), cause })?;
        let schemas = Schemas::new(std::mem::take(&mut document.schemas));
        let methods = document.take_methods();
        Ok(Self { document, methods, schemas })
    }
}

fn check_query(service: &Service, method: &Method, query: &[(String, String)], wrong: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for (name, value) in query {
        let own = method.parameters.get(name).filter(|known| known.is_in_query());
        let Some(parameter) = own.or_else(|| service.document.parameters.get(name)) else {
            wrong.push(format!("the parameter {name} does not exist"));
            continue;
        };
        if !seen.insert(name) && !parameter.repeated {
            wrong.push(format!("the parameter {name} is given more than once"));
        }
        if let Err(reason) = parameter.check(value) {
            wrong.push(format!("the parameter {name} is {value:?}: {reason}"));
        }
        match (name.as_str(), &method.response) {
            ("fields", Some(schema)) => service.schemas.check_fields(&schema.name, value, wrong),
            ("alt", _) if value == "media" && !method.supports_media_download => {
                wrong.push("alt=media, but there is nothing to download".to_owned());
            }
            _ => {}
        }
    }
    let required = method.parameters.iter().filter(|(_, known)| known.required && known.is_in_query());
    let missing = required.filter(|(name, _)| !seen.contains(name));
    wrong.extend(missing.map(|(name, _)| format!("the parameter {name} is missing")));
}

/// The form of errors: <https://developers.google.com/workspace/drive/api/guides/handle-errors>.
fn check_error(status: u16, body: &Value, wrong: &mut Vec<String>) {
    let error = &body["error"];
    if error["code"] != status {
        wrong.push(format!("error.code is {}", error["code"]));
    }
    if !error["message"].is_string() {
        wrong.push(format!("error.message is {}", error["message"]));
    }
    let errors = error["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    if errors.is_empty() {
        wrong.push("error.errors is empty".to_owned());
    }
    for (place, error) in errors.iter().enumerate() {
        let missing = ["domain", "reason", "message"].into_iter().filter(|name| !error[*name].is_string());
        wrong.extend(missing.map(|name| format!("error.errors[{place}].{name} is {}", error[name])));
    }
}

/// `discovery` in the build folder.
fn default_folder() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // A relative one counts from where the build was started, which is the root as a rule.
    root.join(target.unwrap_or_else(|| PathBuf::from("target"))).join("discovery")
}

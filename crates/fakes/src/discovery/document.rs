//! What of a discovery document is read: its methods and their parameters.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::params::Parameter;

/// A document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    service_path: String,
    /// Those that every method has.
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, Parameter>,
    #[serde(default)]
    pub(super) schemas: Map<String, Value>,
    #[serde(flatten)]
    root: Resource,
}

#[derive(Debug, Default, Deserialize)]
struct Resource {
    #[serde(default)]
    methods: BTreeMap<String, Method>,
    #[serde(default)]
    resources: BTreeMap<String, Resource>,
}

/// A method.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Method {
    pub(super) id: String,
    http_method: String,
    path: String,
    flat_path: Option<String>,
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, Parameter>,
    pub(super) response: Option<Reference>,
    #[serde(default)]
    pub(super) supports_media_download: bool,
    /// The segments of the path from the root of the host.
    #[serde(skip)]
    template: Vec<String>,
}

/// The name of a schema.
#[derive(Debug, Deserialize)]
pub(super) struct Reference {
    #[serde(rename = "$ref")]
    pub(super) name: String,
}

impl Document {
    /// The methods of all resources.
    pub(super) fn take_methods(&mut self) -> Vec<Method> {
        let mut resources = vec![std::mem::take(&mut self.root)];
        let mut methods = Vec::new();
        while let Some(resource) = resources.pop() {
            resources.extend(resource.resources.into_values());
            methods.extend(resource.methods.into_values());
        }
        for method in &mut methods {
            let path = method.flat_path.as_ref().unwrap_or(&method.path);
            method.template = format!("{}{path}", self.service_path).split('/').map(str::to_owned).collect();
        }
        methods
    }
}

impl Method {
    /// Whether a request is for this one.
    pub(super) fn fits(&self, http_method: &str, segments: &[String]) -> bool {
        let mut pairs = self.template.iter().zip(segments);
        let same = |(known, given): (&String, &String)| {
            if is_variable(known) { !given.is_empty() } else { known == given }
        };
        self.http_method == http_method && self.template.len() == segments.len() && pairs.all(same)
    }

    /// How many segments of its path are fixed.
    pub(super) fn literals(&self) -> usize {
        self.template.iter().filter(|segment| !is_variable(segment)).count()
    }
}

fn is_variable(segment: &str) -> bool {
    segment.starts_with('{')
}

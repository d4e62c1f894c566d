//! A server whose every answer is compared with the description of the API that it serves itself.

use std::time::Duration;

use inboxclaw_contract::Json;
use inboxclaw_server::App;
use serde_json::{Value, json};

use super::support::{Answer, Inbox, Running};

/// The path of the state of the inbox's source.
pub(crate) const STATE: &str = "/api/sources/s/state";

/// A server, and what it says of itself.
pub(crate) struct Api {
    pub(crate) server: Running,
    document: Value,
}

impl Inbox {
    pub(crate) async fn api(&self) -> Api {
        self.api_with(|_| {}).await
    }

    pub(crate) async fn api_with(&self, change: impl FnOnce(&mut App)) -> Api {
        let server = self.serve_with(change).await;
        let document = server.get("/openapi.json").await.json();
        Api { server, document }
    }

    /// Lets some seconds pass.
    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

impl Api {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, &[], "").await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> Answer {
        self.ask("PUT", path, &[], body).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, &[], &body.to_string()).await
    }

    /// Puts a value that must be taken.
    pub(crate) async fn set(&self, key: &str, value: &str) {
        let answer = self.put(&format!("{STATE}/{key}"), value).await;
        assert!(matches!(answer.status, 200 | 201), "{key}: {answer:?}");
    }

    /// Keys and values as they are.
    pub(crate) async fn all(&self) -> Value {
        let page = self.get(&format!("{STATE}?limit=1000")).await.json();
        let entries = page["entries"].as_array().unwrap().iter();
        entries.map(|entry| (entry["key"].as_str().unwrap().to_owned(), entry["value"].clone())).collect()
    }

    /// One request, whose answer must be one that the description knows.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let length = body.len().to_string();
        let mut headers = headers.to_vec();
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "Transfer-Encoding") {
            headers.push(("Content-Length", &length));
        }
        let answer = self.server.exchange(method, path, &headers, body).await;
        if !matches!(answer.status, 405 | 404) || self.template(path).is_some() {
            self.check(method, path, &answer);
        }
        answer
    }

    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    /// The described path that fits; of two the more literal one.
    fn template(&self, path: &str) -> Option<&str> {
        let path: Vec<&str> = path.split('?').next().unwrap().split('/').collect();
        let paths = self.document["paths"].as_object().unwrap().keys();
        let fits = |template: &&String| {
            let parts: Vec<&str> = template.split('/').collect();
            let one = |(part, found): (&&str, &&str)| match *part {
                "{kind}" => ["sources", "sinks"].contains(found),
                part => part.starts_with('{') || part == *found,
            };
            parts.len() == path.len() && parts.iter().zip(&path).all(one)
        };
        paths.filter(fits).min_by_key(|template| template.matches('{').count()).map(String::as_str)
    }

    fn check(&self, method: &str, path: &str, answer: &Answer) {
        if answer.status == 405 {
            return;
        }
        let template = self.template(path).unwrap_or_else(|| panic!("{path} is not described"));
        let operation = &self.document["paths"][template][method.to_lowercase()];
        let response = &operation["responses"][answer.status.to_string()];
        assert!(response.is_object(), "{method} {template}: {} is not described: {answer:?}", answer.status);
        for name in response["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
            assert!(
                answer.header(&name.to_lowercase()).is_some(),
                "{method} {template}: no {name}: {answer:?}"
            );
        }
        let Some(content) = response["content"].as_object() else {
            return assert_eq!(answer.body, "", "{method} {template}");
        };
        let found = answer.header("content-type").unwrap().split(';').next().unwrap();
        let schema = content.get(found).unwrap_or_else(|| panic!("{method} {template}: {found}"));
        let schema = &schema["schema"];
        if found == "application/json" {
            match serde_json::from_str(&answer.body) {
                Ok(found) => self.validate(schema, &found),
                // A number may be larger than what a test can hold.
                Err(error) => {
                    drop(Json::new(answer.body.as_str()).unwrap_or_else(|_| panic!("{error}: {answer:?}")))
                }
            }
        } else if found == "application/x-ndjson" && schema["type"] != "string" {
            for line in answer.body.lines() {
                self.validate(schema, &serde_json::from_str(line).unwrap());
            }
        }
    }

    pub(crate) fn validate(&self, schema: &Value, found: &Value) {
        let root = json!({ "allOf": [schema], "components": self.document["components"] });
        let validator = jsonschema::validator_for(&root).unwrap();
        let errors: Vec<String> = validator.iter_errors(found).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {found} against {schema}");
    }
}

//! Patterns over event types: which events a sink takes, and how long they stay worth delivering.
//!
//! No globs and no regular expressions: everything, a prefix that ends at a dot, or one exact type.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::coerce::one_or_many;
use crate::interval::Interval;

/// A list of patterns: `*` is every type, `user.*` every type that starts with `user.`, anything else exactly itself;
/// case-sensitive. A leading `!` excludes what the rest matches.
///
/// A type matches when one pattern includes it and none excludes it, whatever their order. A list of exclusions only
/// starts from everything; an empty list matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Patterns {
    included: Vec<Pattern>,
    excluded: Vec<Pattern>,
}

/// How long events stay worth delivering, by their type. By default for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ttl {
    /// The limit of types that no pattern of `by_type` matches; `None` for none.
    pub default: Option<Interval>,
    /// Limits by pattern. A `!` has no meaning here.
    pub by_type: BTreeMap<String, Interval>,
}

/// One pattern, without its `!`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Pattern {
    All,
    /// What types start with, dot included.
    Prefix(String),
    Exact(String),
}

impl Patterns {
    /// Makes a list of patterns. Every text is one.
    pub fn new<T: AsRef<str>>(patterns: impl IntoIterator<Item = T>) -> Self {
        let (mut included, mut excluded) = (Vec::new(), Vec::new());
        for pattern in patterns {
            match pattern.as_ref().strip_prefix('!') {
                Some(rest) => excluded.push(Pattern::new(rest)),
                None => included.push(Pattern::new(pattern.as_ref())),
            }
        }
        if included.is_empty() && !excluded.is_empty() {
            included.push(Pattern::All);
        }
        Self { included, excluded }
    }

    /// The single pattern by which a request narrows what it is given; `None` when the text is empty.
    #[must_use]
    pub fn selector(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::new([text]))
    }

    /// Whether events of this type are wanted.
    #[must_use]
    pub fn matches(&self, event_type: &str) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(event_type));
        any(&self.included) && !any(&self.excluded)
    }

    /// The patterns that stand for a prefix, as they are written, without their `!`.
    pub fn prefixes(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let all = self.included.iter().chain(&self.excluded);
        all.filter(|pattern| matches!(pattern, Pattern::Prefix(_))).map(Pattern::text)
    }
}

/// Everything.
impl Default for Patterns {
    fn default() -> Self {
        Self::new(["*"])
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        one_or_many::<Vec<String>, D>(deserializer).map(Self::new)
    }
}

/// A single pattern as a string, everything else as a list.
impl Serialize for Patterns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let ([only], []) = (&self.included[..], &self.excluded[..]) {
            return serializer.serialize_str(&only.text());
        }
        let mut list = serializer.serialize_seq(Some(self.included.len() + self.excluded.len()))?;
        for pattern in &self.included {
            list.serialize_element(&pattern.text())?;
        }
        for pattern in &self.excluded {
            list.serialize_element(&format!("!{}", pattern.text()))?;
        }
        list.end()
    }
}

impl JsonSchema for Patterns {
    fn schema_name() -> Cow<'static, str> {
        "Patterns".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Event types: `*` for all, `user.*` for all that start with `user.`, `!` in front to exclude, \
                otherwise one exact type. One pattern or a list of them.",
            "type": ["string", "array"],
            "items": { "type": "string" },
            "examples": ["*", ["gmail.*", "!gmail.message_deleted"]]
        })
    }
}

impl Ttl {
    /// How old an event of this type may be; `None` without a limit, zero for never delivered.
    ///
    /// The exact type decides, else the longest prefix, else `*`, else the default.
    #[must_use]
    pub fn of(&self, event_type: &str) -> Option<Duration> {
        let ttl = by_type(&self.by_type, event_type).or(self.default.as_ref());
        ttl.map(|ttl| ttl.as_duration())
    }
}

/// What a map by pattern says of a type: the exact type decides, else the longest prefix, else `*`. A `!` has no meaning.
#[must_use]
pub fn by_type<'a, T>(map: &'a BTreeMap<String, T>, event_type: &str) -> Option<&'a T> {
    let exact = || map.get(event_type);
    // From the longest prefix to the shortest: each ends at a dot of the type.
    let prefix =
        || event_type.rmatch_indices('.').find_map(|(dot, _)| map.get(&format!("{}*", &event_type[..=dot])));
    exact().or_else(prefix).or_else(|| map.get("*"))
}

impl Pattern {
    fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some("") => Self::All,
            Some(prefix) if prefix.ends_with('.') => Self::Prefix(prefix.to_owned()),
            _ => Self::Exact(text.to_owned()),
        }
    }

    fn matches(&self, event_type: &str) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(prefix) => event_type.starts_with(prefix.as_str()),
            Self::Exact(exact) => event_type == exact,
        }
    }

    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::All => "*".into(),
            Self::Prefix(prefix) => format!("{prefix}*").into(),
            Self::Exact(exact) => exact.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &[&str], yes: &[&str], no: &[&str]) {
        let list = Patterns::new(patterns);
        for event_type in yes {
            assert!(list.matches(event_type), "{patterns:?} should match {event_type:?}");
        }
        for event_type in no {
            assert!(!list.matches(event_type), "{patterns:?} should not match {event_type:?}");
        }
    }

    #[test]
    fn inclusions() {
        check(&["*"], &["", "a", "user.login"], &[]);
        check(
            &["user.*"],
            &["user.login", "user.a.b", "user."],
            &["user", "username", "User.login", "", "x.user.a"],
        );
        check(&["user.login"], &["user.login"], &["user.login.x", "User.login", "user", "user.logins"]);
        check(&["a.*", "b"], &["a.x", "b"], &["b.x", "a", "c"]);
        check(&[], &[], &["", "a"]);
    }

    #[test]
    fn stars_elsewhere_are_literal() {
        check(&["*.updated"], &["*.updated"], &["a.updated"]);
        check(&["a*"], &["a*"], &["ab", "a", "a.b"]);
        check(&["a?"], &["a?"], &["ab"]);
        check(&["a%.*", "b_.*"], &["a%.x", "b_.x"], &["ax.x", "bx.x"]);
        check(&["a_b.*"], &["a_b.c"], &["aXb.c", "A_B.C", "a_b", "a_bc"]);
        check(&["m_ck.*"], &[], &["mock.random_number"]);
        check(&[".*"], &[".x", "."], &["", "a.x"]);
        check(&["**", "a.**", "a*.b"], &["**", "a.**", "a*.b"], &["a.b", "ax.b"]);
    }

    #[test]
    fn exclusions_always_win() {
        let mail = (["gmail.new_message"], ["gmail.message_deleted", "other.event"]);
        check(&["gmail.*", "!gmail.message_deleted"], &mail.0, &mail.1);
        check(&["!gmail.message_deleted", "gmail.*"], &mail.0, &mail.1);
        check(&["!secret.*"], &["public.event", ""], &["secret.event"]);
        check(&["!noisy.type"], &["noisy.types", "a"], &["noisy.type"]);
        check(&["a.*", "b.*", "!a.exclude", "!b.exclude"], &["b.include"], &["b.exclude", "a.exclude", "c"]);
        check(&["!*"], &[], &["", "a"]);
        check(&["*", "!*"], &[], &["", "a"]);
    }

    #[test]
    fn prefixes_are_told_as_they_are_written() {
        let patterns = Patterns::new(["a.*", "*", "b", "!c.d.*", "e*"]);
        assert_eq!(patterns.prefixes().collect::<Vec<_>>(), ["a.*", "c.d.*"]);
    }

    #[test]
    fn a_selector_is_one_pattern_or_none() {
        assert_eq!(Patterns::selector(""), None);
        let selector = Patterns::selector("a.*").unwrap();
        assert!(selector.matches("a.b") && !selector.matches("b.a"));
    }

    #[test]
    fn settings_take_one_or_many() {
        for (json, back) in [
            ("\"a.*\"", "\"a.*\""),
            ("[\"a\"]", "\"a\""),
            ("[\"!x\",\"a.*\"]", "[\"a.*\",\"!x\"]"),
            ("\"!x\"", "[\"*\",\"!x\"]"),
            ("[]", "[]"),
        ] {
            let read: Patterns = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), back);
            assert_eq!(serde_json::from_str::<Patterns>(back).unwrap(), read, "{json}");
        }
        let error = serde_json::from_str::<Patterns>("5").unwrap_err().to_string();
        assert!(error.starts_with("expected a string or a list of strings, found 5"), "{error}");
        assert_eq!(Patterns::default(), Patterns::new(["*"]));
    }

    fn ttl(by_type: &[(&str, u64)]) -> Ttl {
        let by_type =
            by_type.iter().map(|(pattern, seconds)| ((*pattern).to_owned(), Interval::from_secs(*seconds)));
        Ttl { default: Some(Interval::from_secs(3600)), by_type: by_type.collect() }
    }

    #[test]
    fn the_closest_ttl_decides() {
        let rules = ttl(&[("a.b", 1), ("a.*", 20), ("a.b.*", 30), ("*", 40), ("zero", 0)]);
        for (event_type, seconds) in [
            ("a.b", 1),
            ("a.c", 20),
            ("a.b.c", 30),
            ("a.b.c.d", 30),
            ("a", 40),
            ("ab.c", 40),
            ("", 40),
            ("zero", 0),
        ] {
            assert_eq!(rules.of(event_type), Some(Duration::from_secs(seconds)), "{event_type:?}");
        }
        assert_eq!(ttl(&[("a.*", 1)]).of("b"), Some(Duration::from_secs(3600)));
        assert_eq!(ttl(&[("!a", 1)]).of("a"), Some(Duration::from_secs(3600)));
        // The exact type hides a prefix that is more generous, and case counts.
        let rules = ttl(&[("a.b", 1), ("a.*", 7200), ("A.C", 5), ("a*", 6), ("a.b*", 7)]);
        for (event_type, seconds) in
            [("a.b", 1), ("a.c", 7200), ("A.C", 5), ("a.", 7200), ("ab", 3600), ("a", 3600)]
        {
            assert_eq!(rules.of(event_type), Some(Duration::from_secs(seconds)), "{event_type:?}");
        }
    }

    #[test]
    fn without_a_default_only_the_named_types_have_a_limit() {
        let rules = Ttl { default: None, ..ttl(&[("a", 5)]) };
        assert_eq!(rules.of("a"), Some(Duration::from_secs(5)));
        assert_eq!(rules.of("b"), None);
        assert_eq!(Ttl::default().of("a"), None);
    }
}

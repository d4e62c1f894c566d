//! Content filters: `- name: {in: subject, contains: invoice}`. A match of any drops an item.
//!
//! What is compared is the text as a person sees it: entities of HTML decoded, each run of whitespace one blank, none
//! at the ends. An empty text matches nothing. Left out: which fields there are (the sources).

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::Context as _;
use fancy_regex::{Regex, RegexBuilder};
use inboxclaw_contract::Warning;
use inboxclaw_settings::coerce;
use schemars::JsonSchema;
use serde::Deserialize;

/// Most steps back that a pattern takes over one text. The text is a stranger's, who must not be able to keep us busy.
const STEPS: usize = 100_000;

/// A filter of the configuration. `F` is the fields that a source knows.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "WrittenRule<F>")]
pub struct Rule<F> {
    /// The field to look at.
    pub field: F,
    /// A text to find, whatever its case.
    pub contains: Option<String>,
    /// A regular expression to find, whatever the case.
    pub regex: Option<String>,
}

/// The setting `filters`: a list of mappings from free names to filters.
pub type Rules<F> = Vec<BTreeMap<String, Rule<F>>>;

/// Filters ready for use.
#[derive(Debug)]
pub struct Filters<F> {
    filters: Vec<Filter<F>>,
}

/// A filter as it stands in the file. With neither `contains` nor `regex` it drops nothing, with both it is enough
/// that one of them is found.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Filter")]
struct WrittenRule<F> {
    /// The field to look at. Required.
    #[serde(rename = "in")]
    #[schemars(extend("default" = null))]
    field: Option<F>,
    /// Another spelling of `in`.
    #[schemars(extend("default" = null))]
    in_field: Option<F>,
    /// A text to find in the field, whatever its case.
    #[serde(default, deserialize_with = "coerce::lax")]
    contains: Option<String>,
    /// A regular expression to find in the field, whatever the case. Look-around and back-references may be used.
    #[serde(default, deserialize_with = "coerce::lax")]
    regex: Option<String>,
}

impl<F> TryFrom<WrittenRule<F>> for Rule<F> {
    type Error = &'static str;

    fn try_from(written: WrittenRule<F>) -> Result<Self, Self::Error> {
        let field = match (written.field, written.in_field) {
            (Some(field), None) | (None, Some(field)) => field,
            (None, None) => return Err("the key `in` is missing: which field to look at"),
            (Some(_), Some(_)) => return Err("`in` and `in_field` are the same key; keep one"),
        };
        Ok(Self { field, contains: written.contains, regex: written.regex })
    }
}

impl<F: JsonSchema> JsonSchema for Rule<F> {
    fn schema_name() -> Cow<'static, str> {
        WrittenRule::<F>::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        WrittenRule::<F>::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        WrittenRule::<F>::json_schema(generator)
    }
}

/// Filters that drop nothing, because they say nothing to look for.
pub fn warnings<F>(rules: &Rules<F>) -> Vec<Warning> {
    let is_empty = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
    let empty = named(rules).filter(|(_, _, rule)| is_empty(&rule.contains) && is_empty(&rule.regex));
    let message = "this filter drops nothing: give it `contains` or `regex`";
    empty.map(|(index, name, _)| Warning::new(format!("filters[{index}].{name}"), message)).collect()
}

/// The filters with their place in the list and their names.
fn named<F>(rules: &Rules<F>) -> impl Iterator<Item = (usize, &str, &Rule<F>)> {
    let items = rules.iter().enumerate();
    items.flat_map(|(index, item)| item.iter().map(move |(name, rule)| (index, name.as_str(), rule)))
}

#[derive(Debug)]
struct Filter<F> {
    field: F,
    /// In lower case.
    contains: Option<String>,
    regex: Option<Regex>,
}

impl<F: Copy> Filters<F> {
    /// Prepares the filters of a configuration.
    ///
    /// # Errors
    /// Names the filter whose pattern is wrong, and where.
    pub fn new(rules: &Rules<F>) -> anyhow::Result<Self> {
        let filters = named(rules).map(|(index, name, rule)| {
            let regex = rule.regex.as_deref().filter(|pattern| !pattern.is_empty()).map(compiled).transpose();
            let regex = regex
                .with_context(|| format!("filters: item {}, `{name}`: regex cannot be used", index + 1))?;
            let contains = rule.contains.as_deref().filter(|text| !text.is_empty()).map(str::to_lowercase);
            Ok(Filter { field: rule.field, contains, regex })
        });
        Ok(Self { filters: filters.collect::<anyhow::Result<_>>()? })
    }

    /// Whether an item is to be dropped. `values` gives the values of a field; a field may have several.
    pub fn matches<'a, I: IntoIterator<Item = Cow<'a, str>>>(&self, values: impl Fn(F) -> I) -> bool {
        self.filters.iter().any(|filter| values(filter.field).into_iter().any(|value| filter.matches(&value)))
    }
}

impl<F> Filter<F> {
    fn matches(&self, value: &str) -> bool {
        let value = plain(value);
        if value.is_empty() {
            return false;
        }
        let contains = || self.contains.as_ref().is_some_and(|text| value.to_lowercase().contains(text));
        // A pattern that gives up over a text has not found anything.
        let regex =
            || self.regex.as_ref().is_some_and(|regex| regex.is_match(value.as_str()).unwrap_or(false));
        contains() || regex()
    }
}

fn compiled(pattern: &str) -> Result<Regex, fancy_regex::Error> {
    RegexBuilder::new(pattern).case_insensitive(true).backtrack_limit(STEPS).build()
}

/// A text as a person sees it.
fn plain(value: &str) -> String {
    htmlize::unescape(value).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Field {
        Subject,
        Sender,
    }

    fn filters(rules: Value) -> anyhow::Result<Filters<Field>> {
        Filters::new(&serde_json::from_value::<Rules<Field>>(rules)?)
    }

    fn drops(rule: Value, subject: &str) -> bool {
        let filters = filters(json!([{ "name": rule }])).unwrap();
        filters.matches(|field| (field == Field::Subject).then_some(Cow::Borrowed(subject)))
    }

    #[test]
    fn a_text_is_found_as_a_person_sees_it() {
        for (contains, subject, expected) in [
            ("invoice", "Your INVOICE is here", true),
            ("INVOICE", "your invoice", true),
            ("Tom & Jerry", "Re: tom &amp; jerry", true),
            ("it's", "it&#39;s", true),
            ("<b>", "&lt;b&gt;", true),
            ("&amp;", "a & b", false),
            ("&amp;", "a &amp;amp; b", true),
            ("a b", " a \r\n\t b\u{a0}", true),
            ("a b", "a&nbsp;b", true),
            // The text of the filter stays as it is.
            ("a  b", "a  b", false),
            ("ÄRGER", "ärger", true),
            ("x", "", false),
            ("x", " &nbsp; ", false),
            ("", "anything", false),
        ] {
            let rule = json!({ "in": "subject", "contains": contains });
            assert_eq!(drops(rule, subject), expected, "{contains:?} in {subject:?}");
        }
    }

    #[test]
    fn a_pattern_is_searched_anywhere() {
        for (regex, subject, expected) in [
            ("inv.ice", "Your INVOICE", true),
            ("^your", "Your invoice", true),
            ("^invoice", "Your invoice", false),
            ("(?i)INVOICE", "invoice", true),
            ("invoice(?! paid)", "invoice paid", false),
            ("invoice(?! paid)", "invoice open", true),
            ("(?<=re: )hello", "Re: Hello", true),
            (r"(\w)\1", "book", true),
            (r"(?P<q>['\x22]).*(?P=q)", "say 'yes'", true),
            (r"^\d{3}$", " 123 ", true),
            (".*", "", false),
            ("", "anything", false),
            // This one would take longer than the mail lives.
            (r"^(a|a?)+\1$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false),
        ] {
            assert_eq!(
                drops(json!({ "in": "subject", "regex": regex }), subject),
                expected,
                "{regex:?} in {subject:?}"
            );
        }
    }

    #[test]
    fn any_filter_and_any_way_is_enough() {
        let both = json!({ "in_field": "subject", "contains": "a", "regex": "b" });
        assert_eq!(
            [drops(both.clone(), "xa"), drops(both.clone(), "xb"), drops(both, "xc")],
            [true, true, false]
        );
        assert!(!drops(json!({ "in": "subject", "contains": null }), "a"));
        let several = filters(json!([
            { "one": { "in": "subject", "contains": "a" }, "two": { "in": "sender", "contains": "b" } },
            { "three": { "in": "sender", "regex": "c" } },
        ]))
        .unwrap();
        let drops = |subjects: &[&str], senders: &[&str]| {
            several.matches(|field| {
                let values = if field == Field::Subject { subjects } else { senders };
                values.iter().map(|value| Cow::Borrowed(*value)).collect::<Vec<_>>()
            })
        };
        assert!(drops(&["a"], &[]) && drops(&[], &["x", "b"]) && drops(&["x"], &["c"]));
        assert!(!drops(&["b"], &["a"]) && !drops(&[], &[]));
        assert!(!filters(json!([])).unwrap().matches(|_| [Cow::Borrowed("a")]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (rule, message) in [
            (json!({ "in": "subject", "regex": "a(" }), "filters: item 1, `name`: regex cannot be used: "),
            (json!({ "contains": "a" }), "the key `in` is missing"),
            (json!({ "in": "subject", "in_field": "subject" }), "`in` and `in_field` are the same key"),
            (json!({ "in": "body" }), "unknown variant `body`, expected `subject` or `sender`"),
            (json!({ "in": "subject", "contain": "a" }), "unknown field `contain`"),
            (json!({ "in": "subject", "contains": 5 }), "expected a string, found 5"),
        ] {
            let error = format!("{:#}", filters(json!([{ "name": rule }])).unwrap_err());
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn the_schema_knows_both_spellings_and_requires_none() {
        let schema = schemars::schema_for!(Rule<Field>).to_value();
        assert!(schema["properties"]["in"].is_object() && schema["properties"]["in_field"].is_object());
        assert_eq!((schema.get("required"), &schema["additionalProperties"]), (None, &json!(false)));
    }
}

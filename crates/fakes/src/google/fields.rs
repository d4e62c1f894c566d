//! Partial answers: the parameter `fields`, which names what an answer shall hold.
//!
//! Grammar and meaning: <https://developers.google.com/workspace/drive/api/guides/performance#partial>. Left out:
//! whether the named fields exist (`discovery`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What is selected below a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask(BTreeMap<String, Mask>);

impl Mask {
    /// Reads a selector such as `nextPageToken,items(id,start/date)`.
    ///
    /// # Errors
    /// The selector as the services quote it, when it is empty or its brackets do not match.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let mask = list(&mut rest).ok_or_else(|| text.to_owned())?;
        if rest.is_empty() { Ok(mask) } else { Err(text.to_owned()) }
    }

    /// The named fields and what is selected below each; nothing below a field means all of it.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.0.iter().map(|(name, below)| (name.as_str(), below))
    }

    /// Whether everything is selected.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves what is selected. Lists are looked through: the mask holds for each of their items.
    #[must_use]
    pub fn apply(&self, value: Value) -> Value {
        match value {
            Value::Object(object) if !self.is_all() => Value::Object(self.pick(object)),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.apply(item)).collect()),
            other => other,
        }
    }

    fn pick(&self, object: Map<String, Value>) -> Map<String, Value> {
        let every = self.0.get("*");
        let picked = object.into_iter().filter_map(|(name, value)| {
            let below = self.0.get(&name).or(every)?;
            Some((name, below.apply(value)))
        });
        picked.collect()
    }

    /// Selects what `other` selects, too. Where one of both selects all, all is selected.
    fn join(&mut self, name: String, other: Self) {
        match self.0.get_mut(&name) {
            None => {
                self.0.insert(name, other);
            }
            Some(mine) if mine.is_all() || other.is_all() => *mine = Self::default(),
            Some(mine) => other.0.into_iter().for_each(|(name, below)| mine.join(name, below)),
        }
    }
}

fn list(rest: &mut &str) -> Option<Mask> {
    let mut mask = Mask::default();
    loop {
        let (name, below) = field(rest)?;
        mask.join(name, below);
        match rest.strip_prefix(',') {
            Some(after) => *rest = after,
            None => return Some(mask),
        }
    }
}

fn field(rest: &mut &str) -> Option<(String, Mask)> {
    let end = rest.find(['/', '(', ')', ',']).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    *rest = after;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    let mut below = Mask::default();
    if let Some(after) = rest.strip_prefix('/') {
        *rest = after;
        let (name, deeper) = field(rest)?;
        below.join(name, deeper);
    } else if let Some(after) = rest.strip_prefix('(') {
        *rest = after;
        below = list(rest)?;
        *rest = rest.strip_prefix(')')?;
    }
    Some((name.to_owned(), below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mask_leaves_what_it_names() {
        let whole = json!({"id": 1, "kind": "k", "items": [{"id": 2, "start": {"date": "d", "zone": "z"}, "x": 3}, {"x": 4}]});
        let check = |mask: &str, left: Value| {
            assert_eq!(Mask::parse(mask).unwrap().apply(whole.clone()), left, "{mask}")
        };
        check("id", json!({"id": 1}));
        check("items/id,kind", json!({"kind": "k", "items": [{"id": 2}, {}]}));
        check("items(id,start/date)", json!({"items": [{"id": 2, "start": {"date": "d"}}, {}]}));
        check("items(start(date)),items/x", json!({"items": [{"start": {"date": "d"}, "x": 3}, {"x": 4}]}));
        check("items/id,items", json!({"items": whole["items"]}));
        check("*/id", json!({"id": 1, "kind": "k", "items": [{"id": 2}, {}]}));
        check("*", whole.clone());
        check("other", json!({}));
    }

    #[test]
    fn a_mask_that_makes_no_sense_is_refused() {
        for wrong in ["", ",", "a,", "a(b", "a)b", "a(b))", "a//b", "a()", "a b"] {
            assert_eq!(Mask::parse(wrong), Err(wrong.to_owned()));
        }
    }
}

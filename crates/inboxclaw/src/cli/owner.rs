//! How an owner is named on the command line. Left out: which owners there are (`commands`).

use std::convert::Infallible;
use std::str::FromStr;

use inboxclaw_contract::OwnerKind;

/// `NAME`, or `source:NAME` and `sink:NAME` where a name is both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerArg {
    /// The kind, when it was given.
    pub kind: Option<OwnerKind>,
    /// The name.
    pub name: String,
}

impl FromStr for OwnerArg {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let kinds = [OwnerKind::Source, OwnerKind::Sink];
        let found = kinds.into_iter().find_map(|kind| {
            let name = text.strip_prefix(kind.as_str())?.strip_prefix(':')?;
            Some(Self { kind: Some(kind), name: name.to_owned() })
        });
        Ok(found.unwrap_or_else(|| Self { kind: None, name: text.to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_where_it_stands_in_front() {
        for (text, kind, name) in [
            ("gmail", None, "gmail"),
            ("source:gmail", Some(OwnerKind::Source), "gmail"),
            ("sink:a:b", Some(OwnerKind::Sink), "a:b"),
            ("sources:a", None, "sources:a"),
            ("sink", None, "sink"),
        ] {
            assert_eq!(text.parse(), Ok(OwnerArg { kind, name: name.to_owned() }), "{text}");
        }
    }
}

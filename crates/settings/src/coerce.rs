//! Lax scalars: what settings accept beside the exact type, so that values from environment references and
//! hand-written files work (`"8001"`, `80.0`, `yes`).
//!
//! Used on fields as `#[serde(deserialize_with = "coerce::lax")]`. Left out: intervals and event patterns, which
//! have types of their own.

use std::fmt;
use std::marker::PhantomData;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, SeqAccess, Visitor};

/// Most characters of a text that an error shows.
const SHOWN: usize = 40;

/// Deserializes a scalar, or an `Option` of one, by the rules of its [`Lax`]. An optional field needs
/// `#[serde(default)]` too, or it becomes required.
///
/// # Errors
///
/// Names what is accepted and what was found.
pub fn lax<'de, T: Lax, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(LaxVisitor(PhantomData))
}

/// Deserializes a list of strings, where one string stands for a list of one. `Option` as for [`lax`]. Say
/// `#[schemars(schema_with = "coerce::one_or_many_schema")]` beside it.
///
/// # Errors
///
/// Names what is accepted and what was found.
pub fn one_or_many<'de, T: OneOrMany, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    lax(deserializer)
}

/// The schema of a field read by [`one_or_many`].
pub fn one_or_many_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
}

/// A type that accepts more than its own form.
pub trait Lax: Sized {
    /// Whether lists of strings are accepted; other lists never are.
    const LISTS: bool = false;

    /// Takes the value found.
    ///
    /// # Errors
    ///
    /// A text for the person who wrote the value, see [`Found::instead_of`].
    fn lax(found: Found<'_>) -> Result<Self, String>;
}

/// A type that [`one_or_many`] makes.
pub trait OneOrMany: Lax {}

impl OneOrMany for Vec<String> {}
impl OneOrMany for Option<Vec<String>> {}

/// What stands where a value is expected.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<'a> {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a point or an exponent.
    Float(f64),
    /// A string.
    Text(&'a str),
    /// A list of strings, only for types that accept it.
    Texts(Vec<String>),
    /// Any list, for types that accept none.
    List,
    /// A mapping.
    Map,
}

impl Found<'_> {
    /// The text `expected X, found Y`.
    #[must_use]
    pub fn instead_of(&self, expected: impl fmt::Display) -> String {
        format!("expected {expected}, found {self}")
    }

    /// The number, where a number, a numeric string or a boolean (1 or 0) was found.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Bool(value) => Some(f64::from(u8::from(*value))),
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Null | Self::Texts(_) | Self::List | Self::Map => None,
        }
    }

    /// The whole number, without rounding.
    fn integer(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Text(text) => text.trim().parse().ok().or_else(|| self.number().and_then(whole)),
            _ => self.number().and_then(whole),
        }
    }
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(text) => write!(f, "{:?}", shown(text)),
            Self::Texts(_) | Self::List => f.write_str("a list"),
            Self::Map => f.write_str("a mapping"),
        }
    }
}

macro_rules! lax_integers {
    ($($type:ty),*) => {$(
        impl Lax for $type {
            fn lax(found: Found<'_>) -> Result<Self, String> {
                found.integer().and_then(|value| Self::try_from(value).ok()).ok_or_else(|| {
                    found.instead_of(format_args!("a whole number from {} to {}", Self::MIN, Self::MAX))
                })
            }
        }
    )*};
}

lax_integers!(u8, u16, u32, u64, usize, i32, i64);

impl Lax for f64 {
    fn lax(found: Found<'_>) -> Result<Self, String> {
        found.number().filter(|value| value.is_finite()).ok_or_else(|| found.instead_of("a number"))
    }
}

impl Lax for bool {
    fn lax(found: Found<'_>) -> Result<Self, String> {
        let value = match &found {
            Found::Bool(value) => Some(*value),
            Found::Int(value) => {
                [(0, false), (1, true)].into_iter().find(|(n, _)| n == value).map(|(_, value)| value)
            }
            Found::Text(text) => match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "true" | "1" | "t" | "y" => Some(true),
                "no" | "off" | "false" | "0" | "f" | "n" => Some(false),
                _ => None,
            },
            _ => None,
        };
        value.ok_or_else(|| found.instead_of("true or false (or yes, no, on, off, 1, 0)"))
    }
}

/// Strings only: a number or a boolean is never turned into a string, because YAML has changed its form already.
impl Lax for String {
    fn lax(found: Found<'_>) -> Result<Self, String> {
        match found {
            Found::Text(text) => Ok(text.to_owned()),
            _ => Err(found.instead_of("a string")),
        }
    }
}

impl Lax for Vec<String> {
    const LISTS: bool = true;

    fn lax(found: Found<'_>) -> Result<Self, String> {
        match found {
            Found::Text(text) => Ok(vec![text.to_owned()]),
            Found::Texts(texts) => Ok(texts),
            _ => Err(found.instead_of("a string or a list of strings")),
        }
    }
}

impl<T: Lax> Lax for Option<T> {
    const LISTS: bool = T::LISTS;

    fn lax(found: Found<'_>) -> Result<Self, String> {
        if found == Found::Null { Ok(None) } else { T::lax(found).map(Some) }
    }
}

/// The beginning of a text, short enough for an error.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// The float as a whole number, if it is one that floats hold exactly.
fn whole(value: f64) -> Option<i128> {
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i128)
}

/// Answers every kind of value itself, so that the error is made where the deserializer still knows the place.
struct LaxVisitor<T>(PhantomData<T>);

impl<T: Lax> LaxVisitor<T> {
    fn take<E: de::Error>(found: Found<'_>) -> Result<T, E> {
        T::lax(found).map_err(E::custom)
    }
}

impl<'de, T: Lax> Visitor<'de> for LaxVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_unit<E: de::Error>(self) -> Result<T, E> {
        Self::take(Found::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<T, E> {
        Self::take(Found::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<T, E> {
        Self::take(Found::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        Self::take(Found::Int(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        Self::take(Found::Int(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        Self::take(Found::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
        Self::take(Found::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        if !T::LISTS {
            return Self::take(Found::List);
        }
        let mut texts = Vec::new();
        while let Some(Item(text)) = list.next_element()? {
            texts.push(text);
        }
        Self::take(Found::Texts(texts))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, _: A) -> Result<T, A::Error> {
        Self::take(Found::Map)
    }
}

struct Item(String);

impl<'de> de::Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lax(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Lax>(json: &str) -> Result<T, String> {
        lax(&mut serde_json::Deserializer::from_str(json)).map_err(|error| {
            let text = error.to_string();
            text.split(" at line").next().unwrap_or_default().to_owned()
        })
    }

    fn refused<T: Lax + fmt::Debug>(cases: &[(&str, &str)]) {
        for (json, message) in cases {
            assert_eq!(read::<T>(json).unwrap_err(), *message, "{json}");
        }
    }

    #[test]
    fn whole_numbers() {
        for json in ["8001", "8001.0", "\"8001\"", "\" 8001 \"", "\"8001.0\""] {
            assert_eq!(read::<u16>(json), Ok(8001), "{json}");
        }
        assert_eq!([read::<u64>("true"), read::<u64>("false")], [Ok(1), Ok(0)]);
        assert_eq!(read::<i64>("-3"), Ok(-3));
        assert_eq!(read::<u64>("\"18446744073709551615\""), Ok(u64::MAX));
        refused::<u16>(&[
            ("8001.5", "expected a whole number from 0 to 65535, found 8001.5"),
            ("\"7d\"", "expected a whole number from 0 to 65535, found \"7d\""),
            ("null", "expected a whole number from 0 to 65535, found null"),
            ("65536", "expected a whole number from 0 to 65535, found 65536"),
            ("-1", "expected a whole number from 0 to 65535, found -1"),
            ("[1]", "expected a whole number from 0 to 65535, found a list"),
            ("{}", "expected a whole number from 0 to 65535, found a mapping"),
        ]);
        // A float beyond 2^53 may stand for several integers.
        assert!(read::<i64>("1e300").is_err());
        assert!(read::<i64>("9007199254740994.0").is_err());
    }

    #[test]
    fn booleans() {
        for json in ["true", "1", "\"Yes\"", "\"ON\"", "\"t\"", "\"y\"", "\"1\"", "\"TRUE\"", "\"True\""] {
            assert_eq!(read::<bool>(json), Ok(true), "{json}");
        }
        for json in ["false", "0", "\"no\"", "\"Off\"", "\"F\"", "\"n\"", "\"0\"", "\"FALSE\""] {
            assert_eq!(read::<bool>(json), Ok(false), "{json}");
        }
        let expected = "expected true or false (or yes, no, on, off, 1, 0), found ";
        for (json, found) in [
            ("2", "2"),
            ("\"maybe\"", "\"maybe\""),
            ("\"\"", "\"\""),
            ("null", "null"),
            ("1.0", "1.0"),
            ("[true]", "a list"),
        ] {
            assert_eq!(read::<bool>(json).unwrap_err(), format!("{expected}{found}"));
        }
    }

    #[test]
    fn floats_are_finite() {
        for json in ["1.5", "\"1.5\"", "\" 15e-1\""] {
            assert_eq!(read::<f64>(json), Ok(1.5), "{json}");
        }
        assert_eq!(read::<Option<f64>>("null"), Ok(None));
        refused::<f64>(&[
            ("\"nan\"", "expected a number, found \"nan\""),
            ("\"inf\"", "expected a number, found \"inf\""),
            ("null", "expected a number, found null"),
        ]);
    }

    #[test]
    fn strings_are_never_made_of_something_else() {
        assert_eq!(read::<String>("\"5\""), Ok("5".to_owned()));
        assert_eq!(read::<String>("\"\""), Ok(String::new()));
        refused::<String>(&[
            ("5", "expected a string, found 5"),
            ("1.5", "expected a string, found 1.5"),
            ("true", "expected a string, found true"),
            ("null", "expected a string, found null"),
            ("[\"a\"]", "expected a string, found a list"),
        ]);
    }

    #[test]
    fn one_string_is_a_list_of_one() {
        assert_eq!(read::<Vec<String>>("\"a\""), Ok(vec!["a".to_owned()]));
        assert_eq!(read::<Vec<String>>("[\"a\",\"b\"]"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(read::<Vec<String>>("[]"), Ok(Vec::new()));
        assert_eq!(read::<Option<Vec<String>>>("null"), Ok(None));
        refused::<Vec<String>>(&[
            ("5", "expected a string or a list of strings, found 5"),
            ("null", "expected a string or a list of strings, found null"),
            ("[\"a\",5]", "expected a string, found 5"),
            ("[\"a\",true]", "expected a string, found true"),
            ("[null]", "expected a string, found null"),
            ("{}", "expected a string or a list of strings, found a mapping"),
            ("[[\"a\"]]", "expected a string, found a list"),
        ]);
    }

    #[test]
    fn errors_show_only_the_beginning_of_a_long_text() {
        let message = read::<u64>(&format!("\"{}\"", "x".repeat(1000))).unwrap_err();
        assert!(message.ends_with(&format!("found \"{}…\"", "x".repeat(40))), "{message}");
    }
}

//! JSON as text: checked once, kept byte for byte, parsed only where someone needs the value.
//!
//! `check` holds the rules a text must keep, `format` the writers that change its style. Left out on
//! purpose: a value tree of our own. Who needs one calls [`Json::parse`].

mod check;
mod error;
mod format;
mod merge;
#[cfg(test)]
mod tests;

use std::fmt;

pub use error::JsonError;
pub use format::write_string;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::limits::JSON_BYTES;

/// One JSON value as checked text, which comes back as it went in: big integers, floats, escapes, the order of
/// keys and inner white space. Outer white space is trimmed.
///
/// Two values are equal when their texts are. `Debug` shows the length only and there is no `Display`, because
/// values may be private and must not end up in a log by accident.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Box<str>);

impl Json {
    /// Checks a text and keeps it.
    ///
    /// # Errors
    ///
    /// Whatever [`JsonError`] names, except [`JsonError::Unwritable`].
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, JsonError> {
        let text = text.into();
        let trimmed = text.trim_matches(check::WHITE_SPACE);
        let lead = text.len() - text.trim_start_matches(check::WHITE_SPACE).len();
        if trimmed.len() > JSON_BYTES {
            return Err(JsonError::TooLarge { bytes: trimmed.len(), limit: JSON_BYTES });
        }
        check::check(trimmed).map_err(|error| error.moved_by(lead))?;
        if trimmed.len() == text.len() { Ok(Self(text)) } else { Ok(Self(trimmed.into())) }
    }

    /// Keeps a text that a store took from a `Json` before: checking 16 MiB again at each read would be waste.
    #[doc(hidden)]
    #[must_use]
    pub fn from_store(text: Box<str>) -> Self {
        Self(text)
    }

    /// Writes a Rust value as compact JSON. Like everywhere in serde_json, a float that is not finite becomes `null`.
    ///
    /// # Errors
    ///
    /// [`JsonError::Unwritable`] when the value has no form in JSON; otherwise as [`Json::new`], because a value
    /// may repeat a key, nest too deep or be too large.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        Self::new(serde_json::to_string(value).map_err(JsonError::Unwritable)?)
    }

    /// Parses the text into a Rust value.
    ///
    /// # Errors
    ///
    /// When the text has another shape than `T`, or holds a number that `T` cannot (`1e999` is a valid text).
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let mut text = serde_json::Deserializer::from_str(&self.0);
        // Its own limit is one level lower than ours; the depth of a `Json` is bounded already.
        text.disable_recursion_limit();
        T::deserialize(&mut text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, owned.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0.into()
    }

    /// Length of the text in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a JSON text is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Appends the text without white space outside strings.
    pub fn write_compact(&self, out: &mut String) {
        format::compact(&self.0, out);
    }

    /// Appends the text with `", "` and `": "` between its parts. With `ascii`, characters in strings that are not
    /// printable ASCII become lower-case `\uXXXX` (two of them above U+FFFF): the default style of Python's `json.dumps`.
    pub fn write_spaced(&self, out: &mut String, ascii: bool) {
        format::spaced(&self.0, out, ascii);
    }

    /// Two objects as one: the keys of this one in their order, then the other's; of a key that both have, the value of
    /// `later` counts. Values stay byte for byte. In place of anything but an object comes `later`.
    ///
    /// # Errors
    ///
    /// [`JsonError::TooLarge`].
    pub fn merged(&self, later: &Self) -> Result<Self, JsonError> {
        // Two checked objects make no text that breaks a rule but that of length.
        merge::merged(&self.0, &later.0).map(|text| Self(text.into()))
    }

    /// A list of these values. Whoever makes it keeps to the limits, which it does not check.
    #[doc(hidden)]
    #[must_use]
    pub fn list_of<'a>(items: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = String::from("[");
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                text.push(',');
            }
            text.push_str(item);
        }
        text.push(']');
        Self(text.into())
    }

    /// How many arrays and objects are open at once where it is deepest; 0 for a scalar.
    #[must_use]
    pub fn depth(&self) -> usize {
        merge::depth(&self.0)
    }

    /// Whether the value is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }

    /// The value `null`.
    #[must_use]
    pub fn null() -> Self {
        Self("null".into())
    }

    /// The value `{}`.
    #[must_use]
    pub fn empty_object() -> Self {
        Self("{}".into())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}

/// Embedded verbatim by serde_json; no use with other formats.
impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// Taken verbatim from serde_json; no use with other formats.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Box::<RawValue>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

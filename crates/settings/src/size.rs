//! A number of bytes as people write it: `67108864`, `64 MiB`, `1g`. Units are powers of 1,024.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::coerce::{self, Found, Lax};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size(pub u64);

impl Lax for Size {
    fn lax(found: Found<'_>) -> Result<Self, String> {
        let expected = "a number of bytes or a text such as \"64 MiB\"";
        let Found::Text(text) = found else {
            return u64::lax(found.clone()).map(Self).map_err(|_| found.instead_of(expected));
        };
        let text = text.trim();
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(found.instead_of(expected)),
        };
        let number: u64 = number.parse().map_err(|_| found.instead_of(expected))?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| found.instead_of("a size below 2^64 bytes"))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        coerce::lax(deserializer)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "minimum": 0, "examples": ["64 MiB", 67_108_864] })
    }
}

//! What an unquoted scalar means: the YAML 1.1 rules for null, booleans and numbers, base 60 included.
//! Left out: dates, which stay texts because no setting takes one.

/// The meaning of an unquoted scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Int(i128),
    /// Perhaps not finite.
    Float(f64),
    Text,
}

/// Says what the scalar means.
pub(super) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Plain::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Plain::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Plain::Float(f64::NAN),
        _ => number(text).unwrap_or(Plain::Text),
    }
}

fn number(text: &str) -> Option<Plain> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if let Some(value) = integer(digits) {
        return Some(Plain::Int(if negative { -value } else { value }));
    }
    float(digits).map(|value| Plain::Float(if negative { -value } else { value }))
}

/// A whole number without its sign: decimal, `0x`, `0b`, octal by a leading zero, or base 60 as in `1:30`.
fn integer(text: &str) -> Option<i128> {
    let radix = |digits: &str, radix: u32| {
        let bare = digits.replace('_', "");
        let plain = !bare.is_empty() && digits.chars().all(|c| c == '_' || c.is_digit(radix));
        if plain { i128::from_str_radix(&bare, radix).ok() } else { None }
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0b") {
        return radix(digits, 2);
    }
    if text == "0" {
        return Some(0);
    }
    if let Some(digits) = text.strip_prefix('0') {
        return radix(digits, 8);
    }
    let (first, rest) = text.split_once(':').unwrap_or((text, ""));
    if !first.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let first = radix(first, 10)?;
    if rest.is_empty() {
        return if text.contains(':') { None } else { Some(first) };
    }
    rest.split(':').try_fold(first, |total, part| total.checked_mul(60)?.checked_add(sixtieth(part)?))
}

/// A number with a point, without its sign; an exponent has a sign, as YAML 1.1 wants it.
fn float(text: &str) -> Option<f64> {
    if matches!(text, ".inf" | ".Inf" | ".INF") {
        return Some(f64::INFINITY);
    }
    if let Some((whole, last)) = text.rsplit_once(':') {
        let (seconds, decimals) = last.split_once('.')?;
        let whole = integer(&format!("{whole}:{seconds}"))?;
        let decimals: f64 = format!("0.{}0", unsigned(decimals)?).parse().ok()?;
        return Some(whole as f64 + decimals);
    }
    let (before, after) = text.split_once('.')?;
    let (after, exponent) = match after.split_once(['e', 'E']) {
        Some((after, exponent)) => (after, exponent),
        None => (after, "+0"),
    };
    let power = exponent.strip_prefix(['+', '-'])?;
    let formed = (before.starts_with(|c: char| c.is_ascii_digit())
        || (before.is_empty() && !after.is_empty()))
        && !power.is_empty()
        && power.bytes().all(|byte| byte.is_ascii_digit());
    if !formed {
        return None;
    }
    format!("0{}.{}0e{exponent}", unsigned(before)?, unsigned(after)?).parse().ok()
}

/// One place of a base 60 number: one or two digits below 60.
fn sixtieth(part: &str) -> Option<i128> {
    let formed = matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
    part.parse().ok().filter(|value| formed && *value < 60)
}

/// Decimal digits without their underscores; `None` when there is anything else.
fn unsigned(digits: &str) -> Option<String> {
    digits.chars().all(|c| c == '_' || c.is_ascii_digit()).then(|| digits.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_meaning() {
        for (text, meaning) in [
            ("", Plain::Null),
            ("~", Plain::Null),
            ("yes", Plain::Bool(true)),
            ("OFF", Plain::Bool(false)),
            ("y", Plain::Text),
            ("yEs", Plain::Text),
            ("0", Plain::Int(0)),
            ("-8_001", Plain::Int(-8001)),
            ("+12", Plain::Int(12)),
            ("0x1F", Plain::Int(31)),
            ("0b101", Plain::Int(5)),
            ("017", Plain::Int(15)),
            ("0o17", Plain::Text),
            ("08", Plain::Text),
            ("1:30", Plain::Int(90)),
            ("1:30:00", Plain::Int(5400)),
            ("1:60", Plain::Text),
            ("1:", Plain::Text),
            ("0:30", Plain::Text),
            ("127.0.0.1:80", Plain::Text),
            ("1.5", Plain::Float(1.5)),
            ("-.5", Plain::Float(-0.5)),
            ("1.", Plain::Float(1.0)),
            ("1.5e+3", Plain::Float(1500.0)),
            ("1:30.5", Plain::Float(90.5)),
            ("1.5e3", Plain::Text),
            ("1e3", Plain::Text),
            (".inf", Plain::Float(f64::INFINITY)),
            (".", Plain::Text),
            ("1.2.3", Plain::Text),
            ("7d", Plain::Text),
            ("-", Plain::Text),
            ("_1", Plain::Text),
            ("2026-11-22", Plain::Text),
            ("ž", Plain::Text),
        ] {
            assert_eq!(resolve(text), meaning, "{text}");
        }
        assert!(matches!(resolve(".nan"), Plain::Float(value) if value.is_nan()));
    }
}

//! Leaves out the largest fields of an event resource that is too large to be stored and emitted.

use serde_json::Value;

/// Most bytes of a resource, as JSON. An event may hold two, and a page thousands of them; the service's own are far
/// smaller.
const BYTES: usize = 1 << 20;
/// Where the names of the fields stand that were left out.
const MARK: &str = "trimmed";

/// Leaves out the largest fields of a resource beyond the limit, and says which.
pub(super) fn cut(item: &mut Value) {
    let mut size = length(item);
    let Value::Object(fields) = item else { return };
    if size <= BYTES {
        return;
    }
    let mut by_size: Vec<(usize, String)> =
        fields.iter().map(|(name, field)| (length(field), name.clone())).collect();
    by_size.sort_unstable();
    let mut left_out = Vec::new();
    while size > BYTES
        && let Some((length, name)) = by_size.pop()
    {
        fields.shift_remove(&name);
        size = size.saturating_sub(length);
        left_out.push(Value::from(name));
    }
    fields.insert(MARK.to_owned(), left_out.into());
}

fn length(value: &Value) -> usize {
    serde_json::to_string(value).map_or(0, |text| text.len())
}

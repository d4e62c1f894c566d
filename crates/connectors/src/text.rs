//! Cuts texts to a limit.

/// The text, or its first `limit` characters with `mark` behind them.
pub(crate) fn cut(text: &str, limit: usize, mark: &str) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}{mark}", &text[..end]),
        None => text.to_owned(),
    }
}

/// Leaves of a text no more than `limit` bytes. Says whether it was longer.
pub(crate) fn truncate(text: &mut String, limit: usize) -> bool {
    let is_longer = text.len() > limit;
    if is_longer {
        text.truncate(text.floor_char_boundary(limit));
    }
    is_longer
}

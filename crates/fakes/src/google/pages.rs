//! Pages of a listing and their tokens, regular or as irregular as a test wants them. It holds no data of any service:
//! what a page holds, and what names an item, is up to the models.

use super::api::Request;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::hash::{DefaultHasher, Hash, Hasher};

/// How a listing is cut into pages. The services allow all of it and seldom do it. The default is regular.
#[derive(Debug, Clone, Default)]
pub struct Paging {
    /// No page holds more than this, whatever was asked for.
    pub largest_page: Option<usize>,
    /// So many of the last items of a page come again on the next one (fewer where a page is too small for progress).
    pub overlap: usize,
    /// An item occurs twice on a page of two or more.
    pub duplicates: bool,
    /// Between two pages there is an empty one that has a next token all the same.
    pub empty_pages: bool,
    /// The items of a page come in the opposite order.
    pub reordered: bool,
}

impl Paging {
    /// Everything at once, with pages of three.
    #[must_use]
    pub fn irregular() -> Self {
        Self { largest_page: Some(3), overlap: 1, duplicates: true, empty_pages: true, reordered: true }
    }

    /// Takes a page of at most `size` items from what is left of a listing, and tells where the next one begins.
    pub(crate) fn cut<T: Clone>(
        &self,
        mut rest: impl Iterator<Item = T>,
        size: usize,
        place: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<Token>) {
        let size = size.min(self.largest_page.unwrap_or(size)).max(1);
        let twice = self.duplicates && size > 1;
        let mut items: Vec<T> = rest.by_ref().take(size - usize::from(twice)).collect();
        let next = rest.next().map(|left_out| {
            let back = self.overlap.min(items.len().saturating_sub(1));
            let first = items.len().checked_sub(back).and_then(|index| items.get(index)).unwrap_or(&left_out);
            Token { place: place(first), blank: self.empty_pages }
        });
        items.extend(items.first().cloned().filter(|_| twice));
        if self.reordered {
            items.reverse();
        }
        (items, next)
    }
}

/// What a page token says: where its page begins, and whether an empty page comes before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The first item of the page, as the listing names it; without dots at its end.
    pub(crate) place: String,
    /// The answer to this token is empty and names the same place again.
    pub(crate) blank: bool,
}

/// What a token is good for: the listing, the query that made it, and the time until it expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenScope {
    /// The listing and its query.
    pub(crate) query: u64,
    /// Grows when the tokens of a listing expire.
    pub(crate) epoch: u64,
}

impl TokenScope {
    /// The scope of a listing whose tokens hold only with the parameters that made them. The size of a page and the choice of
    /// fields may change on the way.
    pub(crate) fn of(request: &Request, epoch: u64) -> Self {
        const FREE: [&str; 9] = [
            "pageToken",
            "maxResults",
            "pageSize",
            "fields",
            "alt",
            "prettyPrint",
            "key",
            "quotaUser",
            "access_token",
        ];
        let mut query: Vec<_> =
            request.query.iter().filter(|(name, _)| !FREE.contains(&name.as_str())).collect();
        query.sort();
        Self { query: hash(&(&request.path, query)), epoch }
    }

    /// The scope of a listing whose tokens hold with any parameters, as long as `log` is the same.
    pub(crate) fn of_log(log: &str, epoch: u64) -> Self {
        Self { query: hash(&log), epoch }
    }

    /// The token as the client sees it.
    pub(crate) fn encode(self, token: &Token) -> String {
        let Self { query, epoch } = self;
        let text = format!("{query:x}.{epoch}.{}.{}", u8::from(token.blank), token.place);
        URL_SAFE_NO_PAD.encode(text)
    }

    /// What the token says, if it was made in this scope.
    pub(crate) fn decode(self, text: &str) -> Option<Token> {
        let (scope, token) = read(text)?;
        (scope == self).then_some(token)
    }
}

/// What a token says, in whatever scope it was made.
pub(crate) fn read(text: &str) -> Option<(TokenScope, Token)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let mut parts = text.splitn(4, '.');
    let query = u64::from_str_radix(parts.next()?, 16).ok()?;
    let epoch = parts.next()?.parse().ok()?;
    let blank = parts.next()? == "1";
    let place = parts.next()?.to_owned();
    Some((TokenScope { query, epoch }, Token { place, blank }))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every page of one to `last`, as a client sees them.
    fn pages(paging: &Paging, last: u32, size: usize) -> Vec<Vec<u32>> {
        let (mut from, mut all) = (1, Vec::new());
        loop {
            let (items, next) = paging.cut(from..=last, size, u32::to_string);
            all.push(items);
            let Some(next) = next else { return all };
            from = next.place.parse().unwrap();
        }
    }

    #[test]
    fn regular_pages_hold_everything_once() {
        assert_eq!(pages(&Paging::default(), 5, 2), [vec![1, 2], vec![3, 4], vec![5]]);
        assert_eq!(pages(&Paging::default(), 4, 2), [vec![1, 2], vec![3, 4]]);
        assert_eq!(pages(&Paging::default(), 0, 2), [Vec::<u32>::new()]);
    }

    #[test]
    fn irregular_pages_hold_everything_and_never_too_much() {
        for size in 1..6 {
            for overlap in 0..4 {
                let paging = Paging { largest_page: None, overlap, ..Paging::irregular() };
                let pages = pages(&paging, 20, size);
                assert!(pages.iter().all(|page| page.len() <= size), "{size} {overlap}: {pages:?}");
                let mut seen: Vec<u32> = pages.concat();
                seen.sort_unstable();
                seen.dedup();
                assert_eq!(seen, (1..=20).collect::<Vec<_>>(), "{size} {overlap}");
            }
        }
        let paging = Paging { largest_page: None, ..Paging::irregular() };
        assert_eq!(pages(&paging, 6, 4), [vec![1, 3, 2, 1], vec![3, 5, 4, 3], vec![5, 6, 5]]);
    }

    #[test]
    fn a_token_holds_for_its_query_and_its_time() {
        let request = |query: &[(&str, &str)]| Request::new("files", query);
        let token = Token { place: "7.18c0".to_owned(), blank: true };
        let made = TokenScope::of(&request(&[("q", "a"), ("pageSize", "3")]), 0).encode(&token);
        let open = |query: &[(&str, &str)], epoch| TokenScope::of(&request(query), epoch).decode(&made);
        assert_eq!(open(&[("pageToken", &made), ("q", "a"), ("pageSize", "9")], 0), Some(token));
        assert_eq!(open(&[("q", "b")], 0), None);
        assert_eq!(open(&[("q", "a")], 1), None);
        assert_eq!(TokenScope::of_log("user", 0).decode("nonsense"), None);
    }
}

//! Which path asks for what: the one table of the state API. Paths are matched as they were sent, segment by segment,
//! so that a key may hold a slash (`%2F`). Left out: what the operations mean (`describe`).

use std::borrow::Cow;

use axum::http::Method;
use inboxclaw_contract::OwnerKind;
use percent_encoding::percent_decode_str;

use super::entries::{CURSOR_BODY, VALUE_BODY};

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Owners,
    List,
    Get,
    Put,
    Delete,
    DeleteChosen,
    GetCursor,
    PutCursor,
    DeleteCursor,
    History,
    Undo,
    Rewind,
    Import,
    Export,
    Copy,
    Rename,
    Forget,
    Watch,
    Pause,
    Resume,
}

impl Op {
    /// Whether it changes something: all but what is asked by GET.
    pub(super) fn changes(self) -> bool {
        use Op::{Export, Get, GetCursor, History, List, Owners, Watch};
        !matches!(self, Owners | List | Get | GetCursor | History | Export | Watch)
    }

    /// Whether it may take as long as there are entries.
    pub(super) fn is_long(self) -> bool {
        use Op::{Copy, DeleteChosen, Export, Forget, Import, Rewind, Undo};
        matches!(self, Undo | Rewind | Import | Export | Copy | DeleteChosen | Forget)
    }

    /// Whether a HEAD is answered as a GET; what never ends is not.
    fn answers_head(self) -> bool {
        self != Self::Watch
    }

    /// Most bytes of the request's body, where that is not the same as everywhere.
    pub(super) fn most_bytes(self) -> Option<u64> {
        match self {
            Self::Put => Some(VALUE_BODY),
            Self::PutCursor => Some(CURSOR_BODY),
            Self::Import => Some(u64::MAX),
            _ => None,
        }
    }
}

/// Every route: `{kind}` is `sources` or `sinks`, other parts in braces are one segment of any text.
pub(crate) const ROUTES: [(Method, &str, Op); 20] = [
    (Method::GET, "/api/owners", Op::Owners),
    (Method::DELETE, "/api/{kind}/{name}", Op::Forget),
    (Method::GET, "/api/{kind}/{name}/state", Op::List),
    (Method::DELETE, "/api/{kind}/{name}/state", Op::DeleteChosen),
    (Method::GET, "/api/{kind}/{name}/state/{key}", Op::Get),
    (Method::PUT, "/api/{kind}/{name}/state/{key}", Op::Put),
    (Method::DELETE, "/api/{kind}/{name}/state/{key}", Op::Delete),
    (Method::GET, "/api/{kind}/{name}/cursor", Op::GetCursor),
    (Method::PUT, "/api/{kind}/{name}/cursor", Op::PutCursor),
    (Method::DELETE, "/api/{kind}/{name}/cursor", Op::DeleteCursor),
    (Method::GET, "/api/{kind}/{name}/history", Op::History),
    (Method::POST, "/api/{kind}/{name}/undo", Op::Undo),
    (Method::POST, "/api/{kind}/{name}/rewind", Op::Rewind),
    (Method::POST, "/api/{kind}/{name}/import", Op::Import),
    (Method::GET, "/api/{kind}/{name}/export", Op::Export),
    (Method::POST, "/api/{kind}/{name}/copy", Op::Copy),
    (Method::POST, "/api/{kind}/{name}/rename", Op::Rename),
    (Method::GET, "/api/{kind}/{name}/watch", Op::Watch),
    (Method::POST, "/api/{kind}/{name}/pause", Op::Pause),
    (Method::POST, "/api/{kind}/{name}/resume", Op::Resume),
];

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) kind: OwnerKind,
    pub(super) name: String,
    pub(super) key: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Route(Op, Place),
    /// The path has other methods: these.
    WrongMethod(String),
    /// The path cannot be decoded.
    Malformed(&'static str),
    Nothing,
}

/// Looks up a path as it was sent.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let mut segments = path.split('/');
    let fixed = [segments.next(), segments.next(), segments.next()].map(|raw| raw.map(decoded));
    let [Some(Ok(root)), Some(Ok(api)), Some(Ok(kind))] = &fixed else { return Found::Nothing };
    if !root.is_empty() || api != "api" || !["owners", "sources", "sinks"].contains(&&**kind) {
        return Found::Nothing;
    }
    let rest: Result<Vec<_>, _> = segments.map(decoded).collect();
    let rest = match rest {
        Ok(rest) => rest,
        Err(reason) => return Found::Malformed(reason),
    };
    let fits: Vec<_> = ROUTES.iter().filter(|(_, template, _)| fits(template, kind, &rest)).collect();
    let heads = |of: &Method, op: Op| of == Method::GET && op.answers_head();
    let answers =
        |(of, _, op): &&&(Method, &str, Op)| of == method || method == Method::HEAD && heads(of, *op);
    match fits.iter().find(answers) {
        Some((_, _, op)) => Found::Route(*op, place(kind, rest)),
        None if fits.is_empty() => Found::Nothing,
        None => {
            let allowed = fits
                .iter()
                .flat_map(|(of, _, op)| [of.as_str()].into_iter().chain(heads(of, *op).then_some("HEAD")));
            let allowed: Vec<&str> = allowed.collect();
            Found::WrongMethod(allowed.join(", "))
        }
    }
}

/// Whether a route's path fits a path, which begins with `/api/` and this kind.
fn fits(template: &str, kind: &str, rest: &[Cow<'_, str>]) -> bool {
    let mut wanted = template.split('/').skip(2);
    let kind = match wanted.next() {
        Some("{kind}") => kind == "sources" || kind == "sinks",
        literal => literal == Some(kind),
    };
    let mut found = rest.iter();
    kind && wanted.by_ref().all(|wanted| {
        found.next().is_some_and(|found| match wanted {
            "{name}" => !found.is_empty(),
            "{key}" => true,
            literal => literal == found,
        })
    }) && found.next().is_none()
}

fn place(kind: &str, rest: Vec<Cow<'_, str>>) -> Place {
    let kind = if kind == "sinks" { OwnerKind::Sink } else { OwnerKind::Source };
    let mut rest = rest.into_iter().map(Cow::into_owned);
    let name = rest.next().unwrap_or_default();
    Place { kind, name, key: rest.nth(1).unwrap_or_default() }
}

/// Undoes percent-encoding; unlike in a query, a plus is a plus.
pub(super) fn decoded(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let bytes = text.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    if (0..bytes.len()).any(|at| bytes[at] == b'%' && !(is_hex(at + 1) && is_hex(at + 2))) {
        return Err("a percent sign is not followed by two hexadecimal digits: write it as %25");
    }
    percent_decode_str(text).decode_utf8().map_err(|_| "what is percent-encoded is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Found {
        find(&Method::GET, path)
    }

    #[test]
    fn a_segment_is_decoded_after_the_path_was_split() {
        let place = |kind, name: &str, key: &str| Place { kind, name: name.into(), key: key.into() };
        for (path, op, wanted) in [
            ("/api/sources/s/state/a%2Fb", Op::Get, place(OwnerKind::Source, "s", "a/b")),
            ("/api/sinks/s/state/a+b%20c", Op::Get, place(OwnerKind::Sink, "s", "a+b c")),
            ("/api/sources/m%C3%BCll%20x/state", Op::List, place(OwnerKind::Source, "m\u{fc}ll x", "")),
            ("/api/sources/s/state/%252F", Op::Get, place(OwnerKind::Source, "s", "%2F")),
            ("/%61pi/sources/s/%73tate/state", Op::Get, place(OwnerKind::Source, "s", "state")),
            ("/api/sources/s/state/", Op::Get, place(OwnerKind::Source, "s", "")),
            ("/api/sources/state/state/state", Op::Get, place(OwnerKind::Source, "state", "state")),
        ] {
            assert_eq!(get(path), Found::Route(op, wanted), "{path}");
        }
        assert!(matches!(get("/api/owners"), Found::Route(Op::Owners, _)));
    }

    #[test]
    fn other_paths_are_none_of_ours() {
        for path in [
            "/",
            "/api",
            "/api/sources",
            "/api/sources/",
            "/api/sources//state",
            "/api/owners/",
            "/api/owners/x",
            "/api/events/1",
            "/api%2Fsources/s/state",
            "/api/sources/s/state/a/b",
            "/api/sources/s/nothing",
            "/x/sources/s/state",
            "/%FF",
            "x/api/sources/s",
        ] {
            assert_eq!(get(path), Found::Nothing, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_said() {
        for path in
            ["/api/sources/%FF", "/api/sources/s/state/%", "/api/sources/s/state/%4", "/api/sinks/%zz"]
        {
            assert!(matches!(get(path), Found::Malformed(_)), "{path}");
        }
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        let allowed = |path| match find(&Method::PATCH, path) {
            Found::WrongMethod(allowed) => allowed,
            other => panic!("{other:?}"),
        };
        assert_eq!(allowed("/api/sources/s/state/k"), "GET, HEAD, PUT, DELETE");
        assert_eq!(allowed("/api/sources/s"), "DELETE");
        assert_eq!(allowed("/api/owners"), "GET, HEAD");
        assert_eq!(allowed("/api/sources/s/watch"), "GET");
        assert!(matches!(find(&Method::HEAD, "/api/sources/s/state"), Found::Route(Op::List, _)));
        assert!(matches!(find(&Method::HEAD, "/api/sources/s/watch"), Found::WrongMethod(_)));
    }
}

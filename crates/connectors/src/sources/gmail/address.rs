//! Addresses in the headers of mail: the first of a list, read as leniently as mail programs write them.
//!
//! Encoded words (`=?UTF-8?…?=`) stay as they are: templates and filters have always seen them so. Left out: the
//! other addresses of a list.

use serde::Serialize;

/// What ends an atom: the specials of RFC 5322 and white space.
const SPECIALS: &str = "()<>@,:;.\\\"[] \t\r\n";

/// Somebody as a header names them. Both parts are empty where the header names nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Address {
    /// The name for people.
    pub(super) name: String,
    /// The mail address.
    pub(super) email: String,
}

impl Address {
    /// The first address of a header.
    pub(super) fn first(header: &str) -> Self {
        let mut reader = Reader { chars: header.chars().collect(), at: 0, comments: Vec::new() };
        while reader.peek().is_some() {
            let address = reader.address();
            if address != Self::default() {
                return address;
            }
        }
        Self::default()
    }
}

/// Reads a header. What is not closed ends with the header.
struct Reader {
    chars: Vec<char>,
    at: usize,
    /// Comments met since the address began.
    comments: Vec<String>,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// Takes `wanted` if it comes next.
    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// One address, or nothing where one is missing; always moves on. The name of a group (`team: a@b, c@d;`) is
    /// passed over, so its members are addresses of the list.
    fn address(&mut self) -> Address {
        self.comments.clear();
        self.space();
        let start = self.at;
        let words = self.phrase();
        let address = match self.peek() {
            Some('.' | '@') => {
                self.at = start;
                self.comments.clear();
                let email = self.addr_spec();
                self.space();
                Address { name: self.comments.join(" "), email }
            }
            Some(':') => {
                self.at += 1;
                return Address::default();
            }
            Some('<') => {
                let email = self.route();
                self.space();
                Address { name: self.named(&words), email }
            }
            _ => {
                Address { name: self.comments.join(" "), email: words.into_iter().next().unwrap_or_default() }
            }
        };
        self.space();
        // What follows an address and is no comma begins the next one, unless nobody could read it.
        if !self.take(',') && (self.at == start || self.peek().is_some_and(|next| ")>;:]\\".contains(next))) {
            self.at += 1;
        }
        address
    }

    /// A name with the comments behind it in parentheses.
    fn named(&self, words: &[String]) -> String {
        let name = words.join(" ");
        match (name.is_empty(), self.comments.is_empty()) {
            (_, true) => name,
            (true, false) => self.comments.join(" "),
            (false, false) => format!("{name} ({})", self.comments.join(" ")),
        }
    }

    /// Passes over white space and comments; says whether there was white space.
    fn space(&mut self) -> bool {
        let mut white = false;
        while let Some(next) = self.peek() {
            if next == '(' {
                let comment = self.comment();
                self.comments.push(comment);
            } else if matches!(next, ' ' | '\t' | '\r' | '\n') {
                (white, self.at) = (true, self.at + 1);
            } else {
                break;
            }
        }
        white
    }

    /// The words before an address.
    fn phrase(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        loop {
            self.space();
            match self.peek() {
                Some('"') => words.push(self.quoted()),
                // A dot is fine within a name: `J. Doe`.
                Some(next) if !SPECIALS.contains(next) => words.push(self.atom(true)),
                _ => return words,
            }
        }
    }

    fn atom(&mut self, dots: bool) -> String {
        let rest = self.chars[self.at..].iter();
        let atom: String =
            rest.take_while(|next| (dots && **next == '.') || !SPECIALS.contains(**next)).collect();
        self.at += atom.chars().count();
        atom
    }

    /// What stands in quotes, without them.
    fn quoted(&mut self) -> String {
        self.at += 1;
        let mut text = String::new();
        while let Some(next) = self.peek() {
            self.at += 1;
            match next {
                '"' => break,
                '\r' => {}
                '\\' => text.extend(self.escaped()),
                next => text.push(next),
            }
        }
        text
    }

    /// What stands in parentheses, which may hold others.
    fn comment(&mut self) -> String {
        let (mut text, mut depth) = (String::new(), 0_usize);
        while let Some(next) = self.peek() {
            self.at += 1;
            match next {
                '\\' => {
                    text.extend(self.escaped());
                    continue;
                }
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth > 1 || next != '(' {
                text.push(next);
            }
        }
        text
    }

    fn escaped(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    /// An address in angle brackets, with the route before it that RFC 822 allowed.
    fn route(&mut self) -> String {
        self.at += 1;
        loop {
            self.space();
            match self.peek() {
                None => return String::new(),
                Some('>') => {
                    self.at += 1;
                    return String::new();
                }
                Some('@') => {
                    self.at += 1;
                    self.domain();
                }
                Some(',' | ':') => self.at += 1,
                Some(_) => break,
            }
        }
        let email = self.addr_spec();
        while self.peek().is_some_and(|next| next != '>' && next != ',') {
            self.at += 1;
        }
        self.take('>');
        email
    }

    /// `local@domain`, or only a local part; nothing when the domain is unusable.
    fn addr_spec(&mut self) -> String {
        let mut local = String::new();
        let mut gap = self.space();
        while let Some(next) = self.peek() {
            let part = match next {
                '.' => {
                    self.at += 1;
                    ".".to_owned()
                }
                '"' => format!("\"{}\"", self.quoted().replace('\\', "\\\\").replace('"', "\\\"")),
                next if SPECIALS.contains(next) => break,
                _ => self.atom(false),
            };
            // Blanks around a dot mean nothing, between words they part them.
            if gap && part != "." && !local.is_empty() && !local.ends_with('.') {
                local.push(' ');
            }
            local.push_str(&part);
            gap = self.space();
        }
        if !self.take('@') {
            return local;
        }
        let domain = self.domain();
        if domain.is_empty() { String::new() } else { format!("{local}@{domain}") }
    }

    fn domain(&mut self) -> String {
        let mut domain = String::new();
        loop {
            self.space();
            match self.peek() {
                Some('[') => {
                    let rest = self.chars[self.at..].iter();
                    let end = rest.clone().position(|next| *next == ']').map_or(rest.len(), |end| end + 1);
                    domain.extend(&self.chars[self.at..self.at + end]);
                    self.at += end;
                }
                Some('.') => {
                    self.at += 1;
                    domain.push('.');
                }
                // Two of them are an attempt to pass for somebody else.
                Some('@') => {
                    while self.peek().is_some_and(|next| next != ',' && next != '>') {
                        self.at += 1;
                    }
                    return String::new();
                }
                Some(next) if !SPECIALS.contains(next) => domain.push_str(&self.atom(false)),
                _ => return domain,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_is_read_as_mail_programs_write_it() {
        for (header, name, email) in [
            ("Jane Doe <j@x.org>", "Jane Doe", "j@x.org"),
            ("\"Doe, Jane\" <j@x.org>", "Doe, Jane", "j@x.org"),
            ("j@x.org (Jane)", "Jane", "j@x.org"),
            ("undisclosed-recipients:;", "", ""),
            ("undisclosed-recipients: ;", "", ""),
            ("", "", ""),
            ("  \r\n ", "", ""),
            ("plain name", "", "plain"),
            ("Jane <j@x.org", "Jane", "j@x.org"),
            ("Jane <j@x.org>, Bob <b@x.org>", "Jane", "j@x.org"),
            ("j@x.org,b@x.org", "", "j@x.org"),
            (" , j@x.org", "", "j@x.org"),
            ("Doe, Jane <j@x.org>", "", "Doe"),
            ("<j@x.org>", "", "j@x.org"),
            ("Jane <>", "Jane", ""),
            ("team: Jane <j@x.org>, b@x.org;", "Jane", "j@x.org"),
            ("=?UTF-8?Q?J=C3=A4ne?= <j@x.org>", "=?UTF-8?Q?J=C3=A4ne?=", "j@x.org"),
            ("J. R. \"Q\" Doe <j@x.org>", "J. R. Q Doe", "j@x.org"),
            ("Jane (home) <j@x.org>", "Jane (home)", "j@x.org"),
            ("Jane <j@x.org> (home (new))", "Jane (home (new))", "j@x.org"),
            ("\"Jane \\\"J\\\" Doe\" <j@x.org>", "Jane \"J\" Doe", "j@x.org"),
            ("\"j d\"@x.org", "", "\"j d\"@x.org"),
            ("j . d @ x . org", "", "j.d@x.org"),
            ("Jäne Dö <j@x.org>", "Jäne Dö", "j@x.org"),
            ("Jane\r\n Doe\r\n\t<j@x.org>", "Jane Doe", "j@x.org"),
            ("<@relay.org:j@x.org>", "", "j@x.org"),
            ("root@[10.0.0.1]", "", "root@[10.0.0.1]"),
            ("j@x.org@evil.org", "", ""),
            ("j@x.org <other@x.org>", "", "j@x.org"),
        ] {
            let wanted = Address { name: name.to_owned(), email: email.to_owned() };
            assert_eq!(Address::first(header), wanted, "{header:?}");
        }
    }

    #[test]
    fn any_text_comes_to_an_end() {
        let parts = ["(", ")", "<", ">", "@", ",", ":", ";", ".", "\\", "\"", "[", "]", " ", "a", "ä"];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            texts =
                texts.iter().flat_map(|text| parts.iter().map(move |part| format!("{text}{part}"))).collect();
            texts.iter().for_each(|text| drop(Address::first(text)));
        }
    }
}

//! The page that a browser shows at the end: plain words, no scripts, nothing from elsewhere.

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    status: &'static str,
    head: &'static str,
    text: String,
}

impl Page {
    /// It worked.
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self { status: "200 OK", head: "It worked", text: text.into() }
    }

    /// It did not, for this reason.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { status: "400 Bad Request", head: "It did not work", text: text.into() }
    }

    /// There is nothing at the address.
    pub(super) fn none() -> Self {
        Self { status: "404 Not Found", head: "Nothing here", text: "This address shows nothing.".to_owned() }
    }

    /// The request is none that a browser sends after consent.
    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self { status: "403 Forbidden", head: "Not here", text: text.into() }
    }

    /// The whole answer, after which the connection ends.
    pub(super) fn answer(&self) -> String {
        let (head, text) = (self.head, escaped(&self.text));
        let body = format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Inboxclaw: {head}</title>\n\
             <body style=\"font: 1.1rem sans-serif; max-width: 36em; margin: 4em auto; padding: 0 1em\">\n\
             <h1>{head}</h1>\n<p>{text}</p>\n<p>You can close this window.</p>\n</body></html>\n"
        );
        format!(
            "HTTP/1.1 {}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
             content-security-policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n\
             x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\ncache-control: no-store\r\n\
             connection: close\r\n\r\n{body}",
            self.status,
            body.len()
        )
    }
}

fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_words_stay_words() {
        let answer = Page::bad("<script>alert('a' & \"b\")</script>").answer();
        assert!(
            answer.contains("&lt;script&gt;alert(&#39;a&#39; &amp; &quot;b&quot;)&lt;/script&gt;"),
            "{answer}"
        );
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"));
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
        assert!(body.contains("It did not work") && body.contains("You can close this window."));
    }
}

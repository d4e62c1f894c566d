//! `google`: consent with a browser and by hand, what goes wrong on the way, and the list of calendars. The account is
//! a stand-in; the browser is a request over TCP that is sent where the one before says.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use inboxclaw_fakes::google::{Fake, Options};
use reqwest::Url;
use serde_json::{Value, json};

use crate::support::{Place, Ran};

const GMAIL: &str = "https://www.googleapis.com/auth/gmail.readonly";
const CALENDAR: &str = "https://www.googleapis.com/auth/calendar.readonly";

/// A place with the credentials file of a client of `fake`.
fn place(fake: &Fake) -> Place {
    let place = Place::new();
    fake.credentials_file(&place.path("client.json")).unwrap();
    place
}

fn fake() -> Fake {
    Fake::spawn(Options::default()).unwrap()
}

/// `google auth` that waits for its answer.
struct Asking {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
    /// The address that it shows.
    url: String,
}

impl Asking {
    fn start(place: &Place, more: &[&str]) -> Self {
        let args = ["google", "auth", "--credentials-file", "client.json", "--token", "new/token.json"];
        let mut command = place.command(&[&args, more].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut asking = Self { child, stderr, said: String::new(), url: String::new() };
        while asking.url.is_empty() {
            let from = asking.said.len();
            assert!(asking.stderr.read_line(&mut asking.said).unwrap() > 0, "it ended: {}", asking.said);
            let line = asking.said[from..].trim_end();
            if line.starts_with("http") {
                line.clone_into(&mut asking.url);
            }
        }
        asking
    }

    fn parameters(&self) -> HashMap<String, String> {
        Url::parse(&self.url).unwrap().query_pairs().into_owned().collect()
    }

    /// Where the consent page sends the browser.
    fn redirect(&self) -> Url {
        let answer = get(&Url::parse(&self.url).unwrap());
        assert_eq!(answer.status, 302, "{answer:?}");
        Url::parse(&answer.location).unwrap()
    }

    fn paste(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn end(mut self) -> Ran {
        self.stderr.read_to_string(&mut self.said).unwrap();
        let ran = Place::ran(self.child.wait_with_output().unwrap());
        Ran { err: self.said, ..ran }
    }
}

#[derive(Debug)]
struct Got {
    status: u16,
    location: String,
    body: String,
}

fn get(url: &Url) -> Got {
    get_as(url, &format!("{}:{}", url.host_str().unwrap(), url.port().unwrap()))
}

fn get_as(url: &Url, host: &str) -> Got {
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, url.port().unwrap())).unwrap();
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let location = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("location").then(|| value.to_owned())
    });
    Got { status, location: location.unwrap_or_default(), body: body.to_owned() }
}

/// Holds the port that redirects go to, or finds it held by somebody else.
fn hold_port() -> Option<TcpListener> {
    let begin = Instant::now();
    // Another test may have it for a moment.
    while begin.elapsed() < Duration::from_secs(10) {
        if let Ok(held) = TcpListener::bind((Ipv4Addr::LOCALHOST, 8765)) {
            return Some(held);
        }
        std::thread::yield_now();
    }
    None
}

#[test]
fn consent_in_a_browser_ends_with_a_token_file_that_works() {
    let fake = fake();
    let place = place(&fake);
    let asking = Asking::start(&place, &["--scopes", "gmail,calendar"]);
    let asked = asking.parameters();
    for (name, value) in [
        ("response_type", "code"),
        ("scope", &format!("{GMAIL} {CALENDAR}")),
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    let redirect = asking.redirect();
    assert!(redirect.as_str().starts_with(&asked["redirect_uri"]), "{redirect}");

    assert_eq!(get(&redirect.join("/favicon.ico").unwrap()).status, 404);
    assert_eq!(get_as(&redirect, "evil.example").status, 403);
    let page = get(&redirect);
    assert_eq!(page.status, 200, "{page:?}");
    assert!(
        page.body.contains("It worked") && page.body.contains("You can close this window."),
        "{}",
        page.body
    );

    let ran = asking.end();
    assert_eq!(ran.code, 0, "{ran:?}");
    let path = place.path("new/token.json").canonicalize().unwrap();
    assert!(ran.out.contains(&path.display().to_string()), "{}", ran.out);
    assert!(ran.out.contains(GMAIL) && ran.out.contains(CALENDAR), "{}", ran.out);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let file: Value = serde_json::from_str(&place.read("new/token.json")).unwrap();
    assert_eq!(file["scopes"], json!([GMAIL, CALENDAR]));
    assert_eq!(file["token_uri"], json!(fake.token_uri()));
    assert!(file["refresh_token"].as_str().is_some_and(|token| !token.is_empty()), "{file}");

    // Also once the access token has expired: the refresh token is good.
    fake.tokens().expire_access();
    let listed = place.run(&[
        "google",
        "list-calendars",
        "--token-file",
        "new/token.json",
        "--api-root",
        &fake.base(),
    ]);
    assert_eq!(listed.code, 0, "{listed:?}");
}

#[test]
fn what_was_not_granted_is_said_and_not_stored() {
    let fake = fake();
    fake.tokens().unticked = vec![CALENDAR.to_owned()];
    let place = place(&fake);
    let asking = Asking::start(&place, &["--scopes", "gmail,calendar", "--json"]);
    let page = get(&asking.redirect());
    assert!(page.body.contains(&format!("not granted: {CALENDAR}")), "{}", page.body);
    let ran = asking.end();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains(&format!("not granted: {CALENDAR}")), "{}", ran.err);
    let path = place.path("new/token.json").canonicalize().unwrap();
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer, json!({ "path": path, "scopes": [GMAIL] }));
    let file: Value = serde_json::from_str(&place.read("new/token.json")).unwrap();
    assert_eq!(file["scopes"], json!([GMAIL]));
}

#[test]
fn the_address_of_the_last_page_can_be_pasted() {
    let fake = fake();
    let place = place(&fake);
    let mut asking = Asking::start(&place, &["--scopes", "gmail", "--paste"]);
    let redirect = asking.redirect();
    asking.paste(&format!("\n  \"{redirect}#\" \n"));
    let ran = asking.end();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(place.has("new/token.json"));
}

#[test]
fn a_pasted_text_that_is_no_answer_ends_it() {
    let fake = fake();
    let place = place(&fake);
    let state = |redirect: &Url| redirect.as_str().replace("state=", "state=x");
    for (text, why) in [
        (|_: &Url| "nothing\n".to_owned(), "that is no address: it has to begin with http://127.0.0.1:"),
        (|_| "https://evil.example/?code=1\n".to_owned(), "that is another address: "),
        (
            |redirect| format!("{}x?{}\n", redirect.join("/").unwrap(), redirect.query().unwrap()),
            "that is another address: ",
        ),
        (|redirect| format!("{}\n", redirect.join("/").unwrap()), "that address holds no code: "),
        (|_| String::new(), "standard input ended without an address"),
    ] as [(fn(&Url) -> String, &str); 5]
    {
        let mut asking = Asking::start(&place, &["--scopes", "gmail", "--paste"]);
        let text = text(&asking.redirect());
        asking.paste(&text);
        drop(asking.child.stdin.take());
        let ran = asking.end();
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
        assert!(ran.err.lines().last().is_some_and(|line| line.starts_with(why)), "{}", ran.err);
    }
    let mut asking = Asking::start(&place, &["--scopes", "gmail", "--paste"]);
    let foreign = state(&asking.redirect());
    asking.paste(&format!("{foreign}\n"));
    let ran = asking.end();
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("that is the answer to another request"), "{}", ran.err);
    assert!(!place.has("new"), "nothing was stored");
}

#[test]
fn a_browser_with_an_answer_to_another_request_ends_nothing() {
    let fake = fake();
    let place = place(&fake);
    let asking = Asking::start(&place, &["--scopes", "gmail"]);
    let redirect = asking.redirect();
    for foreign in
        ["/?state=guessed&code=stolen", "/?code=stolen", "/?state=guessed&error=access_denied", "/?"]
    {
        let page = get(&redirect.join(foreign).unwrap());
        assert_eq!(page.status, 400, "{foreign}");
        assert!(page.body.contains("It did not work"), "{}", page.body);
    }
    assert_eq!(get(&redirect).status, 200);
    let ran = asking.end();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("still waiting: that is the answer to another request"), "{}", ran.err);
    assert!(place.has("new/token.json"));
}

#[test]
fn refused_consent_is_said_to_the_browser_and_in_the_terminal() {
    let fake = fake();
    fake.tokens().refuse_consent = true;
    let place = place(&fake);
    let asking = Asking::start(&place, &["--scopes", "gmail"]);
    let redirect = asking.redirect();
    let page = get(&redirect
        .join(&format!("/?{}&error_description=%3Cb%3Ehi%1b", redirect.query().unwrap()))
        .unwrap());
    assert_eq!(page.status, 400);
    assert!(page.body.contains("onsent was refused (access_denied): &lt;b&gt;hi"), "{}", page.body);
    let ran = asking.end();
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(
        ran.err.contains("consent was refused (access_denied): <b>hi\\u001b; nothing was stored"),
        "{}",
        ran.err
    );
    assert!(!place.has("new"));
}

#[test]
fn a_code_that_is_not_taken_leaves_the_old_file_as_it_was() {
    let fake = fake();
    let place = place(&fake);
    std::fs::create_dir(place.path("new")).unwrap();
    place.write("new/token.json", "old");
    let asking = Asking::start(&place, &["--scopes", "gmail"]);
    let state = &asking.parameters()["state"];
    let page = get(&asking.redirect().join(&format!("/?state={state}&code=wrong")).unwrap());
    assert_eq!(page.status, 400);
    assert!(page.body.contains("Malformed auth code."), "{}", page.body);
    let ran = asking.end();
    assert_eq!(ran.code, 1, "{ran:?}");
    let last = ran.err.lines().last().unwrap();
    assert!(last.starts_with("Failed to fetch token: ") && last.contains("invalid_grant"), "{last}");
    assert_eq!(place.read("new/token.json"), "old");
}

#[test]
fn a_taken_port_matters_to_web_clients_only() {
    let fake = fake();
    let place = place(&fake);
    let _held = hold_port();
    let asking = Asking::start(&place, &["--scopes", "gmail"]);
    assert_ne!(asking.parameters()["redirect_uri"], "http://127.0.0.1:8765/");
    assert_eq!(get(&asking.redirect()).status, 200);
    assert_eq!(asking.end().code, 0);

    let web = place.read("client.json").replacen("installed", "web", 1);
    place.write("client.json", &web);
    let args =
        ["google", "auth", "--credentials-file", "client.json", "--token", "b.json", "--scopes", "gmail"];
    let ran = place.run(&args);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.err.starts_with("cannot listen on port 8765: ") && ran.err.contains("--paste"),
        "{}",
        ran.err
    );

    let mut asking = Asking::start(&place, &["--scopes", "gmail", "--paste"]);
    assert_eq!(asking.parameters()["redirect_uri"], "http://127.0.0.1:8765/");
    let redirect = asking.redirect();
    asking.paste(&format!("{redirect}\n"));
    assert_eq!(asking.end().code, 0);
}

#[test]
fn what_is_wrong_with_the_command_line_is_said_before_anybody_is_asked() {
    let place = place(&fake());
    place.write("robot.json", "{\"type\": \"service_account\"}");
    let run = |file: &str, scopes: &str, token: &str| {
        place.run(&["google", "auth", "--credentials-file", file, "--scopes", scopes, "--token", token])
    };
    for (ran, code, message) in [
        (run("nowhere.json", "gmail", "t"), 2, "No such file"),
        (run(".", "gmail", "t"), 2, "that is a folder"),
        (run("client.json", "gmail,mails", "t"), 2, "unknown scope \"mails\": there are gmail, drive, "),
        (run("client.json", " , ", "t"), 2, "no scope is named"),
        (run("client.json", "gmail", "."), 2, "that is a folder"),
        (run("client.json", "gmail", "client.json"), 2, "--token names the credentials file"),
        (run("client.json", "gmail", "robot.json/t"), 1, "robot.json/t: Not a directory"),
        (run("robot.json", "gmail", "t"), 1, "Failed to load credentials file: "),
        (run("robot.json", "gmail", "t"), 1, "it is the key of a service account"),
    ] {
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.err.contains(message), "{message}: {}", ran.err);
    }
    assert_eq!(place.names(), ["client.json", "robot.json"]);
}

#[test]
fn calendars_are_listed_from_all_pages() {
    let fake = fake();
    let place = Place::new();
    fake.token_file(&place.path("token.json")).unwrap();
    fake.calendar().add_calendar("team@example.com", "Team\u{1b}[31m");
    fake.calendar().switches.page = Some(1);
    let list = ["google", "list-calendars", "--token-file", "token.json", "--api-root", &fake.base()];
    let ran = place.run(&list);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], "Fetching calendar list...");
    assert_eq!(lines[1], format!("{:<30} ID", "NAME"));
    assert_eq!(lines[2], "-".repeat(80));
    assert_eq!(lines.len(), 5, "{}", ran.out);
    assert!(lines.contains(&format!("{:<30} team@example.com", "Team\\u001b[31m").as_str()), "{}", ran.out);
    let asked = fake.requests();
    assert!(asked.len() >= 2, "{asked:?}");
    assert_eq!(fake.violations(), Vec::<String>::new());

    let json = place.run(&[&list[..], &["--json"]].concat());
    let json: Value = serde_json::from_str(&json.out).unwrap();
    let team = json.as_array().unwrap().iter().find(|calendar| calendar["id"] == "team@example.com").unwrap();
    assert_eq!((&team["name"], &team["primary"]), (&json!("Team\u{1b}[31m"), &json!(false)));

    fake.tokens().revoke();
    let ran = place.run(&list);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.starts_with("Error: ") && ran.err.contains("google auth"), "{}", ran.err);
    let missing = place.run(&["google", "list-calendars", "--token-file", "nowhere.json"]);
    assert_eq!(missing.code, 2, "{missing:?}");
}

#[test]
fn a_source_of_which_a_part_fails_fails_its_test() {
    let fake = fake();
    let place = Place::with(&format!(
        "server: {{port: 0}}\nsources: {{times: {{type: google_calendar, token_file: token.json, api_root: {:?}, \
         calendar_ids: [primary, nowhere@example.com, team@example.com]}}}}\nsink: {{inbox: {{type: http_pull}}}}\n",
        fake.base()
    ));
    fake.token_file(&place.path("token.json")).unwrap();
    fake.calendar().add_calendar("team@example.com", "Team");
    let ran = place.run(&["source", "test", "times"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("sync_token:team@example.com"), "polled until all was seen: {}", ran.out);
    assert!(ran.err.contains("problem: ") && ran.err.contains("nowhere@example.com"), "{}", ran.err);
    let json = place.run(&["source", "test", "times", "--json"]);
    let said: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, said["problems"].as_array().unwrap().len()), (1, 1), "{said}");
}

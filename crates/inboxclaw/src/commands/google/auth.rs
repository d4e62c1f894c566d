//! `google auth`: asks a person for consent in a browser and stores what it gives.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use inboxclaw_connectors::google::oauth::{Consent, Credentials, NoCode, PORT};
use inboxclaw_connectors::google::token_file;
use inboxclaw_connectors::http::{Http, Reach};
use inboxclaw_contract::{Outside, printable};
use serde_json::json;
use tokio::sync::mpsc;

use super::super::failed::Failed;
use super::super::{client, output};
use super::listener::{Listener, Visit};
use super::message::message;
use super::page::Page;
use crate::cli::{Auth, exit};
use crate::outside::outside;

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// Longest line that is read from standard input, in bytes.
const LINE_BYTES: u64 = 64 << 10;

/// What was stored.
struct Stored {
    path: PathBuf,
    /// Whether it took the place of another, which a running source may have been refused with.
    was_there: bool,
    scopes: Vec<String>,
    /// What was asked for and not granted.
    lacking: Vec<String>,
}

pub(super) fn run(args: &Auth, json: bool) -> Result<u8, Failed> {
    let credentials = load(&args.credentials_file)?;
    if is_same(&args.credentials_file, &args.token) {
        let message = "--token names the credentials file, which would be overwritten";
        return Err(Failed::new(exit::USAGE, message));
    }
    // Before anybody consents: a code is good for one exchange.
    token_file::check_place(&args.token).map_err(|error| unwritable(&args.token, &error))?;
    client::block_on(ask(args, &credentials, json))
}

fn unwritable(path: &Path, error: &io::Error) -> Failed {
    Failed::plain(format!("cannot write {}: {error}", path.display()))
}

fn load(path: &Path) -> Result<Credentials, Failed> {
    let failed =
        |why: String| Failed::plain(format!("Failed to load credentials file: {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    Credentials::read(&text).map_err(|error| failed(error.to_string()))
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

async fn ask(args: &Auth, credentials: &Credentials, json: bool) -> Result<u8, Failed> {
    let outside = outside();
    let pastes = args.paste || io::stdin().is_terminal();
    let listener = listen(credentials, pastes).await?;
    let port = listener.as_ref().map_or(PORT, Listener::port);
    let consent = Consent::new(outside.random.as_ref(), port, args.scopes.clone());
    invite(args, consent.url(credentials).as_str(), listener.is_some().then(|| consent.redirect()), pastes);

    let (to, visits) = mpsc::channel(1);
    if let Some(listener) = listener {
        tokio::spawn(listener.receive(to));
    }
    let lines = if pastes { lines(args.paste) } else { mpsc::channel(1).1 };
    let (code, visit) = wait(&consent, visits, lines, io::stdin().is_terminal()).await?;
    let stored = store(args, &outside, credentials, &consent, &code).await;
    if let Some(visit) = visit {
        visit.show(page(&stored)).await;
    }
    tell(&stored?, json)
}

/// Takes the port that redirects go to; `None` where addresses are pasted instead.
async fn listen(credentials: &Credentials, pastes: bool) -> Result<Option<Listener>, Failed> {
    let error = match Listener::bind(PORT).await {
        Ok(listener) => return Ok(Some(listener)),
        Err(_) if credentials.allows_any_port() => match Listener::bind(0).await {
            Ok(listener) => return Ok(Some(listener)),
            Err(error) => error,
        },
        Err(error) => error,
    };
    if pastes {
        return Ok(None);
    }
    Err(Failed::plain(format!(
        "cannot listen on port {PORT}: {error}; a client for web applications can be sent to no other port: \
         free it, make a client of type desktop app, or use --paste"
    )))
}

/// Tells the person what to do. On standard error: it is no result.
fn invite(args: &Auth, url: &str, listens: Option<String>, pastes: bool) {
    output::remark(&format!(
        "1. Open this address in a browser, choose the account and allow what is asked:\n\n{url}\n"
    ));
    let minutes = PATIENCE.as_secs() / 60;
    match &listens {
        Some(redirect) => output::remark(&format!(
            "2. Google then sends the browser to {redirect}, where this command waits for {minutes} minutes."
        )),
        None => output::remark(
            "2. Google then sends the browser to a page that will not load: that is as it should be.",
        ),
    }
    if pastes {
        let when = if listens.is_some() {
            "If that page does not load (a browser on another machine), copy"
        } else {
            "Copy"
        };
        output::remark(&format!("   {when} its whole address, paste it here and press Enter."));
    }
    if !args.no_browser && io::stdin().is_terminal() && io::stderr().is_terminal() {
        open(url);
    }
}

/// Opens a browser, if that is simple. Whether it worked is seen by the person, who has the address as well.
fn open(url: &str) {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") {
        "xdg-open"
    } else {
        // There it would take a browser for terminals, and our terminal with it.
        return;
    };
    let mut command = Command::new(program);
    let _ = command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

/// Lines of standard input, without empty ones. The end is an error where they are the way that was chosen.
fn lines(is_chosen: bool) -> mpsc::Receiver<Result<String, Failed>> {
    let (to, lines) = mpsc::channel(1);
    // A thread of its own, since nothing can stop it while it reads: the process ends without it.
    std::thread::spawn(move || {
        loop {
            let mut line = String::new();
            let read = match io::stdin().lock().take(LINE_BYTES).read_line(&mut line) {
                Ok(0) if is_chosen => {
                    Err(Failed::plain("standard input ended without an address; nothing was stored"))
                }
                Ok(0) => return,
                Ok(_) if line.trim().is_empty() => continue,
                Ok(_) => Ok(line),
                Err(error) => Err(Failed::plain(format!("cannot read standard input: {error}"))),
            };
            let is_end = read.is_err();
            if to.blocking_send(read).is_err() || is_end {
                return;
            }
        }
    });
    lines
}

/// Waits for the code as long as a person may take.
async fn wait(
    consent: &Consent,
    visits: mpsc::Receiver<Visit>,
    lines: mpsc::Receiver<Result<String, Failed>>,
    is_patient: bool,
) -> Result<(String, Option<Visit>), Failed> {
    let answered = tokio::time::timeout(PATIENCE, answer(consent, visits, lines, is_patient)).await;
    answered.unwrap_or_else(|_| {
        let minutes = PATIENCE.as_secs() / 60;
        let message = format!("nobody answered within {minutes} minutes; nothing was stored: run this again");
        Err(Failed::plain(message))
    })
}

/// Waits for the code, from a browser or by hand. A browser with the answer to another request does not end it: anybody
/// on this machine can send one. `is_patient` is with people, who may copy the wrong thing.
async fn answer(
    consent: &Consent,
    mut visits: mpsc::Receiver<Visit>,
    mut lines: mpsc::Receiver<Result<String, Failed>>,
    is_patient: bool,
) -> Result<(String, Option<Visit>), Failed> {
    let failed = |why: &NoCode| Failed::plain(format!("{}; nothing was stored", printable(&why.to_string())));
    loop {
        tokio::select! {
            Some(visit) = visits.recv() => match consent.code(&visit.address) {
                Ok(code) => return Ok((code, Some(visit))),
                Err(why @ NoCode::Refused { .. }) => {
                    visit.show(Page::bad(sentence(&why.to_string()))).await;
                    return Err(failed(&why));
                }
                Err(why) => {
                    output::remark(&format!("a browser came without an answer, still waiting: {why}"));
                    tokio::spawn(visit.show(Page::bad(sentence(&why.to_string()))));
                }
            },
            Some(line) = lines.recv() => match consent.code(&line?) {
                Ok(code) => return Ok((code, None)),
                Err(why) if is_patient && !matches!(why, NoCode::Refused { .. }) => {
                    output::remark(&format!("{why}; still waiting"));
                }
                Err(why) => return Err(failed(&why)),
            },
            else => return Err(Failed::plain("there is no way left for an answer to come; nothing was stored")),
        }
    }
}

async fn store(
    args: &Auth,
    outside: &Outside,
    credentials: &Credentials,
    consent: &Consent,
    code: &str,
) -> Result<Stored, Failed> {
    let asked = outside.clock.now();
    let reach = Reach::Configured { allow_private: args.allow_private };
    let granted = consent.exchange(&Http::shared(outside), reach, credentials, code).await;
    let failed = |why: String| Failed::plain(format!("Failed to fetch token: {why}; nothing was stored"));
    let granted = granted.map_err(|denied| failed(message(&denied.failure)))?;
    let file = consent.token_file(credentials, &granted, asked);
    let file = file.map_err(|flaw| failed(format!("what Google gave {flaw}")))?;
    let path = args.token.clone();
    let was_there = path.exists();
    let written = file.to_bytes().map_err(io::Error::from).and_then(|bytes| {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        token_file::replace(&path, &bytes)
    });
    written.map_err(|error| unwritable(&path, &error))?;
    let owned = |texts: Vec<&str>| texts.into_iter().map(|text| printable(text).into_owned()).collect();
    Ok(Stored {
        path,
        was_there,
        lacking: owned(consent.scopes().beyond(&file.scopes())),
        scopes: owned(file.scopes()),
    })
}

/// What the browser shows in the end.
fn page(stored: &Result<Stored, Failed>) -> Page {
    match stored {
        Ok(stored) if stored.lacking.is_empty() => Page::good("Inboxclaw has the access that you allowed."),
        Ok(stored) => Page::good(format!(
            "Inboxclaw has the access that you allowed. It was {}. Run the command again if it should have that as well.",
            lacking(stored)
        )),
        Err(failed) => Page::bad(sentence(&failed.message)),
    }
}

fn tell(stored: &Stored, json: bool) -> Result<u8, Failed> {
    if json {
        output::pretty(&json!({ "path": stored.path, "scopes": stored.scopes }))?;
    } else {
        output::line(&format!("saved {}", stored.path.display()))?;
        output::line(&format!("granted: {}", stored.scopes.join(" ")))?;
    }
    if stored.was_there {
        output::remark(
            "a source that is waiting for it tries again within 15 minutes, \
             and at once after `inboxclaw source resume NAME`",
        );
    }
    if !stored.lacking.is_empty() {
        let advice = "run this again and allow every line, if a source needs it";
        output::remark(&format!("warning: {}; {advice}", lacking(stored)));
    }
    Ok(exit::OK)
}

fn lacking(stored: &Stored) -> String {
    format!("not granted: {}", stored.lacking.join(" "))
}

/// A message as a sentence for a page.
fn sentence(message: &str) -> String {
    let mut rest = message.chars();
    let first = rest.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}. Run the command again to try once more.", printable(rest.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::SystemRandom;

    #[tokio::test(start_paused = true)]
    async fn after_ten_minutes_nobody_waits_any_more() {
        let consent = Consent::new(&SystemRandom, PORT, "gmail".parse().unwrap());
        let (begin, (_browser, visits), (_person, lines)) =
            (tokio::time::Instant::now(), mpsc::channel(1), mpsc::channel(1));
        let failed = wait(&consent, visits, lines, true).await.unwrap_err();
        assert_eq!(failed.message, "nobody answered within 10 minutes; nothing was stored: run this again");
        assert_eq!(begin.elapsed(), PATIENCE);
    }

    #[tokio::test]
    async fn a_person_may_copy_the_wrong_thing_and_a_pipe_may_not() {
        let consent = Consent::new(&SystemRandom, PORT, "gmail".parse().unwrap());
        let begin = consent.redirect();
        let credentials = r#"{"web": {"client_id": "a", "client_secret": "b",
            "auth_uri": "https://a.example/", "token_uri": "https://a.example/"}}"#;
        let url = consent.url(&Credentials::read(credentials).unwrap());
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let pasted = |lines: [String; 2], is_patient| {
            let (to, read) = mpsc::channel(2);
            lines.into_iter().for_each(|line| to.try_send(Ok(line)).unwrap());
            answer(&consent, mpsc::channel(1).1, read, is_patient)
        };
        let good = format!("{begin}?code=c&state={state}");
        for wrong in ["code".to_owned(), begin.clone(), format!("{begin}?code=c&state=x")] {
            let found = pasted([wrong.clone(), good.clone()], true).await.unwrap();
            assert_eq!(found.0, "c", "{wrong}");
            assert!(pasted([wrong, good.clone()], false).await.is_err());
        }
        let refused = format!("{begin}?error=access_denied&state={state}");
        let failed = pasted([refused, good], true).await.unwrap_err();
        assert_eq!(failed.message, "consent was refused (access_denied); nothing was stored");
    }
}

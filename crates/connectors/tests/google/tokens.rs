//! Tokens: when they are renewed, by whom, what becomes of the file, and what is said when there are none.

use std::os::unix::fs::PermissionsExt as _;

use futures_util::future::join_all;
use inboxclaw_connectors::google::{ApiRequest, CALENDAR, Client, GMAIL, Refusal};
use inboxclaw_contract::{Class, Failure};
use serde_json::{Value, json};

use crate::server::{Google, answer, file};

async fn get(client: &Client) -> Result<Value, Refusal> {
    client.get(&ApiRequest::new(&["profile"])).await
}

async fn refused(client: &Client) -> Failure {
    get(client).await.unwrap_err().into()
}

#[tokio::test]
async fn a_token_is_renewed_shortly_before_its_end_and_kept_in_the_file() {
    let google = Google::start().await;
    let client = google.client(&GMAIL);
    google.at("12:56:14");
    get(&client).await.unwrap();
    assert_eq!(google.counted().1, 0);

    google.at("12:56:15");
    get(&client).await.unwrap();
    let asked = google.asked();
    let form = &asked[0].form;
    assert_eq!(asked[0].headers["content-type"], "application/x-www-form-urlencoded");
    let expected = [
        ("grant_type", "refresh_token"),
        ("client_id", "client"),
        ("client_secret", "geheim"),
        ("refresh_token", "refresh+1&"),
    ];
    assert_eq!(form.len(), expected.len(), "and no scope: {form:?}");
    for (key, value) in expected {
        assert_eq!(form[key], value);
    }
    assert_eq!(asked[1].headers["authorization"], "Bearer given-1");

    let path = google.path("token.json");
    let kept = file(&path);
    assert_eq!((&kept["token"], &kept["expiry"]), (&json!("given-1"), &json!("2026-11-22T13:56:14Z")));
    assert_eq!(
        (&kept["refresh_token"], &kept["universe_domain"]),
        (&json!("refresh+1&"), &json!("googleapis.com"))
    );
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(google.folder.path()).unwrap().count(), 1, "nothing beside it");
}

#[tokio::test]
async fn sources_of_one_file_share_one_renewal() {
    let google = Google::start().await;
    google.at("13:00:00");
    let clients = [
        google.client(&GMAIL),
        google.client(&CALENDAR),
        google.client_of(&GMAIL, "./token.json"),
        google.client_of(&GMAIL, google.path("token.json").to_str().unwrap()),
    ];
    let all = join_all((0..20).map(|index| get(&clients[index % clients.len()]))).await;
    assert!(all.iter().all(Result::is_ok));
    let (paths, renewals) = google.counted();
    assert_eq!((paths.len(), renewals), (20, 1));

    google.refuse_all();
    let all = join_all((0..20).map(|index| get(&clients[index % clients.len()]))).await;
    assert!(all.iter().all(Result::is_ok), "refused before its time");
    assert_eq!(google.counted().1, 1);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_request_repeated_once() {
    let google = Google::start().await;
    let client = google.client(&GMAIL);
    google.refuse_all();
    get(&client).await.unwrap();
    assert_eq!(google.counted(), (vec!["/gmail/v1/users/me/profile".to_owned(); 2], 1));

    google.refuse_all();
    google.grant(answer(200, &json!({ "access_token": "SECRET", "expires_in": 3599 })));
    let refusal = get(&client).await.unwrap_err();
    assert_eq!(google.counted(), (vec!["/gmail/v1/users/me/profile".to_owned(); 2], 1));
    assert_eq!(
        (refusal.status, refusal.reasons.as_slice()),
        (Some(401), ["authError".to_owned()].as_slice())
    );
    assert!(refusal.is_transient(), "it says nothing about the thing asked for");
    let failure = refusal.failure;
    assert_eq!(failure.class, Class::Authentication);
    let expected = format!(
        "{}/gmail/v1/users/me/profile answered 401 unauthorized (authError): Invalid Credentials …",
        google.base
    );
    assert_eq!(failure.to_string(), expected);
    assert!(failure.action.unwrap().starts_with("run `inboxclaw google auth "));
}

#[tokio::test]
async fn a_clock_that_is_off_is_named() {
    let google = Google::start().await;
    google.at("14:00:00");
    google.grant(answer(200, &json!({ "access_token": "other", "expires_in": 3599 })));
    google.grant(answer(200, &json!({ "access_token": "another", "expires_in": 3599 })));
    let failure = refused(&google.client(&GMAIL)).await;
    assert_eq!(
        failure.action.unwrap(),
        "set this machine's clock: it says 2026-11-22T14:00:00Z, and Google's says 2026-11-22T12:00:00Z"
    );
}

#[tokio::test]
async fn a_dead_refresh_token_is_said_in_plain_words_and_asked_about_once() {
    let google = Google::start().await;
    google.at("13:00:00");
    let clients = [google.client(&GMAIL), google.client(&CALENDAR)];
    let denied =
        json!({ "error": "invalid_grant", "error_description": "Token has been expired or revoked." });
    google.grant(answer(400, &denied));
    let all = join_all((0..10).map(|index| get(&clients[index % 2]))).await;
    assert_eq!(google.counted(), (vec![], 1));
    let before = file(&google.path("token.json"));
    for refused in all {
        let failure = Failure::from(refused.unwrap_err());
        assert_eq!(failure.class, Class::Authentication);
        let text = failure.to_string();
        assert!(
            text.contains("no longer accepts the refresh token") && text.contains("invalid_grant"),
            "{text}"
        );
        assert!(!text.contains("refresh+1&") && !text.contains("geheim"), "{text}");
        let expected = format!(
            "run `inboxclaw google auth --credentials-file CLIENT.json --scopes gmail,https://example.org/other,calendar --token {}`",
            google.path("token.json").display()
        );
        assert_eq!(failure.action.unwrap(), expected);
    }
    assert_eq!(before["token"], "first", "the file is untouched");

    // The next poll asks again: it may be a new day.
    get(&clients[0]).await.unwrap();
    assert_eq!(google.counted().1, 1);
}

#[tokio::test]
async fn a_file_that_somebody_else_rewrote_is_taken_as_it_is() {
    let google = Google::start().await;
    let client = google.client(&GMAIL);
    get(&client).await.unwrap();
    google.at("13:00:00");
    google.write("token.json", "theirs", "2026-11-22T14:00:00Z");
    google.accept("theirs");
    get(&client).await.unwrap();
    assert_eq!(google.counted().1, 0, "renewed by another process");

    google.refuse_all();
    google.accept("newer");
    google.write("token.json", "newer", "2026-11-22T14:00:00Z");
    get(&client).await.unwrap();
    let asked = google.asked();
    assert_eq!((asked.len(), &asked[0].headers["authorization"]), (1, &"Bearer newer".parse().unwrap()));
}

#[tokio::test]
async fn a_file_that_is_rewritten_during_a_renewal_is_not_overwritten() {
    let google = Google::start().await;
    let client = google.client(&GMAIL);
    google.at("13:00:00");
    let path = google.path("token.json");
    let mut theirs = file(&path);
    theirs["refresh_token"] = json!("theirs");
    let text = theirs.to_string();
    google.meanwhile({
        let path = path.clone();
        move || std::fs::write(path, text).unwrap()
    });
    get(&client).await.unwrap();
    assert_eq!(file(&path), theirs, "somebody signed in just now");
    google.asked();

    get(&client).await.unwrap();
    assert_eq!(google.asked()[0].form["refresh_token"], "theirs");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_costs_nothing_but_a_renewal_after_a_restart() {
    let google = Google::start().await;
    google.at("13:00:00");
    let obstacle = google.path(&format!("token.json.{}.tmp", std::process::id()));
    std::fs::create_dir(&obstacle).unwrap();
    let client = google.client(&GMAIL);
    get(&client).await.unwrap();
    get(&client).await.unwrap();
    assert_eq!(google.counted().1, 1, "the token is kept in memory");
    assert_eq!(file(&google.path("token.json"))["token"], "first");

    // A new refresh token would be lost with the process.
    google.at("14:00:00");
    let grant = json!({ "access_token": "next", "refresh_token": "refresh-2", "expires_in": 3599 });
    google.grant(answer(200, &grant));
    google.accept("next");
    for _ in 0..2 {
        let failure = refused(&client).await;
        assert_eq!(failure.class, Class::Configuration);
        assert!(failure.to_string().starts_with("cannot write the new refresh token into "), "{failure}");
    }
    std::fs::remove_dir(&obstacle).unwrap();
    get(&client).await.unwrap();
    assert_eq!(google.counted().1, 1);
    let kept = file(&google.path("token.json"));
    assert_eq!((&kept["refresh_token"], &kept["token"]), (&json!("refresh-2"), &json!("next")));
}

#[tokio::test]
async fn an_endpoint_in_trouble_is_no_reason_to_sign_in_again() {
    let google = Google::start().await;
    google.at("13:00:00");
    let client = google.client(&GMAIL);
    for (denied, class, wait) in [
        (answer(503, &json!({})), Class::Upstream, None),
        (answer(500, &json!({ "error": "internal_failure" })), Class::Upstream, None),
        (answer(400, &json!({ "error": "temporarily_unavailable" })), Class::Upstream, None),
        (answer(200, &json!({ "access_token": "" })), Class::Upstream, None),
        (answer(200, &json!({})).body("<html>"), Class::Upstream, None),
        (answer(429, &json!({})).header("retry-after", "7"), Class::RateLimited, Some(7)),
    ] {
        google.grant(denied);
        let failure = refused(&client).await;
        let seconds = failure.wait.map(|wait| wait.as_secs());
        assert_eq!((failure.class, seconds, failure.action), (class, wait, None), "{:#}", failure.cause);
    }
    assert_eq!(google.counted(), (vec![], 6));
    // Until the time that the endpoint named nobody asks it.
    assert_eq!(refused(&client).await.class, Class::RateLimited);
    assert_eq!(google.counted().1, 0);
    google.at("13:00:07");
    get(&client).await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_named_with_the_repair() {
    let google = Google::start().await;
    let client = google.client_of(&CALENDAR, "c/token.json");
    let path = google.path("c/token.json");
    let command = format!(
        "run `inboxclaw google auth --credentials-file CLIENT.json --scopes calendar --token {}`",
        path.display()
    );
    let failure = refused(&client).await;
    assert_eq!((failure.class, failure.action.as_ref()), (Class::Configuration, Some(&command)));
    let text = failure.to_string();
    assert!(text.starts_with(&format!("cannot read the token file {}: ", path.display())), "{text}");

    std::fs::create_dir(google.path("c")).unwrap();
    std::fs::write(&path, r#"{"refresh_token": "r", "client_id": "c"}"#).unwrap();
    let failure = refused(&client).await;
    assert_eq!((failure.class, failure.action.as_ref()), (Class::Configuration, Some(&command)));
    assert_eq!(failure.to_string(), format!("the token file {} holds no `client_secret`", path.display()));

    google.write("c/token.json", "first", "2026-11-22T13:00:00Z");
    get(&client).await.unwrap();
}

#[tokio::test]
async fn a_client_that_is_gone_needs_another_one() {
    let google = Google::start().await;
    google.at("13:00:00");
    google.grant(answer(
        401,
        &json!({ "error": "invalid_client", "error_description": "The OAuth client was not found." }),
    ));
    let failure = refused(&google.client(&GMAIL)).await;
    assert_eq!(failure.class, Class::Configuration);
    let action = failure.action.unwrap();
    assert!(action.contains("Cloud console") && action.contains("inboxclaw google auth"), "{action}");
}

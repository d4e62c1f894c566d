//! Any bytes as an import: never a panic, all of it or nothing, and what was taken comes back from an export.
#![no_main]

mod ground;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use ground::{Ground, json};
use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{Entry, Expiry, State, Version};
use inboxclaw_edit::{EditError, Lines, Mode};
use libfuzzer_sys::fuzz_target;

type Seen = (Option<String>, Vec<Entry>);

/// The state of an owner but for revisions, which another owner counts anew.
async fn seen(ground: &Ground, owner: usize) -> Seen {
    let id = ground.owners[owner];
    let cursor = ground.store.snapshot(id).await.unwrap().cursor;
    let entries = ground.store.list(id, "", None, 100_000).await.unwrap();
    (cursor, entries.into_iter().map(|entry| Entry { revision: Version(0), ..entry }).collect())
}

fn lines(text: &[u8], piece: usize) -> Lines {
    let pieces: Vec<_> = text.chunks(piece.max(1)).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

async fn export(ground: &Ground, owner: usize) -> Vec<u8> {
    let text = Arc::new(Mutex::new(Vec::new()));
    let into = text.clone();
    let write = Box::new(move |piece: &[u8]| {
        into.lock().unwrap().extend_from_slice(piece);
        true
    });
    ground.editor().export(ground.owners[owner], "a", "test", true, write).await.unwrap();
    let text = text.lock().unwrap();
    text.clone()
}

/// What is there before the import.
async fn prepare(ground: &Ground) {
    ground.clear().await;
    let mut turn = ground.turn(0).await;
    for (key, secret) in [("a", false), ("s", true)] {
        let put = EntryChange::Put { value: json("1"), expiry: Expiry::Keep, secret };
        turn.entries.insert(key.to_owned(), put);
    }
    turn.cursor = Some(Some("c".into()));
    ground.commit(turn).await;
}

async fn run(ground: &Ground, replace: bool, piece: usize, text: &[u8]) {
    prepare(ground).await;
    let before = seen(ground, 0).await;
    let mode = if replace { Mode::Replace } else { Mode::Merge };
    let found = ground.editor().import(ground.owners[0], lines(text, piece), mode, &|_, _| {}).await;
    let after = seen(ground, 0).await;
    match found {
        Ok(found) => {
            assert!(found.entries >= found.expired + found.secrets, "{found:?}");
            let again = export(ground, 0).await;
            let back =
                ground.editor().import(ground.owners[1], lines(&again, 7), Mode::Replace, &|_, _| {}).await;
            let back = back.unwrap();
            assert_eq!((back.entries, back.expired, back.secrets), (after.1.len() as u64, 0, 0));
            assert_eq!(seen(ground, 1).await, after, "what was exported comes back");
        }
        Err(EditError::Line { .. } | EditError::Refused(_)) => assert_eq!(after, before, "all or nothing"),
        Err(error) => panic!("{error:?}"),
    }
}

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (replace, piece, text) = input;
    Ground::with(|ground, runtime| runtime.block_on(run(ground, replace, piece.into(), text)));
});

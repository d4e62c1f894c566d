//! How the running program proves to its own commands that it is the one that wrote the run file, before they tell it a
//! token: who listens at its address may be somebody else by now. The proof is an HMAC of a random challenge under the
//! token of the run, which both know and which is never sent for it.

use std::fmt::Write as _;

use ring::hmac::{HMAC_SHA256, Key, sign, verify};

/// The header with a challenge, on a request for [`PATH`].
pub const CHALLENGE: &str = "inboxclaw-challenge";
/// The header with the proof, on the answer.
pub const PROOF: &str = "inboxclaw-proof";
/// Where it is asked for: the one path that needs no token.
pub const PATH: &str = "/healthcheck/live";

/// Keeps a proof from standing for anything else that is ever signed with the token.
const PURPOSE: &str = "inboxclaw run proof: ";
/// Longest challenge that is answered, in bytes.
const LONGEST: usize = 128;

/// The proof for a challenge, in hexadecimal digits; `None` when the challenge is too long.
#[must_use]
pub fn prove(run_token: &str, challenge: &str) -> Option<String> {
    if challenge.len() > LONGEST {
        return None;
    }
    let tag = sign(&key(run_token), message(challenge).as_bytes());
    Some(tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

/// Whether somebody who knows the token made this proof. Takes as long for a wrong one.
#[must_use]
pub fn is_proof(run_token: &str, challenge: &str, proof: &str) -> bool {
    let byte = |at: usize| proof.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let tag: Option<Vec<u8>> = (0..proof.len()).step_by(2).map(byte).collect();
    tag.is_some_and(|tag| verify(&key(run_token), message(challenge).as_bytes(), &tag).is_ok())
}

fn key(run_token: &str) -> Key {
    Key::new(HMAC_SHA256, run_token.as_bytes())
}

fn message(challenge: &str) -> String {
    format!("{PURPOSE}{challenge}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_knows_the_token_proves_it() {
        let proof = prove("token", "challenge").unwrap();
        assert_eq!(proof.len(), 64);
        assert!(is_proof("token", "challenge", &proof));
        assert!(!is_proof("other", "challenge", &proof) && !is_proof("token", "other", &proof));
        for wrong in ["", "00", "zz", "é", &proof[1..], &format!("{proof}00")] {
            assert!(!is_proof("token", "challenge", wrong), "{wrong}");
        }
        assert_eq!(prove("token", &"c".repeat(LONGEST + 1)), None);
    }
}

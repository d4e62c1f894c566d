//! What is put into the stores: keys, values and events of a realistic size, the same for ours and for every peer.
//! The peers' own program includes this file, so it uses nothing but the standard library.

/// How many owners share the keys.
pub(crate) const OWNERS: u64 = 64;
/// How many keys share a prefix.
pub(crate) const GROUP: u64 = 100;
/// What a turn holds besides its cursor.
pub(crate) const TURN_EVENTS: u64 = 100;
/// What a turn holds besides its cursor.
pub(crate) const TURN_KEYS: u64 = 10;
/// How many entries a bulk load puts into one transaction.
pub(crate) const LOAD_STEP: u64 = 10_000;

/// A case of the state benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Read of one hot key.
    Get,
    /// One durable set after the other.
    Set,
    /// 64 tasks that each do one durable set after the other.
    Set64,
    /// 100 events, 10 keys and a cursor, durable at once.
    Turn,
    /// The 100 entries of a prefix.
    List100,
    /// Removal of what has expired.
    Sweep,
}

impl Case {
    pub(crate) const ALL: [Self; 6] =
        [Self::Get, Self::Set, Self::Set64, Self::Turn, Self::List100, Self::Sweep];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Set64 => "set64",
            Self::Turn => "turn",
            Self::List100 => "list100",
            Self::Sweep => "sweep",
        }
    }
}

/// How many keys each owner has when all have so many.
pub(crate) const fn keys_each(keys: u64) -> u64 {
    keys / OWNERS
}

/// A key of 34 bytes. A hundred neighbours share its prefix.
pub(crate) fn key(n: u64) -> String {
    format!("{}message:{:02}", prefix(n / GROUP), n % GROUP)
}

/// The prefix of a hundred keys.
pub(crate) fn prefix(group: u64) -> String {
    format!("thread:{group:016x}/")
}

/// A key of 37 bytes for what is to expire.
pub(crate) fn seen_key(n: u64) -> String {
    format!("seen:{n:032x}")
}

/// A value of some 200 bytes of JSON; another `salt` gives another value.
pub(crate) fn value(n: u64, salt: u64) -> String {
    format!(
        r#"{{"etag":"{salt:016x}","history_id":{n},"labels":["INBOX","UNREAD"],"subject":"Re: the plan for next week","from":"someone@example.org","received_at":"2026-03-01T08:15:30Z","size_bytes":{salt},"attachments":[]}}"#
    )
}

/// The data of an event, some 250 bytes of JSON.
pub(crate) fn event(id: u64) -> String {
    format!(
        r#"{{"message_id":"{id:016x}","subject":"Re: the plan for next week","from":"someone@example.org","to":["me@example.org"],"labels":["INBOX","UNREAD"],"snippet":"Thank you, that works for me. I will bring the documents that you asked for.","size_bytes":{id}}}"#
    )
}

/// Numbers in no order, the same in each run: a 64-bit mix of a counter.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// An existing key with a new value for it.
    pub(crate) fn put(&mut self, keys_each: u64) -> (String, String) {
        let n = self.below(keys_each);
        (key(n), value(n, self.next()))
    }
}

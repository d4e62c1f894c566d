//! The rules of the configuration for the state of each owner: told to the store at the start, together with the
//! registration, and shown in health before a limit is hit. The store sees to it that they hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use inboxclaw_contract::coalesce::CoalesceRule;
use inboxclaw_contract::store::{NEAR, OwnerInfo, StateLimits, share};
use inboxclaw_contract::turn::FactsPatch;
use inboxclaw_contract::{Class, Failure, Owner, OwnerId, OwnerKind, StoreError};

use crate::runner::Env;

/// The ways out of a full state.
const WAYS_OUT: &str = "delete entries with `inboxclaw state delete`, add a rule to `state.expire`, or raise `state.max_entries` or \
     `state.max_bytes`";

/// What the configuration says about states.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) policies: BTreeMap<Owner, StateLimits>,
    /// The rules by which events of sources are joined.
    pub(crate) coalescing: BTreeMap<Owner, Vec<CoalesceRule>>,
    /// Sources that are paused when they are first registered.
    pub(crate) stopped: BTreeSet<Owner>,
}

/// Owners with limits, by their number.
pub(crate) type Limits = HashMap<OwnerId, (Owner, StateLimits)>;

/// Registers owners by the rules.
pub(crate) struct Registry {
    rules: Rules,
    known: BTreeSet<Owner>,
    pub(crate) limits: Limits,
}

impl Registry {
    /// `known` is every owner that the store had before.
    pub(crate) fn new(rules: Rules, known: Vec<OwnerInfo>) -> Self {
        let known = known.into_iter().map(|info| Owner { kind: info.kind, name: info.name }).collect();
        Self { rules, known, limits: Limits::new() }
    }

    /// Registers an owner. One that has no rules is told so as well: those of an earlier configuration end.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn register(
        &mut self,
        env: &Env,
        owner: &Owner,
        connector: &str,
    ) -> Result<OwnerId, StoreError> {
        let id = env.store.register(owner, connector).await?;
        if self.rules.stopped.contains(owner) && self.known.insert(owner.clone()) {
            env.store.set_facts(id, FactsPatch { paused: Some(true), ..FactsPatch::default() }).await?;
        }
        let policy = self.rules.policies.get(owner).cloned().unwrap_or_default();
        env.store.set_limits(id, policy.clone()).await?;
        if owner.kind == OwnerKind::Source {
            let coalescing = self.rules.coalescing.get(owner).cloned().unwrap_or_default();
            env.store.set_coalescing(id, coalescing).await?;
        }
        if policy.max_entries.is_some() || policy.max_bytes.is_some() {
            self.limits.insert(id, (owner.clone(), policy));
        }
        Ok(id)
    }
}

/// Shows in health which states come near to their limits.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn show(limits: &Limits, env: &Env) -> Result<(), StoreError> {
    if limits.is_empty() {
        return Ok(());
    }
    for info in env.store.owners().await? {
        if let Some((owner, policy)) = limits.get(&info.id) {
            env.health().filling(owner, filling(policy, &info));
        }
    }
    Ok(())
}

/// The limits that are near, in words.
fn filling(policy: &StateLimits, info: &OwnerInfo) -> Option<String> {
    let told = [
        ("entries", "max_entries", info.entries, policy.max_entries),
        ("bytes", "max_bytes", info.bytes, policy.max_bytes),
    ];
    let told = told.into_iter().filter_map(|(what, key, found, limit)| {
        let limit = limit.filter(|_| share(found, limit) >= Some(NEAR))?;
        let full =
            if found >= limit { format!(", and nothing can be added: {WAYS_OUT}") } else { String::new() };
        Some(format!("its state holds {found} {what} of at most {limit} (state.{key}){full}"))
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// The failure of a turn that the store refuses: a full state is for a person to put right, all else a defect of ours.
pub(crate) fn refused(error: StoreError) -> Failure {
    match error {
        StoreError::OverLimit(_) => Failure::new(Class::Configuration, error).action(WAYS_OUT),
        _ => Failure::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use inboxclaw_contract::Version;

    use super::*;

    fn told(entries: u64, bytes: u64) -> Option<String> {
        let policy = StateLimits { expire: Vec::new(), max_entries: Some(1_000), max_bytes: Some(u64::MAX) };
        let info = OwnerInfo {
            id: OwnerId(1),
            kind: OwnerKind::Source,
            name: "mail".to_owned(),
            connector: "mail".to_owned(),
            version: Version(1),
            cursor: None,
            entries,
            bytes,
        };
        filling(&policy, &info)
    }

    #[test]
    fn a_limit_is_told_from_four_fifths_on() {
        assert_eq!(told(799, 0), None);
        assert_eq!(
            told(800, 0).as_deref(),
            Some("its state holds 800 entries of at most 1000 (state.max_entries)")
        );
        let full = told(1_000, 0).unwrap_or_default();
        assert!(full.ends_with("(state.max_entries), and nothing can be added: delete entries with `inboxclaw state delete`, add a rule to `state.expire`, or raise `state.max_entries` or `state.max_bytes`"), "{full}");
        let bytes = told(0, u64::MAX - 1).unwrap_or_default();
        assert!(bytes.starts_with("its state holds 18446744073709551614 bytes of at most"), "{bytes}");
        assert_eq!(told(900, u64::MAX).unwrap_or_default().matches("its state holds").count(), 2);
    }

    #[test]
    fn only_a_full_state_is_for_a_person_to_put_right() {
        let full =
            refused(StoreError::OverLimit("mail would have 6 entries of state, the limit is 5".to_owned()));
        assert_eq!((full.class, full.action.as_deref()), (Class::Configuration, Some(WAYS_OUT)));
        let large = refused(StoreError::Refused("the turn has 2 bytes, the limit is 1".to_owned()));
        assert_eq!((large.class, large.action), (Class::Internal, None));
    }
}

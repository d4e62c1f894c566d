//! Locking a mutex that no panic can leave half changed.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after another thread has panicked under the lock: what these locks guard is whole between any two of its
/// statements, so that nobody else need fail.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

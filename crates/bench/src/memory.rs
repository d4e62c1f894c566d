//! The most memory that this process held, as Linux tells it.

/// Begins anew: what was held before no longer counts.
pub(crate) fn forget_peak() {
    // Where it cannot be forgotten, the peak is that of the whole run, and so an upper bound.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most that was resident since then, in MiB; `None` where nobody tells.
pub(crate) fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib / 1024.0)
}

//! The most memory that a process held, as Linux tells it. This process is `self`.

/// Begins anew: what was held before no longer counts.
pub(crate) fn forget_peak(process: &str) {
    // Where it cannot be forgotten, the peak is that of the whole run, and so an upper bound.
    let _ = std::fs::write(format!("/proc/{process}/clear_refs"), "5");
}

/// The most that was resident since then, in MiB; `None` where nobody tells.
pub(crate) fn peak_mib(process: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib / 1024.0)
}

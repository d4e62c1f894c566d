//! Change notifications of the operating system: which paths may have changed. They are hints only; what is true is
//! decided by reading the file system. Linux is asked directly (`inotify`), other systems through a crate
//! (`elsewhere`).

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod inotify;

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::Watch;
#[cfg(target_os = "linux")]
pub(super) use inotify::Watch;

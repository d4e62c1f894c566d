//! News from the operating system: which paths may have changed. It is a hint only; what is true is decided by
//! looking. How they come differs: Linux is asked directly (`inotify`), the others through a crate (`elsewhere`).

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod inotify;

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::Watch;
#[cfg(target_os = "linux")]
pub(super) use inotify::Watch;

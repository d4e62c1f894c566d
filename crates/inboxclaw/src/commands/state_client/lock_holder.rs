//! Who holds a lock, as far as the system tells.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Where Linux lists the locks on files.
const LOCKS: &str = "/proc/locks";

/// The process that holds a lock on the file; `None` when there is none, or nobody says.
pub(super) fn of(file: &Path) -> Option<u32> {
    let inode = std::fs::metadata(file).ok()?.ino();
    in_list(&std::fs::read_to_string(LOCKS).ok()?, inode)
}

/// Lines such as `1: FLOCK  ADVISORY  WRITE 4711 08:01:393219 0 EOF`; those of who waits have `->` after the number.
fn in_list(list: &str, inode: u64) -> Option<u32> {
    let holder = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, "FLOCK", _, _, pid, place, ..] if place.rsplit(':').next() == Some(&inode.to_string()) => {
            pid.parse().ok().filter(|pid| *pid > 0)
        }
        _ => None,
    };
    list.lines().find_map(holder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_stands_in_the_list() {
        let list = "1: POSIX  ADVISORY  WRITE 7 00:2e:55 0 EOF\n2: FLOCK  ADVISORY  WRITE 4711 08:01:55 0 EOF\n\
            2: -> FLOCK  ADVISORY  WRITE 4712 08:01:55 0 EOF\n3: FLOCK  ADVISORY  WRITE 0 08:01:56 0 EOF\n";
        assert_eq!(in_list(list, 55), Some(4711));
        assert_eq!(in_list(list, 56), None, "a process that cannot be seen from here");
        assert_eq!(in_list(list, 5), None);
        assert_eq!(in_list("", 55), None);
    }
}

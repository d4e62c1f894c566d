//! Sequence matching after Ratcliff and Obershelp: the longest common run, then the same left and right of it.
//! As in Python's `difflib`, elements that are popular in a long new sequence start no run (they may still extend
//! one). Left out: junk functions and ratios.

use std::collections::HashMap;
use std::ops::Range;

/// From this length of the new side on, popular elements are set aside.
const POPULAR_FROM: usize = 200;

/// A stretch of the old side that became a stretch of the new one; one of them may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opcode {
    /// Places in the old sequence.
    pub(super) old: Range<usize>,
    /// Places in the new sequence.
    pub(super) new: Range<usize>,
}

/// A common run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    old: usize,
    new: usize,
    len: usize,
}

/// What differs, in order.
pub(super) fn changes(old: &[String], new: &[String]) -> Vec<Opcode> {
    let mut opcodes = Vec::new();
    let (mut at_old, mut at_new) = (0, 0);
    let end = Run { old: old.len(), new: new.len(), len: 0 };
    for run in Matcher::new(old, new).runs().into_iter().chain([end]) {
        if at_old < run.old || at_new < run.new {
            opcodes.push(Opcode { old: at_old..run.old, new: at_new..run.new });
        }
        (at_old, at_new) = (run.old + run.len, run.new + run.len);
    }
    opcodes
}

struct Matcher<'a> {
    old: &'a [String],
    new: &'a [String],
    /// For each old element, where it stands in the new sequence, unless it is popular there.
    places: Vec<Vec<usize>>,
}

impl<'a> Matcher<'a> {
    fn new(old: &'a [String], new: &'a [String]) -> Self {
        let mut by_element: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, element) in new.iter().enumerate() {
            by_element.entry(element).or_default().push(at);
        }
        if new.len() >= POPULAR_FROM {
            let often = new.len() / 100 + 1;
            by_element.retain(|_, places| places.len() <= often);
        }
        let places = old.iter().map(|element| by_element.get(element.as_str()).cloned().unwrap_or_default());
        Self { old, new, places: places.collect() }
    }

    /// The common runs in order.
    fn runs(&self) -> Vec<Run> {
        let mut todo = vec![(0..self.old.len(), 0..self.new.len())];
        let mut runs = Vec::new();
        while let Some((old, new)) = todo.pop() {
            let run = self.longest(&old, &new);
            if run.len == 0 {
                continue;
            }
            if old.start < run.old && new.start < run.new {
                todo.push((old.start..run.old, new.start..run.new));
            }
            let (after_old, after_new) = (run.old + run.len, run.new + run.len);
            if after_old < old.end && after_new < new.end {
                todo.push((after_old..old.end, after_new..new.end));
            }
            runs.push(run);
        }
        runs.sort_unstable();
        runs
    }

    /// The longest common run within two stretches; the first in the old one, then in the new one, of several.
    fn longest(&self, old: &Range<usize>, new: &Range<usize>) -> Run {
        let mut best = Run { old: old.start, new: new.start, len: 0 };
        let mut lengths: HashMap<usize, usize> = HashMap::new();
        for i in old.clone() {
            let mut next = HashMap::new();
            let from = self.places[i].partition_point(|&j| j < new.start);
            for &j in self.places[i][from..].iter().take_while(|&&j| j < new.end) {
                let len = j.checked_sub(1).and_then(|j| lengths.get(&j)).map_or(1, |len| len + 1);
                next.insert(j, len);
                if len > best.len {
                    best = Run { old: i + 1 - len, new: j + 1 - len, len };
                }
            }
            lengths = next;
        }
        self.extend(best, old, new)
    }

    /// Popular elements start no run but may belong to one.
    fn extend(&self, mut run: Run, old: &Range<usize>, new: &Range<usize>) -> Run {
        while run.old > old.start && run.new > new.start && self.old[run.old - 1] == self.new[run.new - 1] {
            run = Run { old: run.old - 1, new: run.new - 1, len: run.len + 1 };
        }
        while run.old + run.len < old.end
            && run.new + run.len < new.end
            && self.old[run.old + run.len] == self.new[run.new + run.len]
        {
            run.len += 1;
        }
        run
    }
}

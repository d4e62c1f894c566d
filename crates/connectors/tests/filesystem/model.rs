//! Any sequence of changes, polls, lost turns, restarts and rewinds reports what a simple model of it says.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use serde_json::json;

use crate::folder::Folder;

const PATHS: [&str; 5] = ["a", "b", "c", "d/e", "d/f"];
const CONTENTS: [&str; 4] = ["", "one", "two", "three"];

#[derive(Debug, Clone)]
enum Step {
    Write(usize, usize),
    Remove(usize),
    Rename(usize, usize),
    Chmod(usize),
    Poll,
    LostPoll,
    Restart,
    Rewind(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let path = 0..PATHS.len();
    prop_oneof![
        4 => (path.clone(), 0..CONTENTS.len()).prop_map(|(path, content)| Step::Write(path, content)),
        2 => path.clone().prop_map(Step::Remove),
        3 => (path.clone(), path.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => path.prop_map(Step::Chmod),
        5 => Just(Step::Poll),
        1 => Just(Step::LostPoll),
        1 => Just(Step::Restart),
        2 => (0..5_usize).prop_map(Step::Rewind),
    ]
}

/// A file of the model: which one it is, when it last changed, what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct File {
    id: u32,
    time: u32,
    content: usize,
}

type Files = BTreeMap<&'static str, File>;

#[derive(Default)]
struct Model {
    clock: u32,
    world: Files,
    /// What the source knows; `time` is the one of the version that it reported.
    known: Files,
    reported: HashSet<(&'static str, &'static str, u32, usize)>,
    new: Vec<String>,
}

impl Model {
    fn report(&mut self, kind: &'static str, path: &'static str, file: File, old: Option<&str>) {
        if self.reported.insert((kind, path, file.time, file.content)) {
            self.new.push(old.map_or(format!("{kind} {path}"), |old| format!("{kind} {old} > {path}")));
        }
    }

    fn poll(&mut self) -> Vec<String> {
        let mut gone: Files = self.known.clone();
        gone.retain(|path, _| !self.world.contains_key(path));
        let mut new: Files = self.world.clone();
        new.retain(|path, _| !self.known.contains_key(path));
        let mut moved = BTreeMap::new();
        let mut pair = |to: &'static str, from: &'static str, gone: &mut Files, new: &mut Files| {
            gone.remove(from);
            new.remove(to);
            moved.insert(to, from);
        };
        for (to, file) in new.clone() {
            if let Some(from) = gone.iter().find(|(_, old)| old.id == file.id).map(|(path, _)| *path) {
                pair(to, from, &mut gone, &mut new);
            }
        }
        for content in 1..CONTENTS.len() {
            let of = |files: &Files| -> Vec<&'static str> {
                files.iter().filter(|(_, file)| file.content == content).map(|(path, _)| *path).collect()
            };
            if let ([from], [to]) = (&of(&gone)[..], &of(&new)[..]) {
                pair(to, from, &mut gone, &mut new);
            }
        }
        for (path, file) in gone {
            self.report("deleted", path, file, None);
            self.known.remove(path);
        }
        for (to, from) in moved {
            self.report("moved", to, self.world[to], Some(from));
            let old = self.known.remove(from).unwrap();
            self.known.insert(to, File { content: old.content, ..self.world[to] });
        }
        for (path, file) in new {
            self.report("created", path, file, None);
            self.known.insert(path, file);
        }
        for (path, file) in self.world.clone() {
            let known = self.known[path];
            if known.content == file.content {
                self.known.insert(path, File { id: file.id, ..known });
            } else {
                self.report("updated", path, file, None);
                self.known.insert(path, file);
            }
        }
        std::mem::take(&mut self.new)
    }

    /// Does a change in the model and in the folder.
    fn change(&mut self, folder: &Folder, step: &Step) {
        self.clock += 1;
        let (id, time) = (self.clock, self.clock);
        match *step {
            Step::Write(path, content) => {
                let id = self.world.get(PATHS[path]).map_or(id, |file| file.id);
                self.world.insert(PATHS[path], File { id, time, content });
                folder.write(PATHS[path], CONTENTS[content]);
            }
            Step::Remove(path) if self.world.remove(PATHS[path]).is_some() => folder.remove(PATHS[path]),
            Step::Rename(from, to) if from != to && self.world.contains_key(PATHS[from]) => {
                let file = self.world.remove(PATHS[from]).unwrap();
                self.world.insert(PATHS[to], File { time, ..file });
                folder.rename(PATHS[from], PATHS[to]);
            }
            Step::Chmod(path) => {
                if let Some(file) = self.world.get_mut(PATHS[path]) {
                    file.time = time;
                    folder.chmod(PATHS[path], if time % 2 == 0 { 0o600 } else { 0o644 });
                }
            }
            _ => {}
        }
    }
}

async fn run(steps: &[Step]) {
    let mut folder = Folder::new(json!({ "bootstrap": "all" }));
    std::fs::create_dir(folder.path("d")).unwrap();
    let mut model = Model::default();
    let mut saved = vec![(folder.memory.saved(), model.known.clone())];
    for step in steps.iter().chain([&Step::Poll, &Step::Poll]) {
        match step {
            Step::Poll => {
                let expected = model.poll();
                // A file that changes with every poll is reported ever more rarely, unless time passes.
                folder.pass(60);
                folder.check(&expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
                saved.push((folder.memory.saved(), model.known.clone()));
            }
            Step::LostPoll => folder.lost_poll().await,
            Step::Restart => folder.restart(json!({})),
            Step::Rewind(back) => {
                let (state, known) = saved[saved.len().saturating_sub(back + 1)].clone();
                folder.memory.rewind(state);
                model.known = known;
            }
            change => model.change(&folder, change),
        }
    }
    let events = folder.memory.events();
    let ids: HashSet<&str> = events.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!(ids.len(), events.len());
    assert_eq!(events.len(), model.reported.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_change_is_reported_once(steps in prop::collection::vec(step(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(&steps));
    }
}

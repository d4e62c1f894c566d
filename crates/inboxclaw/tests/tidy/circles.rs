//! Files that import each other in a circle. A circle is a set of files of one crate that reach each other by their
//! imports: nobody can read or change one of them alone. A file that only declares another one as its module does not
//! import it.
//!
//! Left out: macros, whose insides are not parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, UseTree, Visibility};

/// A module by its path from the root of the crate, which is empty.
type Module = Vec<String>;

/// The circles of a crate, each as the names of its files.
pub(crate) fn of_crate(src: &Path) -> Vec<Vec<String>> {
    let files: BTreeMap<Module, Imports> = rust_files(src)
        .into_iter()
        .filter_map(|file| Some((module(src, &file)?, Imports::of(&fs::read_to_string(&file).unwrap()))))
        .collect();
    let edges: BTreeMap<&Module, BTreeSet<Module>> = files
        .iter()
        .map(|(module, imports)| {
            let found = imports.paths.iter().filter_map(|path| resolve(&files, module, path));
            (module, found.filter(|found| found != module && files.contains_key(found)).collect())
        })
        .collect();
    let reached: BTreeMap<&Module, BTreeSet<Module>> =
        files.keys().map(|module| (module, reachable(&edges, module))).collect();
    let circle = |module: &&Module| {
        let back = reached[*module].iter().filter(|other| reached[other].contains(*module));
        back.cloned().collect::<BTreeSet<Module>>()
    };
    let circles: BTreeSet<BTreeSet<Module>> = files
        .keys()
        .filter(|module| reached[*module].contains(*module))
        .map(|module| circle(&module))
        .collect();
    let name = |module: &Module| if module.is_empty() { "lib".to_owned() } else { module.join("::") };
    circles.iter().map(|circle| circle.iter().map(name).collect()).collect()
}

fn reachable(edges: &BTreeMap<&Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let (mut found, mut next) = (BTreeSet::new(), vec![from.clone()]);
    while let Some(module) = next.pop() {
        for other in &edges[&module] {
            if found.insert(other.clone()) {
                next.push(other.clone());
            }
        }
    }
    found
}

/// The module of a file; `None` for tests.
fn module(src: &Path, file: &Path) -> Option<Module> {
    let path = file.strip_prefix(src).unwrap().with_extension("");
    let parts: Module = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    match parts.last()?.as_str() {
        "tests" => None,
        "lib" if parts.len() == 1 => Some(Module::new()),
        // A program beside its library: a root of its own, which nobody imports.
        "main" if parts.len() == 1 && src.join("lib.rs").exists() => Some(vec!["main".to_owned()]),
        "main" if parts.len() == 1 => Some(Module::new()),
        _ => Some(parts),
    }
}

/// The file in which the thing at the end of a path stands, as far as the paths tell: names that are exported anew are
/// followed.
fn resolve(files: &BTreeMap<Module, Imports>, from: &Module, path: &[String]) -> Option<Module> {
    let (mut at, rest) = match path.first()?.as_str() {
        "crate" => (Module::new(), &path[1..]),
        "self" => (from.clone(), &path[1..]),
        "super" => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            (from[..from.len().checked_sub(ups)?].to_vec(), &path[ups..])
        }
        // A path that begins with a name means a module below this one, or something of another crate.
        first => {
            let child = [from.as_slice(), &[first.to_owned()]].concat();
            files.contains_key(&child).then_some((from.clone(), path))?
        }
    };
    let mut rest = rest.iter();
    for part in rest.by_ref() {
        let child = [at.as_slice(), std::slice::from_ref(part)].concat();
        if files.contains_key(&child) {
            at = child;
            continue;
        }
        let exported = files.get(&at)?.exports.iter().find(|export| export.last() == Some(part));
        return match exported {
            Some(export) if export.as_slice() != path => resolve(files, &at, export).or(Some(at)),
            _ => Some(at),
        };
    }
    Some(at)
}

/// What a file imports and exports anew, as paths.
#[derive(Default)]
struct Imports {
    paths: Vec<Vec<String>>,
    exports: Vec<Vec<String>>,
}

impl Imports {
    fn of(text: &str) -> Self {
        let mut imports = Self::default();
        imports.visit_file(&syn::parse_file(text).unwrap());
        imports
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        let paths = flat(&item.tree);
        if !matches!(item.vis, Visibility::Inherited) {
            self.exports.extend(paths.iter().cloned());
        }
        self.paths.extend(paths);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.paths.push(path.segments.iter().map(|part| part.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    // `pub(in crate::commands)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

fn flat(tree: &UseTree) -> Vec<Vec<String>> {
    match tree {
        UseTree::Path(path) => {
            let before = |rest: Vec<String>| [vec![path.ident.to_string()], rest].concat();
            flat(&path.tree).into_iter().map(before).collect()
        }
        UseTree::Group(group) => group.items.iter().flat_map(flat).collect(),
        UseTree::Name(name) if name.ident == "self" => vec![Vec::new()],
        UseTree::Name(name) => vec![vec![name.ident.to_string()]],
        UseTree::Rename(rename) if rename.ident == "self" => vec![Vec::new()],
        UseTree::Rename(rename) => vec![vec![rename.ident.to_string()]],
        UseTree::Glob(_) => vec![Vec::new()],
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                rust_files(&path)
            } else {
                Vec::from_iter((path.extension().is_some_and(|end| end == "rs")).then_some(path))
            }
        })
        .collect()
}

//! Compares the public interface of the crate `broker` with the one that `public-api.txt` records,
//! so that it never changes by accident.
//!
//! The listing is made from the sources, with what a stable toolchain offers. It covers
//! * every name that the crate exports at its root, with the feature that it needs, and every name
//!   in the public modules of the crates that it exports whole;
//! * of each of them, where it comes up first: fields, variants, signatures of public functions,
//!   derived and implemented traits, and whether it is `non_exhaustive`.
//!
//! It does not cover what macros make (the variants of `Reason`, `ErrorCode` and `LogId`) and the
//! modules of the protocol that `core` passes on (`limits`, `wire`).
//!
//! After a change that is wanted, `RECORD=1 cargo test -p broker --test public_api` writes the file
//! anew.

#![allow(clippy::unwrap_used, clippy::panic)]

use quote::ToTokens;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::{Attribute, ImplItem, Item, TraitItem, UseTree, Visibility};

/// The crates that the facade exports, by the names that they have there.
const EXPORTED: [(&str, &str); 7] = [
    ("core", "broker-core"),
    ("data", "broker-data"),
    ("tls", "broker-tls"),
    ("tcp", "broker-transport-tcp"),
    ("ws", "broker-transport-ws"),
    ("quic", "broker-transport-quic"),
    ("bridge", "broker-bridge"),
];

/// What is known of each name of a crate.
#[derive(Default)]
struct Definitions {
    /// Where types of this name are defined.
    types: BTreeMap<String, Vec<String>>,
    lines: BTreeMap<String, BTreeSet<String>>,
}

/// The facade and all crates behind it.
fn definitions() -> Vec<Definitions> {
    let crates = ["broker", "broker-proto"].into_iter().chain(EXPORTED.map(|(_, name)| name));
    let read_crate = |name| {
        let mut definitions = Definitions::default();
        read(&sources(name), &mut definitions);
        definitions
    };
    crates.map(read_crate).collect()
}

fn sources(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src")
}

#[test]
fn no_two_public_types_share_a_name() {
    let mut places = BTreeMap::<String, Vec<String>>::new();
    for definitions in definitions() {
        for (name, files) in definitions.types {
            places.entry(name).or_default().extend(files);
        }
    }
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "one name for several types: {places:#?}");
}

#[test]
fn the_public_interface_is_the_recorded_one() {
    let mut listing =
        Listing { definitions: definitions(), known: BTreeSet::new(), entries: Vec::new() };
    listing.add_file(&sources("broker").join("lib.rs"), "");
    for (name, package) in EXPORTED {
        listing.add_file(&sources(package).join("lib.rs"), &format!("{name}::"));
    }
    listing.entries.sort();
    let listing = listing.entries.concat();

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("public-api.txt");
    if std::env::var_os("RECORD").is_some() {
        fs::write(&file, &listing).unwrap();
    }
    let recorded = fs::read_to_string(&file).unwrap();
    let (now, before): (BTreeSet<_>, BTreeSet<_>) =
        (listing.lines().collect(), recorded.lines().collect());
    let (new, gone) = (now.difference(&before), before.difference(&now));
    assert!(
        listing == recorded,
        "the public interface is not the recorded one\nnew: {:#?}\ngone: {:#?}",
        new.collect::<Vec<_>>(),
        gone.collect::<Vec<_>>()
    );
}

fn parse(file: &Path) -> syn::File {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"))
}

struct Listing {
    definitions: Vec<Definitions>,
    /// Names whose definitions have been listed.
    known: BTreeSet<String>,
    entries: Vec<String>,
}

impl Listing {
    /// Lists what a file exports, and the public modules below it.
    fn add_file(&mut self, file: &Path, module: &str) {
        self.add_items(&parse(file).items, module, file);
    }

    fn add_items(&mut self, items: &[Item], module: &str, file: &Path) {
        for item in items.iter().filter(|item| is_public(item)) {
            match item {
                Item::Use(item) => {
                    let mut names = Vec::new();
                    flatten(&item.tree, "", &mut names);
                    for (name, path) in names {
                        self.add(module, &name, &format!("use {path}"), &item.attrs);
                    }
                }
                Item::Mod(item) => {
                    let name = item.ident.to_string();
                    self.add(module, &name, "mod", &item.attrs);
                    let module = format!("{module}{name}::");
                    match &item.content {
                        Some((_, items)) => self.add_items(items, &module, file),
                        None => self.add_file(&file_of(file, &name), &module),
                    }
                }
                Item::Fn(item) => self.add(module, &item.sig.ident, "fn", &item.attrs),
                Item::Struct(item) => self.add(module, &item.ident, "struct", &item.attrs),
                Item::Enum(item) => self.add(module, &item.ident, "enum", &item.attrs),
                Item::Trait(item) => self.add(module, &item.ident, "trait", &item.attrs),
                Item::Type(item) => self.add(module, &item.ident, "type", &item.attrs),
                Item::Const(item) => self.add(module, &item.ident, "const", &item.attrs),
                _ => {}
            }
        }
    }

    fn add(&mut self, module: &str, name: &impl ToString, kind: &str, attributes: &[Attribute]) {
        let name = name.to_string();
        let features: Vec<_> =
            attributes.iter().filter(|a| a.path().is_ident("cfg")).map(text).collect();
        let mut entry = format!("{module}{name}: {kind} {}", features.join(" "));
        entry.truncate(entry.trim_end().len());
        entry.push('\n');
        let of_type = |known: &&Definitions| known.types.contains_key(&name);
        let of_name = |known: &&Definitions| known.lines.contains_key(&name);
        let all = &self.definitions;
        let known = all.iter().find(of_type).or_else(|| all.iter().find(of_name));
        if let Some(known) = known.filter(|_| self.known.insert(name.clone())) {
            for line in &known.lines[&name] {
                entry.push_str(&format!("    {line}\n"));
            }
        }
        self.entries.push(entry);
    }
}

/// Where a module is that a file declares.
fn file_of(declared_in: &Path, name: &str) -> PathBuf {
    let stem = declared_in.file_stem().unwrap();
    let folder = if stem == "lib" || stem == "mod" {
        declared_in.parent().unwrap().to_owned()
    } else {
        declared_in.with_extension("")
    };
    let file = folder.join(name).with_extension("rs");
    if file.exists() { file } else { folder.join(name).join("mod.rs") }
}

/// The names that a `use` makes, with what they stand for.
fn flatten(tree: &UseTree, path: &str, names: &mut Vec<(String, String)>) {
    match tree {
        UseTree::Path(tree) => flatten(&tree.tree, &format!("{path}{}::", tree.ident), names),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, path, names)),
        UseTree::Name(tree) if tree.ident == "self" => {
            let path = path.trim_end_matches("::");
            names.push((path.rsplit("::").next().unwrap().to_owned(), path.to_owned()));
        }
        UseTree::Name(tree) => {
            names.push((tree.ident.to_string(), format!("{path}{}", tree.ident)))
        }
        UseTree::Rename(tree) => {
            names.push((tree.rename.to_string(), format!("{path}{}", tree.ident)));
        }
        UseTree::Glob(_) => names.push(("*".to_owned(), format!("{path}*"))),
    }
}

/// Reads what all files of a folder define.
fn read(folder: &Path, definitions: &mut Definitions) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, definitions);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for item in &parse(&path).items {
                if let (Some(name), true) = (type_name(item), is_public(item)) {
                    let places = definitions.types.entry(name).or_default();
                    places.push(path.display().to_string());
                }
                define(item, &mut definitions.lines);
            }
        }
    }
}

fn type_name(item: &Item) -> Option<String> {
    match item {
        Item::Struct(item) => Some(item.ident.to_string()),
        Item::Enum(item) => Some(item.ident.to_string()),
        Item::Trait(item) => Some(item.ident.to_string()),
        Item::Type(item) => Some(item.ident.to_string()),
        _ => None,
    }
}

fn define(item: &Item, definitions: &mut BTreeMap<String, BTreeSet<String>>) {
    let mut add = |name: String, line: String| {
        definitions.entry(name).or_default().insert(line);
    };
    match item {
        Item::Impl(item) => {
            let syn::Type::Path(of) = &*item.self_ty else { return };
            let Some(name) = of.path.segments.last().map(|segment| segment.ident.to_string())
            else {
                return;
            };
            match &item.trait_ {
                Some((_, of, _)) => add(name, format!("impl {}", text(of))),
                None => {
                    for member in &item.items {
                        match member {
                            ImplItem::Fn(member) if is_open(&member.vis) => {
                                add(name.clone(), text(&member.sig));
                            }
                            ImplItem::Const(member) if is_open(&member.vis) => {
                                add(name.clone(), format!("const {}", member.ident));
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        item if !is_public(item) => {}
        Item::Struct(item) => {
            attributes(&item.attrs, |line| add(item.ident.to_string(), line));
            for field in item.fields.iter().filter(|field| is_open(&field.vis)) {
                let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
                add(item.ident.to_string(), format!("field {name}: {}", text(&field.ty)));
            }
        }
        Item::Enum(item) => {
            attributes(&item.attrs, |line| add(item.ident.to_string(), line));
            for variant in &item.variants {
                let mut fields = variant.fields.clone();
                fields.iter_mut().for_each(|field| field.attrs.clear());
                let fields = text(&fields);
                add(item.ident.to_string(), format!("variant {}{fields}", variant.ident));
            }
        }
        Item::Trait(item) => {
            for member in &item.items {
                if let TraitItem::Fn(member) = member {
                    add(item.ident.to_string(), text(&member.sig));
                }
            }
        }
        Item::Fn(item) => add(item.sig.ident.to_string(), text(&item.sig)),
        Item::Type(item) => add(item.ident.to_string(), format!("type = {}", text(&item.ty))),
        Item::Const(item) => add(item.ident.to_string(), format!("const: {}", text(&item.ty))),
        _ => {}
    }
}

fn attributes(of: &[Attribute], mut add: impl FnMut(String)) {
    for attribute in of.iter().filter(|a| a.path().is_ident("non_exhaustive")) {
        add(text(attribute));
    }
    for attribute in of.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        // A parser that cannot fail: what is not a list of traits does not compile.
        attribute
            .parse_nested_meta(|meta| {
                add(format!("impl {}", text(&meta.path)));
                Ok(())
            })
            .unwrap();
    }
}

fn is_open(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Whether others see it; modules that the documentation does not show count as private.
fn is_public(item: &Item) -> bool {
    let is_hidden = |attribute: &Attribute| {
        attribute.path().is_ident("doc") && text(attribute).contains("hidden")
    };
    match item {
        Item::Mod(item) if item.attrs.iter().any(is_hidden) => false,
        Item::Use(item) => is_open(&item.vis),
        Item::Mod(item) => is_open(&item.vis),
        Item::Fn(item) => is_open(&item.vis),
        Item::Struct(item) => is_open(&item.vis),
        Item::Enum(item) => is_open(&item.vis),
        Item::Trait(item) => is_open(&item.vis),
        Item::Type(item) => is_open(&item.vis),
        Item::Const(item) => is_open(&item.vis),
        _ => false,
    }
}

/// Code as text, without the spaces that nobody writes.
fn text(code: &(impl ToTokens + Clone)) -> String {
    let mut text = code.to_token_stream().to_string();
    text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (from, to) in [
        (" :: ", "::"),
        (" < ", "<"),
        ("< ", "<"),
        (" > ", "> "),
        (" >", ">"),
        (" ,", ","),
        (" :", ":"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        ("& ", "&"),
        ("# [", "#["),
        (" ]", "]"),
        (" ;", ";"),
        ("? ", "?"),
        (",)", ")"),
    ] {
        text = text.replace(from, to);
    }
    text
}

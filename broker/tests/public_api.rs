//! Compares the public interface of the crate `broker` with the one that `public-api.txt` records,
//! so that it never changes by accident.
//!
//! The listing is made from the sources, with what a stable toolchain offers. It covers
//! * every name that the crate exports at its root, in `event` and in `metrics`, with the feature
//!   that it needs;
//! * of each of them that is defined in `broker`, `broker-core` or `broker-proto`: fields,
//!   variants, signatures of public functions, derived and implemented traits;
//! * the names that `data` exports at its root.
//!
//! It does not cover the crates that are exported whole (`core`, `tcp`, `tls`, `ws`, `quic`), the
//! modules below `data`, nor what macros make (the variants of `Reason`, `ErrorCode` and `LogId`).
//!
//! After a change that is wanted, `RECORD=1 cargo test -p broker --test public_api` writes the file
//! anew.

#![allow(clippy::unwrap_used, clippy::panic)]

use quote::ToTokens;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use syn::{Attribute, ImplItem, Item, TraitItem, UseTree, Visibility};

/// What is known of each name of a crate.
type Definitions = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_public_interface_is_the_recorded_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let definitions = ["broker", "broker-core", "broker-proto"].map(|name| {
        let mut definitions = Definitions::new();
        read(&root.join("..").join(name).join("src"), &mut definitions);
        definitions
    });
    let mut lines = Vec::new();
    list(&parse(&root.join("src/lib.rs")).items, "", &definitions, &mut lines);
    let event = parse(&root.join("../broker-core/src/event.rs"));
    list(&event.items, "event::", &definitions, &mut lines);
    list(&parse(&root.join("../broker-data/src/lib.rs")).items, "data::", &[], &mut lines);
    lines.sort();
    let listing = lines.concat();

    let file = root.join("public-api.txt");
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

/// Lists what a module exports, and what is known of it.
fn list(items: &[Item], module: &str, definitions: &[Definitions], lines: &mut Vec<String>) {
    let mut add = |name: &str, kind: &str, attributes: &[Attribute]| {
        let features: Vec<_> =
            attributes.iter().filter(|a| a.path().is_ident("cfg")).map(text).collect();
        let mut entry = format!("{module}{name}: {kind} {}", features.join(" "));
        entry.truncate(entry.trim_end().len());
        entry.push('\n');
        // The facade's own names first, then those that it passes on.
        for line in definitions.iter().find_map(|known| known.get(name)).into_iter().flatten() {
            entry.push_str(&format!("    {line}\n"));
        }
        lines.push(entry);
    };
    for item in items.iter().filter(|item| is_public(item)) {
        match item {
            Item::Use(item) => {
                let mut names = Vec::new();
                flatten(&item.tree, "", &mut names);
                for (name, path) in names {
                    add(&name, &format!("use {path}"), &item.attrs);
                }
            }
            Item::Mod(item) => {
                add(&item.ident.to_string(), "mod", &item.attrs);
            }
            Item::Fn(item) => add(&item.sig.ident.to_string(), "fn", &item.attrs),
            Item::Struct(item) => add(&item.ident.to_string(), "struct", &item.attrs),
            Item::Enum(item) => add(&item.ident.to_string(), "enum", &item.attrs),
            Item::Type(item) => add(&item.ident.to_string(), "type", &item.attrs),
            _ => {}
        }
    }
    for item in items.iter().filter(|item| is_public(item)) {
        if let Item::Mod(syn::ItemMod { ident, content: Some((_, items)), .. }) = item {
            list(items, &format!("{module}{ident}::"), definitions, lines);
        }
    }
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
            parse(&path).items.iter().for_each(|item| define(item, definitions));
        }
    }
}

fn define(item: &Item, definitions: &mut Definitions) {
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

fn is_public(item: &Item) -> bool {
    match item {
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

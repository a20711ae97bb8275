//! The crates of a session that rust-analyzer is told of: those whose types a cell can meet.
//!
//! Before it knows the type of a variable it reads every crate that `cargo metadata` names, some 170 for `gpt_lab`, and
//! before each cell it asks of everything it has read whether it still holds. Most of those crates work inside: they
//! compress, draw, multiply, speak HTTPS; nothing that a cell can name is theirs. Without them a session starts in half
//! the time, and a cell that binds a variable waits a tenth of a second less.

use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;

/// For crates that come with `gpt_lab`, the dependencies whose types show in what they offer.
const SHOWN: &[(&str, &[&str])] = &[
    ("candle-core", &["half", "num-traits", "safetensors"]),
    ("candle-nn", &["candle-core", "half", "num-traits"]),
    ("half", &[]),
    ("num-traits", &[]),
    ("safetensors", &[]),
    ("serde_json", &[]),
];

/// True if rust-analyzer is told of one of a crate's dependencies. Of crates that are not listed it is told of all, and
/// of the learner's own `:dep` too; of `gpt_lab`'s, it is told of those that are not `inside`.
fn shows(name: &str, is_learners: bool, dep: &str, inside: &HashSet<&str>) -> bool {
    if name == "gpt_lab" {
        return !inside.contains(dep);
    }
    let shown = SHOWN.iter().find(|(listed, _)| *listed == name && !is_learners);
    shown.is_none_or(|(_, shown)| shown.contains(&dep))
}

/// True if cargo is asked for metadata as rust-analyzer asks (evcxr asks for all platforms, and needs all crates).
pub fn is_analyzers(args: &[OsString]) -> bool {
    let has = |word: &str| args.iter().any(|arg| arg == word);
    has("metadata") && has("--filter-platform") && !has("--no-deps")
}

/// Cargo's metadata with the crates that show; unchanged where it is not of the expected form.
pub fn shown(metadata: &[u8]) -> Vec<u8> {
    let shorter = serde_json::from_slice(metadata).ok().and_then(without_the_others);
    shorter.map_or_else(|| metadata.to_vec(), |value| value.to_string().into_bytes())
}

fn without_the_others(mut metadata: Value) -> Option<Value> {
    let kept = reached(&metadata)?;
    let is_kept = |id: &Value| id.as_str().is_some_and(|id| kept.contains(id));
    metadata["packages"].as_array_mut()?.retain(|package| is_kept(&package["id"]));
    let nodes = metadata["resolve"]["nodes"].as_array_mut()?;
    nodes.retain(|node| is_kept(&node["id"]));
    for node in nodes {
        node["deps"].as_array_mut()?.retain(|dep| is_kept(&dep["pkg"]));
        node["dependencies"].as_array_mut()?.retain(is_kept);
    }
    Some(metadata)
}

/// The dependencies of `gpt_lab` of which nothing shows in what it offers: `[package.metadata.gpt_lab]` in its
/// manifest.
fn inside(packages: &[Value]) -> HashSet<&str> {
    let ours = packages.iter().filter(|package| package["name"] == "gpt_lab");
    let lists = ours.filter_map(|package| package["metadata"]["gpt_lab"]["inside"].as_array());
    lists.flatten().filter_map(Value::as_str).collect()
}

/// The ids that are reached from the workspace by what shows.
fn reached(metadata: &Value) -> Option<HashSet<String>> {
    let packages = metadata["packages"].as_array()?;
    let inside = inside(packages);
    let names: HashMap<&str, &str> = packages
        .iter()
        .map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
        .collect::<Option<_>>()?;
    let nodes = metadata["resolve"]["nodes"].as_array()?.iter();
    let nodes: HashMap<&str, &Value> = nodes.map(|node| Some((node["id"].as_str()?, node))).collect::<Option<_>>()?;
    let deps_of = |id: &str| -> Option<Vec<&str>> {
        nodes.get(id)?["deps"].as_array()?.iter().map(|dep| dep["pkg"].as_str()).collect()
    };
    let members = metadata["workspace_members"].as_array()?.iter();
    let members: Vec<&str> = members.map(Value::as_str).collect::<Option<_>>()?;
    let of_members = members.iter().map(|id| deps_of(id)).collect::<Option<Vec<_>>>()?;
    let learners: HashSet<&str> = of_members.into_iter().flatten().collect();
    let (mut open, mut reached) = (members, HashSet::new());
    while let Some(id) = open.pop() {
        if reached.insert(id.to_owned()) {
            let name = names.get(id)?;
            for dep in deps_of(id)? {
                if shows(name, learners.contains(id), names.get(dep)?, &inside) {
                    open.push(dep);
                }
            }
        }
    }
    Some(reached)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(edges: &[(&str, &[&str])]) -> Value {
        let id = |name: &str| format!("registry#{name}@1");
        let about = |name: &str| {
            if name == "gpt_lab" { json!({"gpt_lab": {"inside": ["ring", "serde"]}}) } else { json!(null) }
        };
        let package = |(name, _): &(&str, _)| json!({"id": id(name), "name": name, "metadata": about(name)});
        let packages: Vec<Value> = edges.iter().map(package).collect();
        let node = |(name, to): &(&str, &[&str])| {
            let deps: Vec<Value> = to.iter().map(|to| json!({"pkg": id(to), "name": to})).collect();
            json!({"id": id(name), "deps": deps, "dependencies": to.iter().map(|to| id(to)).collect::<Vec<_>>()})
        };
        let nodes: Vec<Value> = edges.iter().map(node).collect();
        json!({"packages": packages, "resolve": {"nodes": nodes, "root": null}, "workspace_members": [id("ctx")]})
    }

    fn names(metadata: &Value) -> Vec<&str> {
        metadata["packages"].as_array().unwrap().iter().map(|package| package["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn what_works_inside_gpt_lab_is_left_out_and_what_the_learner_adds_is_not() {
        let whole = metadata(&[
            ("ctx", &["gpt_lab", "rand"]),
            ("gpt_lab", &["candle-core", "candle-nn", "ring", "serde", "new"]),
            ("candle-core", &["gemm", "half", "num-traits"]),
            ("candle-nn", &["candle-core", "half", "num-traits", "rayon"]),
            ("half", &["zerocopy"]),
            ("rand", &["zerocopy", "serde"]),
            ("zerocopy", &[]),
            ("serde", &[]),
            ("num-traits", &[]),
            ("gemm", &["rayon"]),
            ("rayon", &[]),
            ("ring", &[]),
            ("new", &[]),
        ]);
        let short: Value = serde_json::from_slice(&shown(whole.to_string().as_bytes())).unwrap();
        let expected =
            ["ctx", "gpt_lab", "candle-core", "candle-nn", "half", "rand", "zerocopy", "serde", "num-traits", "new"];
        assert_eq!(names(&short), expected);
        let nodes = short["resolve"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), expected.len());
        let known: HashSet<&Value> = nodes.iter().map(|node| &node["id"]).collect();
        for node in nodes {
            assert!(node["deps"].as_array().unwrap().iter().all(|dep| known.contains(&dep["pkg"])));
            assert!(node["dependencies"].as_array().unwrap().iter().all(|dep| known.contains(dep)));
        }
        let kept = ["candle-core", "candle-nn", "serde", "new"].map(|name| format!("registry#{name}@1"));
        assert_eq!(nodes[1]["dependencies"], json!(kept));
    }

    #[test]
    fn a_crate_that_the_learner_asks_for_is_told_whole() {
        let whole = metadata(&[
            ("ctx", &["gpt_lab", "half"]),
            ("gpt_lab", &["candle-core"]),
            ("candle-core", &["half", "gemm"]),
            ("half", &["zerocopy"]),
            ("zerocopy", &[]),
            ("gemm", &[]),
        ]);
        let short: Value = serde_json::from_slice(&shown(whole.to_string().as_bytes())).unwrap();
        assert_eq!(names(&short), ["ctx", "gpt_lab", "candle-core", "half", "zerocopy"]);
    }

    #[test]
    fn other_workspaces_and_other_forms_are_left_alone() {
        let std = metadata(&[("ctx", &["core", "hashbrown"]), ("core", &[]), ("hashbrown", &["core"])]);
        assert_eq!(serde_json::from_slice::<Value>(&shown(std.to_string().as_bytes())).unwrap(), std);
        for odd in ["", "{}", "error: no", "{\"packages\":[],\"resolve\":null,\"workspace_members\":[]}"] {
            assert_eq!(shown(odd.as_bytes()), odd.as_bytes());
        }
    }

    #[test]
    fn what_shows_of_other_crates_is_still_theirs() {
        let lock = include_str!("../../../Cargo.lock");
        for (name, shown) in SHOWN {
            let about = lock.split("[[package]]").find(|about| about.contains(&format!("name = \"{name}\"\n")));
            let about = about.unwrap_or_else(|| panic!("{name} is in Cargo.lock no more: remove it from SHOWN"));
            for dep in *shown {
                assert!(
                    about.contains(&format!(" \"{dep}")),
                    "{name} needs {dep} no more: look which types it shows now, and change SHOWN"
                );
            }
        }
    }

    #[test]
    fn only_rust_analyzers_question_is_meant() {
        let asks = |line: &str| is_analyzers(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(asks("metadata --format-version 1 --manifest-path a/Cargo.toml --filter-platform x86_64"));
        assert!(!asks("metadata --format-version 1 --no-deps --manifest-path a/Cargo.toml --filter-platform x86_64"));
        assert!(!asks("--offline metadata --format-version=1"));
        assert!(!asks("build --target x86_64 --message-format=json"));
    }
}

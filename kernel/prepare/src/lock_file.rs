//! Cargo's lock file: which crate needs which.

use std::collections::{BTreeMap, BTreeSet};

/// The names of a crate and of all that it needs, directly or not.
pub fn needed_by<'lock>(name: &'lock str, lock: &'lock str) -> BTreeSet<&'lock str> {
    let needs = needs(lock);
    let mut found = BTreeSet::from([name]);
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        open.extend(needs.get(name).into_iter().flatten().filter(|next| found.insert(next)));
    }
    found
}

/// The names of the crates that each crate needs directly.
pub fn needs(lock: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(rest) = line.strip_prefix("name = ") {
            name = rest.trim_matches('"');
            needs.entry(name).or_default();
        } else if let Some(rest) = line.strip_prefix(" \"") {
            let dependency = rest.split([' ', '"']).next().unwrap_or_default();
            needs.entry(name).or_default().push(dependency);
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_by_way_of_others_counts() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1\"\ndependencies = [\n \"b\",\n \"c 1.0.0\",\n]\n\n\
            [[package]]\nname = \"b\"\ndependencies = [\n \"d\",\n]\n\n[[package]]\nname = \"e\"\n";
        assert_eq!(needed_by("a", lock), BTreeSet::from(["a", "b", "c", "d"]));
        assert_eq!(needs(lock)["e"], [""; 0]);
    }
}

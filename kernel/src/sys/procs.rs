//! The processes below ours, from `/proc`.

use std::collections::HashMap;

/// Process id, parent's id and name of every process that can be seen.
fn all() -> Vec<(i32, i32, String)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
            let parent = rest.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent, name.to_owned()))
        })
        .collect()
}

/// Every process below `root`, parents before children.
pub fn descendants(root: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (pid, parent, _) in all() {
        children.entry(parent).or_default().push(pid);
    }
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        found.extend(children.get(&found[next]).into_iter().flatten());
        next += 1;
    }
    found.split_off(1)
}

/// Kills what is below `root`, except the subtree of `spared`.
pub fn kill_descendants(root: i32, spared: Option<i32>) {
    let keep: Vec<i32> = spared.map(|pid| [vec![pid], descendants(pid)].concat()).unwrap_or_default();
    for pid in descendants(root) {
        if !keep.contains(&pid) {
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
}

/// Kills a whole process group.
pub fn kill_group(leader: i32) {
    if leader > 1 {
        unsafe { libc::kill(-leader, libc::SIGKILL) };
    }
}

/// Whether a process exists. A zombie counts as gone, once its last thread is: until then it holds its files and locks.
pub fn is_alive(pid: i32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let dead = stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim().starts_with(['Z', 'X']));
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    !dead || threads > 1
}

/// Waits until a process is gone.
pub fn wait_gone(pid: i32) {
    while is_alive(pid) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_child_is_seen_and_killed_unless_spared() {
        let own = std::process::id() as i32;
        let mut spared = Command::new("sleep").arg("60").spawn().unwrap();
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(descendants(own).contains(&(spared.id() as i32)));
        kill_descendants(own, Some(spared.id() as i32));
        assert!(!other.wait().unwrap().success());
        assert!(is_alive(spared.id() as i32));
        spared.kill().unwrap();
        spared.wait().unwrap();
        assert!(!is_alive(spared.id() as i32));
    }
}

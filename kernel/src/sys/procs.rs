//! The processes below ours, from `/proc`.

use rustix::process::{Pid, Signal};
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

/// Kills one process.
pub fn kill(pid: i32) {
    if let Some(pid) = positive(pid) {
        // A process that is gone already is what the caller wants.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Sends a signal to one process.
pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = positive(pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// True if a process, or one below it, waits until something comes through a pipe that is its standard input; the pipe
/// is known by its number. `None` if the system does not tell.
pub fn waits_for_pipe(root: i32, number: u64) -> Option<bool> {
    // Without the file for ourselves there is none for others.
    if std::fs::metadata("/proc/self/syscall").is_err() {
        return None;
    }
    let wanted = format!("pipe:[{number}]");
    let mut told = false;
    for pid in with_children(root) {
        let is_ours =
            std::fs::read_link(format!("/proc/{pid}/fd/0")).is_ok_and(|link| link.as_os_str() == wanted.as_str());
        if !is_ours {
            continue;
        }
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let Ok(call) = std::fs::read_to_string(task.path().join("syscall")) else { continue };
            told = true;
            if reads_stdin(&call) {
                return Some(true);
            }
        }
    }
    told.then_some(false)
}

/// A process and those below it, found without looking at all others: this is asked many times a second.
fn with_children(root: i32) -> Vec<i32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<i32>().ok()));
        }
        next += 1;
    }
    found
}

/// True if this is the system call read(2) or readv(2) of descriptor 0: `0 0x0 0x7f…`.
fn reads_stdin(call: &str) -> bool {
    let mut words = call.split_whitespace();
    let numbers: [&str; 2] = if cfg!(target_arch = "x86_64") { ["0", "19"] } else { ["63", "65"] };
    words.next().is_some_and(|number| numbers.contains(&number)) && words.next() == Some("0x0")
}

/// Kills this very process, without running what a normal end runs.
pub fn kill_self() -> ! {
    loop {
        kill(std::process::id() as i32);
    }
}

/// The id of a process, which is above 0; other numbers mean groups.
fn positive(pid: i32) -> Option<Pid> {
    (pid > 0).then(|| Pid::from_raw(pid)).flatten()
}

/// Kills what is below `root`, except the subtree of `spared`.
pub fn kill_descendants(root: i32, spared: Option<i32>) {
    let keep: Vec<i32> = spared.map(|pid| [vec![pid], descendants(pid)].concat()).unwrap_or_default();
    for pid in descendants(root) {
        if !keep.contains(&pid) {
            kill(pid);
        }
    }
}

/// Kills a whole process group, if `leader` can be the leader of one.
pub fn kill_group(leader: i32) {
    if let Some(leader) = positive(leader).filter(|pid| !pid.is_init()) {
        let _ = rustix::process::kill_process_group(leader, Signal::KILL);
    }
}

/// True if a process exists. A zombie counts as gone, once its last thread is: until then it holds its files and locks.
pub fn is_alive(pid: i32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let dead = stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim().starts_with(['Z', 'X']));
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    !dead || threads > 1
}

/// Seconds of processor time: of this process, and of the programs that it has waited for.
pub fn processor_seconds() -> [f64; 2] {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    // proc_pid_stat(5): utime, stime, cutime and cstime are the fields 14 to 17; the name before `)` is the second.
    let ticks: Vec<f64> = fields.skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    let [user, system, users, systems] = ticks[..] else { return [0.0; 2] };
    let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
    [(user + system) * tick, (users + systems) * tick]
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
    fn processor_time_of_ours_and_of_called_programs_is_counted() {
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(Command::new("sh").args(["-c", busy]).status().unwrap().success());
        let start = std::time::Instant::now();
        while start.elapsed() < std::time::Duration::from_millis(50) {}
        let [own, called] = processor_seconds();
        assert!(own > 0.0 && called > 0.0, "{own} {called}");
    }

    #[test]
    fn what_is_below_a_process_is_seen_and_killed_unless_spared() {
        let mut root = Command::new("sh").args(["-c", "sleep 60 & sleep 60 & wait"]).spawn().unwrap();
        let own = root.id() as i32;
        let below = loop {
            let found = descendants(own);
            if found.len() == 2 {
                break found;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert!(descendants(std::process::id() as i32).contains(&own));
        kill_descendants(own, Some(below[0]));
        wait_gone(below[1]);
        assert!(is_alive(below[0]) && is_alive(own));
        kill(below[0]);
        assert!(root.wait().unwrap().success());
        assert!(!is_alive(below[0]) && !is_alive(own));
    }
}

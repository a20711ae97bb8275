//! Numbers and times as text.

use std::time::Duration;

/// `12345678` as `12,345,678`.
pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}

/// A duration as `7 s`, `3 min 05 s` or `1 h 02 min`.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated_and_times_have_two_units() {
        assert_eq!([0, 999, 1000, 12_345_678].map(thousands), ["0", "999", "1,000", "12,345,678"]);
        let times = [0, 7, 59, 130, 185, 3720, 11_100].map(|s| clock(Duration::from_secs(s)));
        assert_eq!(times, ["0 s", "7 s", "59 s", "2 min 10 s", "3 min 05 s", "1 h 02 min", "3 h 05 min"]);
    }
}

//! Shares of cases as bars, with what so few cases leave open.

use super::bars::label;
use super::paint::{BLUE, MONO, short, tint};
use super::{Picture, escape};
use crate::core::format::thousands;
use crate::eval::Share;
use crate::lab::el;

/// More bars than this are counted, not drawn.
const MOST: usize = 100;
/// Characters of a bar in plain text.
const PLAIN_WIDTH: usize = 40;
/// Characters of a name that are shown.
const LONGEST: usize = 60;

/// One bar from 0 to 100 % for each name, with a whisker from end to end of its 95 % interval. The number of cases
/// stands under the bars if all have the same, else beside each. At most 100 are drawn; a share of no cases has no bar.
pub fn shares(title: &str, items: &[(String, Share)]) -> Picture {
    let drawn = &items[..items.len().min(MOST)];
    let same = drawn.first().map(|(_, first)| first.of).filter(|of| drawn.iter().all(|(_, share)| share.of == *of));
    let foot = foot(items.len() - drawn.len(), drawn.is_empty(), same);
    let rows: String = drawn.iter().map(|(name, share)| row(name, share, same.is_none())).collect();
    let head = el("div", "font-weight:600;margin-bottom:4px", escape(title));
    let rows = rows + if drawn.is_empty() { String::new() } else { scale() }.as_str();
    let table = el("table", "border-collapse:collapse;margin:0;font-size:13px", rows);
    let html = el("div", "max-width:680px", head + &table + &el("div", "font-size:12px;opacity:0.75", &foot));
    let width = drawn.iter().map(|(name, _)| name_of(name).chars().count()).max().unwrap_or(0);
    let plain = drawn.iter().map(|(name, share)| line(name, share, width, same.is_none()));
    let lines = [title.to_string()].into_iter().chain(plain).chain([foot]).filter(|line| !line.is_empty());
    Picture::of_html(lines.collect::<Vec<_>>().join("\n"), html)
}

fn foot(rest: usize, empty: bool, same: Option<usize>) -> String {
    let rest = (rest > 0).then(|| format!("… and {} more", thousands(rest)));
    let cases = same.map(|of| format!("n = {}", thousands(of)));
    match empty {
        true => "nothing to show".to_string(),
        false => {
            rest.into_iter().chain(cases).chain(["whiskers: 95 % intervals".into()]).collect::<Vec<_>>().join(" · ")
        }
    }
}

fn name_of(name: &str) -> String {
    short(&label(name), LONGEST)
}

/// `52.5 %`
fn value(share: &Share) -> String {
    match share.of {
        0 => "no cases".to_string(),
        _ => format!("{:.1} %", 100.0 * share.value()),
    }
}

/// `44–61 %`
fn interval(share: &Share) -> String {
    let (low, high) = share.interval();
    format!("{:.0}–{:.0} %", 100.0 * low, 100.0 * high)
}

fn row(name: &str, share: &Share, with_cases: bool) -> String {
    let wrap = if name.chars().count() > 24 { "normal;max-width:220px" } else { "nowrap" };
    let right = format!("text-align:right;padding:1px 8px 1px 0;font-family:{MONO};white-space:{wrap}");
    let cases = if with_cases && share.of > 0 { format!(", n = {}", thousands(share.of)) } else { String::new() };
    let cells = [
        el("td", &right, escape(&name_of(name))),
        el("td", "padding:1px 0", track(share)),
        el("td", "text-align:left;padding:1px 0 1px 8px;white-space:nowrap", value(share) + &cases),
    ];
    el("tr", "background:none", cells.concat())
}

/// The bar with its whisker; pointing at it shows the interval.
fn track(share: &Share) -> String {
    let style = "position:relative;width:300px;height:16px;background:rgba(128,128,128,0.10);border-radius:2px";
    if share.of == 0 {
        return el("div", style, "");
    }
    let (low, high) = share.interval();
    let bar = format!(
        "position:absolute;left:0;top:0;height:16px;border-radius:2px;width:{:.2}%;background:{}",
        100.0 * share.value(),
        tint(BLUE, 0.8)
    );
    let place = format!("position:absolute;left:{:.2}%;width:{:.2}%", 100.0 * low, 100.0 * (high - low));
    let ends = format!(
        "{place};top:4px;height:8px;box-sizing:border-box;border:solid currentColor;border-width:0 1px;opacity:0.8"
    );
    let middle = format!("{place};top:7.5px;height:0;border-top:1px solid currentColor;opacity:0.8");
    let inner = el("div", &bar, "") + &el("div", &ends, "") + &el("div", &middle, "");
    format!("<div title=\"95 % interval: {}\" style=\"{style}\">{inner}</div>", interval(share))
}

/// What the ends and the middle of the bars mean.
fn scale() -> String {
    let numbers: String = ["0 %", "50 %", "100 %"].map(|number| el("span", "", number)).concat();
    let style = "display:flex;justify-content:space-between;width:300px;font-size:11px;opacity:0.75";
    el(
        "tr",
        "background:none",
        el("td", "", "") + &el("td", "padding:0", el("div", style, numbers)) + &el("td", "", ""),
    )
}

/// `GRPO █████  52.5 % (44–61 %)`
fn line(name: &str, share: &Share, width: usize, with_cases: bool) -> String {
    let filled = if share.of == 0 { 0 } else { (PLAIN_WIDTH as f64 * share.value()).round() as usize };
    let bar = "█".repeat(filled.min(PLAIN_WIDTH));
    let number = match (share.of, with_cases) {
        (0, _) => value(share),
        (_, true) => share.to_string(),
        (_, false) => format!("{} ({})", value(share), interval(share)),
    };
    format!("{:>width$} {bar:<PLAIN_WIDTH$} {number}", name_of(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, count: usize, of: usize) -> (String, Share) {
        (name.to_string(), Share { count, of })
    }

    #[test]
    fn bars_have_whiskers() {
        let picture = shares("right", &[item("SFT", 63, 120), item("<GRPO>", 120, 120)]);
        let html = picture.html.unwrap();
        for part in ["width:52.50%", "left:43.63%", "52.5 %", "100.0 %", "&lt;GRPO&gt;", "n = 120 ·"] {
            assert!(html.contains(part), "{part} is missing in {html}");
        }
        assert_eq!(html.matches("n = ").count(), 1, "all have the same: once");
        let bar = "█".repeat(21);
        assert!(picture.text.contains(&format!("   SFT {bar:<40} 52.5 % (44–61 %)\n")), "{}", picture.text);
    }

    #[test]
    fn different_numbers_of_cases_are_said_for_each() {
        let picture = shares("t", &[item("a", 1, 2), item("b", 0, 0), item("c", 3, 1200)]);
        let html = picture.html.unwrap();
        assert!(html.contains("50.0 %, n = 2<") && html.contains("n = 1,200<") && html.contains("no cases"), "{html}");
        assert!(!html.contains("NaN") && !picture.text.contains("NaN"), "{}", picture.text);
        assert!(picture.text.contains("50.0 % (9–91 %, n = 2)"), "{}", picture.text);
        assert_eq!(shares("t", &[]).text, "t\nnothing to show");
        assert!(shares("t", &vec![item("a", 1, 2); 300]).text.contains("… and 200 more · n = 2"));
    }
}

//! A model's parts and how many parameters each has.

use super::paint::{MONO, shape};
use super::{Picture, escape};
use crate::core::format::thousands;
use crate::gpt2::TreeNode;
use crate::lab::el;

/// More parts than this in one group are counted, not drawn.
const MOST: usize = 200;
/// Deeper trees are cut.
const DEEPEST: usize = 12;

/// A model as a tree to open and close, with parameter counts on every level and their share of the whole. Blocks that
/// have the same parts as the one before them are closed and marked as alike.
pub fn model_tree(tree: &TreeNode) -> Picture {
    let total = tree.count;
    let frozen = total.saturating_sub(tree.trainable);
    let trains = match frozen {
        0 => "all of them train".to_string(),
        _ => format!("{} train, {} are frozen", thousands(tree.trainable), thousands(frozen)),
    };
    let caption = format!("{}: {} parameters, {trains}", tree.name, thousands(total));
    let rows: String = group(&tree.children, total, 0);
    let head = el("div", "font-weight:600;margin-bottom:4px", escape(&caption));
    let body = el("div", &format!("font-family:{MONO};font-size:12.5px;line-height:1.5"), rows);
    let html = el("div", "max-width:680px", head + &body);
    Picture::of_html(format!("{caption}\n{}", plain(&tree.children, 0)), html)
}

/// `true` for two parts that consist of the same parts of the same shapes, whatever their own names are.
fn alike(a: &TreeNode, b: &TreeNode) -> bool {
    let same = |(a, b): (&TreeNode, &TreeNode)| a.name == b.name && alike(a, b);
    (a.shape == b.shape && a.count == b.count && a.trainable == b.trainable)
        && a.children.len() == b.children.len()
        && a.children.iter().zip(&b.children).all(same)
}

/// For each part, the name of the one before it that it is like. Only groups count: two equal vectors are no news.
fn twins(parts: &[TreeNode]) -> Vec<Option<&str>> {
    let first = |at: usize| parts[..at].iter().find(|earlier| alike(earlier, &parts[at]));
    let twin = |at: usize| if parts[at].children.is_empty() { None } else { first(at) };
    (0..parts.len()).map(|at| twin(at).map(|twin| twin.name.as_str())).collect()
}

fn group(parts: &[TreeNode], total: usize, depth: usize) -> String {
    if depth == DEEPEST {
        return "<div>…</div>".to_string();
    }
    let drawn = &parts[..parts.len().min(MOST)];
    let rows = drawn.iter().zip(twins(drawn)).map(|(part, twin)| row(part, twin, total, depth));
    let more = match parts.len() - drawn.len() {
        0 => String::new(),
        rest => format!("<div>… and {} more</div>", thousands(rest)),
    };
    rows.collect::<String>() + &more
}

/// One part. A group is a `<details>` element, which browsers open and close without a script.
fn row(part: &TreeNode, twin: Option<&str>, total: usize, depth: usize) -> String {
    let share = if total == 0 { 0.0 } else { 100.0 * part.count as f64 / total as f64 };
    let faint = "opacity:0.7";
    let note = match (twin, &part.shape, part.trainable) {
        (Some(twin), ..) => format!("like {twin}"),
        (_, Some(dims), _) => shape(dims),
        _ => String::new(),
    };
    let frozen = if part.trainable == 0 && part.count > 0 { " · frozen" } else { "" };
    let percent = el("span", faint, format!("{:>6}", format!("{share:.1}%")));
    let numbers = el("span", "float:right;white-space:pre", format!("{} {percent}", thousands(part.count)));
    let line = escape(&part.name) + " " + &el("span", faint, escape(&note) + frozen) + &numbers;
    // The share as a bar behind the line.
    let bar = format!("background:linear-gradient(to left,rgba(66,133,214,0.22) {share:.1}%,transparent {share:.1}%)");
    if part.children.is_empty() {
        return el("div", &format!("padding:0 4px 0 18px;{bar}"), line);
    }
    let open = if twin.is_none() && depth < 2 { " open" } else { "" };
    let summary = el("summary", &format!("cursor:pointer;padding:0 4px;{bar}"), line);
    let inner = "margin-left:9px;padding-left:9px;border-left:1px solid rgba(128,128,128,0.35)";
    let children = el("div", inner, group(&part.children, total, depth + 1));
    format!("<details{open}>{summary}{children}</details>")
}

/// The tree in columns; parts that are alike in one line.
fn plain(parts: &[TreeNode], depth: usize) -> String {
    let mut text = String::new();
    for (part, twin) in parts.iter().zip(twins(parts)).take(MOST) {
        let note = match (twin, &part.shape) {
            (Some(twin), _) => format!("like {twin}"),
            (None, Some(dims)) => shape(dims),
            (None, None) => String::new(),
        };
        let name = format!("{}{}", "  ".repeat(depth), part.name);
        text.push_str(&format!("{name:<32}{note:<16}{:>14}\n", thousands(part.count)));
        if twin.is_none() && depth < DEEPEST {
            text.push_str(&plain(&part.children, depth + 1));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(name: &str, count: usize) -> TreeNode {
        TreeNode { name: name.into(), shape: Some(vec![count]), count, trainable: count, children: Vec::new() }
    }

    fn node(name: &str, children: Vec<TreeNode>) -> TreeNode {
        let count = children.iter().map(|child| child.count).sum();
        TreeNode { name: name.into(), shape: None, count, trainable: count, children }
    }

    #[test]
    fn equal_blocks_are_closed_and_counted() {
        let block = |name: &str, n| node(name, vec![leaf("weight", n)]);
        let tree = node("Net", vec![block("0", 1000), block("1", 1000), block("2", 7)]);
        let picture = model_tree(&tree);
        assert!(picture.text.starts_with("Net: 2,007 parameters, all of them train\n"), "{picture}");
        assert_eq!(picture.text.matches("like 0").count(), 1, "{picture}");
        let html = picture.html.unwrap();
        assert_eq!((html.matches("<details open>").count(), html.matches("<details>").count()), (2, 1));
        assert!(html.contains("like 0") && html.contains("1,000") && html.contains("49.8%"), "{html}");
    }

    #[test]
    fn hostile_deep_wide_and_empty_trees() {
        let hostile = model_tree(&node("<script>", vec![leaf("\"><b onclick='x'>", 1)])).html.unwrap();
        assert!(!hostile.contains("<script") && !hostile.contains("<b "), "{hostile}");
        let deep = (0..100).fold(leaf("leaf", 1), |inner, at| node(&at.to_string(), vec![inner]));
        assert!(model_tree(&deep).html.unwrap().len() < 20_000);
        let wide = model_tree(&node("wide", (0..5000).map(|at| leaf(&at.to_string(), 1)).collect()));
        assert!(wide.html.unwrap().contains("… and 4,800 more"));
        assert!(!model_tree(&node("empty", Vec::new())).html.unwrap().contains("NaN"));
    }

    #[test]
    fn frozen_parts_are_named() {
        let mut frozen = leaf("weight", 5);
        frozen.trainable = 0;
        let tree = TreeNode { trainable: 2, ..node("Net", vec![frozen, leaf("bias", 2)]) };
        let picture = model_tree(&tree);
        assert!(picture.text.starts_with("Net: 7 parameters, 2 train, 5 are frozen"), "{picture}");
        assert_eq!(picture.html.unwrap().matches(" · frozen").count(), 1);
    }
}

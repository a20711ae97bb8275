//! A beam search as a tree.

use std::collections::BTreeMap;

use super::Picture;
use super::paint::{BLUE, card, label, number, shade, short, visible};
use crate::Result;
use crate::core::format::thousands;
use crate::generate::{BeamSearch, Candidate, Fate};
use crate::text::Tokenizer;

/// More steps than this are counted, not drawn.
const MOST_STEPS: usize = 60;
/// More candidates of one step are counted, not drawn.
const MOST_COLUMNS: usize = 12;
/// Longer tokens are cut.
const LONGEST: usize = 11;
/// From one node to its neighbour, and to the next step.
const CELL: (f64, f64) = (116.0, 52.0);
/// A node.
const NODE: (f64, f64) = (108.0, 30.0);
/// Room for the title above and the number of the step on the left.
const MARGIN: (f64, f64) = (34.0, 66.0);

/// A beam search from top to bottom, one row a step: the beams that go on, best first, and right of them the texts that
/// end. Each shows its token, the token's probability and the sum of log-probabilities; a text that ends shows its
/// score. The best text is drawn strong, dead ends are pale, and what was dropped at once is left out. At most 60 steps
/// and 12 texts a step are drawn.
///
/// # Errors
/// [`Error::TokenOutOfRange`](crate::Error::TokenOutOfRange) for an id that the tokenizer does not know.
pub fn beam_tree(tokenizer: &dyn Tokenizer, search: &BeamSearch) -> Result<Picture> {
    let tree = Tree::of(search);
    let caption = caption(tokenizer, search)?;
    let mut lines = vec![caption.clone()];
    let mut drawing = label(14.0, 22.0, "font-weight=\"600\"", &caption);
    let prompt = short(&visible(&tokenizer.decode(&search.prompt)?), 60);
    drawing.push_str(&label(MARGIN.0, 44.0, "fill=\"#777\"", &format!("after {prompt}")));
    let (mut edges, mut nodes) = (String::new(), String::new());
    for (step, row) in tree.rows.iter().enumerate().take(MOST_STEPS) {
        let mut plain = Vec::new();
        for (column, node) in row.iter().enumerate().take(MOST_COLUMNS) {
            let token = visible(&tokenizer.decode(&[node.candidate.id])?);
            plain.push(node.line(&short(&token, LONGEST)));
            nodes.push_str(&node.drawn(step, column, &short(&token, LONGEST)));
            edges.push_str(&node.edge(step, column));
        }
        let rest = match row.len().saturating_sub(MOST_COLUMNS) {
            0 => String::new(),
            rest => format!(" … and {} more", thousands(rest)),
        };
        let y = MARGIN.1 + step as f64 * CELL.1 + NODE.1 / 2.0 + 4.0;
        nodes.push_str(&label(MARGIN.0 - 12.0, y, "text-anchor=\"end\" fill=\"#777\"", &(step + 1).to_string()));
        lines.push(format!("{:>3}  {}{rest}", step + 1, plain.join(" | ")));
    }
    let drawn = tree.rows.len().min(MOST_STEPS);
    let mut height = MARGIN.1 + drawn as f64 * CELL.1;
    if tree.rows.len() > drawn {
        lines.push(format!("… and {} more steps", thousands(tree.rows.len() - drawn)));
        nodes.push_str(&label(MARGIN.0, height + 4.0, "", &lines[lines.len() - 1]));
        height += 16.0;
    }
    let columns = tree.rows.iter().map(Vec::len).max().unwrap_or(0).clamp(5, MOST_COLUMNS);
    let svg = card(MARGIN.0 + columns as f64 * CELL.0 + 10.0, height, &format!("{drawing}{edges}{nodes}"));
    Ok(Picture::of_svg(lines.join("\n"), svg))
}

/// `3 beams, 5 steps; best: "…", score −1.25`
fn caption(tokenizer: &dyn Tokenizer, search: &BeamSearch) -> Result<String> {
    let best = search.sequences.first();
    let text = best.map(|best| tokenizer.decode(&best.ids[best.prompt..])).transpose()?.unwrap_or_default();
    let score =
        best.and_then(|best| best.score).map_or(String::new(), |score| format!(", score {}", number(score.into())));
    let beams =
        search.steps.iter().flatten().filter_map(|c| if let Fate::Kept(beam) = c.fate { Some(beam + 1) } else { None });
    let (beams, steps) = (beams.max().unwrap_or(0), thousands(search.steps.len()));
    Ok(format!("{beams} beams, {steps} steps; best: {}{score}", short(&visible(&text), 60)))
}

/// The nodes that are drawn of a search, step by step.
struct Tree<'a> {
    rows: Vec<Vec<Node<'a>>>,
}

struct Node<'a> {
    candidate: &'a Candidate,
    /// The column of the node that it continues; none for the prompt.
    parent: Option<usize>,
    strength: Strength,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    /// Leads to nothing that was returned.
    Pale,
    /// Part of a text that was returned.
    Returned,
    /// Part of the best one.
    Best,
}

impl<'a> Tree<'a> {
    fn of(search: &'a BeamSearch) -> Self {
        let strengths = strengths(search);
        let mut rows = Vec::new();
        for (step, candidates) in search.steps.iter().enumerate() {
            let node = |(rank, candidate): (usize, &'a Candidate)| Node {
                candidate,
                parent: (step > 0).then_some(candidate.parent),
                strength: strengths.get(&(step, rank)).copied().unwrap_or(Strength::Pale),
            };
            let mut row: Vec<_> =
                candidates.iter().enumerate().filter(|(_, c)| c.fate != Fate::Dropped).map(node).collect();
            // Beams first, each in the column of its number.
            row.sort_by_key(|node| matches!(node.candidate.fate, Fate::Finished(_)));
            rows.push(row);
        }
        Tree { rows }
    }
}

/// For the candidates on the way to a returned text, by step and rank, whether it was the best.
fn strengths(search: &BeamSearch) -> BTreeMap<(usize, usize), Strength> {
    let mut strengths = BTreeMap::new();
    for (i, sequence) in search.sequences.iter().enumerate().rev() {
        let strength = if i == 0 { Strength::Best } else { Strength::Returned };
        let mut beam = 0;
        for (step, (candidates, id)) in search.steps.iter().zip(&sequence.ids[sequence.prompt..]).enumerate() {
            let Some(rank) = candidates.iter().position(|c| c.parent == beam && c.id == *id) else { break };
            strengths.insert((step, rank), strength);
            match candidates[rank].fate {
                Fate::Kept(next) => beam = next,
                _ => break,
            }
        }
    }
    strengths
}

impl Node<'_> {
    /// The upper left corner of a node.
    fn corner(step: usize, column: usize) -> (f64, f64) {
        (MARGIN.0 + column as f64 * CELL.0, MARGIN.1 + step as f64 * CELL.1)
    }

    fn probability(&self) -> String {
        format!("{:.1}%", 100.0 * f64::from(self.candidate.log_prob).exp())
    }

    /// The sum, or the score of a text that ends here.
    fn value(&self) -> String {
        match self.candidate.fate {
            Fate::Finished(score) => format!("end {}", number(score.into())),
            _ => format!("Σ {}", number((f64::from(self.candidate.sum) * 100.0).round() / 100.0)),
        }
    }

    fn line(&self, token: &str) -> String {
        let from = self.parent.map_or(String::new(), |parent| format!(" ←{parent}"));
        let mark = if self.strength == Strength::Best { "*" } else { "" };
        format!("{mark}{token} {} {}{from}", self.probability(), self.value())
    }

    fn drawn(&self, step: usize, column: usize, token: &str) -> String {
        let ((x, y), (width, height)) = (Self::corner(step, column), NODE);
        let (fill, stroke, opacity) = match self.strength {
            Strength::Best => (shade(BLUE, 0.35), shade(BLUE, 1.0), 1.0),
            Strength::Returned => (shade(BLUE, 0.12), shade(BLUE, 0.6), 1.0),
            Strength::Pale => ("#fff".to_string(), "#bbb".to_string(), 0.6),
        };
        let ends = matches!(self.candidate.fate, Fate::Finished(_));
        let dash = if ends { " stroke-width=\"2\"" } else { "" };
        let middle = x + width / 2.0;
        format!(
            "<g opacity=\"{opacity}\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width}\" height=\"{height}\" rx=\"{}\" \
             fill=\"{fill}\" stroke=\"{stroke}\"{dash}/>{}{}</g>",
            if ends { 14 } else { 4 },
            label(middle, y + 13.0, "text-anchor=\"middle\" font-weight=\"600\"", token),
            label(
                middle,
                y + 25.0,
                "text-anchor=\"middle\" font-size=\"9.5\"",
                &format!("{} · {}", self.probability(), self.value())
            )
        )
    }

    /// The line from the node that it continues; the first step has none.
    fn edge(&self, step: usize, column: usize) -> String {
        let Some(parent) = self.parent.filter(|parent| *parent < MOST_COLUMNS) else { return String::new() };
        let ((x1, y1), (x2, y2)) = (Self::corner(step - 1, parent), Self::corner(step, column));
        let (x1, x2, y1, half) = (x1 + NODE.0 / 2.0, x2 + NODE.0 / 2.0, y1 + NODE.1, (CELL.1 - NODE.1) / 2.0);
        let (color, width) = match self.strength {
            Strength::Best => (shade(BLUE, 1.0), 2.5),
            Strength::Returned => (shade(BLUE, 0.6), 1.5),
            Strength::Pale => ("#ccc".to_string(), 1.0),
        };
        format!(
            "<path d=\"M{x1:.1} {y1:.1}C{x1:.1} {:.1} {x2:.1} {:.1} {x2:.1} {y2:.1}\" fill=\"none\" stroke=\"{color}\" \
             stroke-width=\"{width}\"/>",
            y1 + half,
            y2 - half
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Ended, Sequence};
    use crate::text::CharTokenizer;

    fn candidate(parent: usize, id: u32, fate: Fate) -> Candidate {
        Candidate { parent, id, log_prob: 0.5f32.ln(), sum: -1.0, fate }
    }

    /// Two beams: `<` goes on to `<&` and ends; `b` leads nowhere.
    fn search(steps: usize) -> BeamSearch {
        let first =
            vec![candidate(0, 1, Fate::Kept(0)), candidate(0, 2, Fate::Kept(1)), candidate(0, 3, Fate::Dropped)];
        let last = vec![candidate(0, 3, Fate::Finished(-0.25)), candidate(0, 1, Fate::Kept(0))];
        let sequence = Sequence { ids: vec![2, 1, 3], prompt: 1, score: Some(-0.25), ended: Ended::Length };
        let steps = std::iter::once(first).chain(vec![last; steps - 1]).collect();
        BeamSearch { prompt: vec![2], sequences: vec![sequence], steps }
    }

    #[test]
    fn the_best_text_is_strong_and_everything_is_escaped() {
        let tokenizer = CharTokenizer::from_text("<b&");
        let order: String = (1..4).map(|id| tokenizer.decode(&[id]).unwrap()).collect();
        let picture = beam_tree(&tokenizer, &search(2)).unwrap();
        let token = |at: usize| order.chars().nth(at).unwrap();
        let expected = format!("  1  *{} 50.0% Σ −1 | {} 50.0% Σ −1\n", token(0), token(1));
        assert!(picture.text.contains(&expected), "{picture}");
        assert!(
            picture.text.contains(&format!("  2  {} 50.0% Σ −1 ←0 | *{} 50.0% end −0.2500 ←0", token(0), token(2))),
            "{picture}"
        );
        let svg = picture.svg.unwrap();
        assert!(svg.contains("&lt;") && svg.contains("&amp;") && !svg.contains("><<") && !svg.contains(">&<"), "{svg}");
        assert_eq!(svg.matches("stroke-width=\"2.5\"").count(), 1, "one strong line, between the two steps");
        assert_eq!(svg.matches("opacity=\"0.6\"").count(), 2, "two nodes lead nowhere");
    }

    #[test]
    fn long_empty_and_unknown() {
        let tokenizer = CharTokenizer::from_text("abc");
        let long = beam_tree(&tokenizer, &search(1000)).unwrap();
        assert!(long.text.ends_with("… and 940 more steps") && long.svg.unwrap().len() < 100_000);
        let empty = BeamSearch { prompt: vec![1], sequences: Vec::new(), steps: Vec::new() };
        assert!(beam_tree(&tokenizer, &empty).unwrap().text.starts_with("0 beams, 0 steps"));
        let mut unknown = search(2);
        unknown.steps[0][0].id = 99;
        assert!(matches!(beam_tree(&tokenizer, &unknown), Err(crate::Error::TokenOutOfRange { id: 99, .. })));
    }
}

//! Attention weights: which position looks at which.

use candle_core::{DType, Tensor};

use super::Picture;
use super::paint::{BLUE, card, cells, label, number, shade, short, visible};
use crate::{Error, Result};

/// More heads than this are counted, not drawn.
const MOST: usize = 16;
/// A map of one head has at most this many cells each way; longer sequences are shown from their start.
const CELLS: usize = 48;
/// The drawing's width and margin, and the space between two maps.
const WIDTH: f64 = 680.0;
const MARGIN: f64 = 16.0;
const GAP: f64 = 14.0;

/// A map for each head: row = the position that looks (query), column = the position it looks at (key), the bluer the
/// more weight (by its square root, so that weight spread over many positions can still be seen). `weights` is
/// `[B, H, T, T]`, of which the first sequence is shown, or `[H, T, T]`; `labels` names the positions, usually the text
/// of the tokens, and may be empty. At most 16 heads and 48 positions are drawn.
///
/// # Errors
/// [`Error::InvalidArgument`] for another shape, or for labels whose number is not `T`.
pub fn attention(weights: &Tensor, labels: &[String]) -> Result<Picture> {
    let maps = read(weights)?;
    let (heads, time) = (maps.len(), maps.first().map_or(0, Vec::len));
    if !labels.is_empty() && labels.len() != time {
        let expected = format!("no labels, or one for each of the {time} positions");
        return Err(Error::argument("labels", format!("{} labels", labels.len()), expected));
    }
    let cut =
        |shown: usize, all: usize| if shown < all { format!(" (the first {shown} shown)") } else { String::new() };
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    let (shown_heads, shown) = (heads.min(MOST), time.min(CELLS));
    let caption = format!(
        "Attention: {heads} head{}{}, {time} position{}{}",
        plural(heads),
        cut(shown_heads, heads),
        plural(time),
        cut(shown, time)
    );
    let labels: Vec<String> = labels.iter().take(shown).map(|text| short(&visible(text), 8)).collect();
    let plain: String =
        maps.iter().take(MOST).enumerate().map(|(head, map)| plain(head, map, shown, &labels)).collect();
    let svg = drawing(&caption, &maps[..shown_heads], shown, &labels);
    Ok(Picture::of_svg(format!("{caption}\n{plain}").trim_end(), svg))
}

/// Weights by head, query and key.
fn read(weights: &Tensor) -> Result<Vec<Vec<Vec<f32>>>> {
    let wrong = || {
        let found = format!("a tensor of shape {:?}", weights.dims());
        Error::argument("weights", found, "attention weights [B, H, T, T] or [H, T, T]")
    };
    let maps = match weights.dims() {
        [batch, _, _, _] if *batch > 0 => weights.get(0)?,
        [_, _, _] => weights.clone(),
        _ => return Err(wrong()),
    };
    let (_, queries, keys) = maps.dims3()?;
    if queries != keys {
        return Err(wrong());
    }
    Ok(maps.to_dtype(DType::F32)?.to_vec3()?)
}

/// For each position of a head, the one that it looks at most.
fn plain(head: usize, map: &[Vec<f32>], shown: usize, labels: &[String]) -> String {
    let name = |at: usize| labels.get(at).cloned().unwrap_or_else(|| at.to_string());
    let line = |(at, row): (usize, &Vec<f32>)| {
        let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]).then(b.cmp(a)))?;
        Some(format!("  {} → {} {}\n", name(at), name(best), number(f64::from(row[best]))))
    };
    let lines: String = map.iter().take(shown).enumerate().filter_map(line).collect();
    format!("head {head}\n{lines}")
}

/// The layout of the maps.
struct Layout {
    /// Maps beside each other.
    across: usize,
    /// A map's side without its labels.
    side: f64,
    /// Room for the names of queries and keys.
    names: f64,
}

impl Layout {
    fn of(heads: usize, shown: usize, labels: &[String]) -> Self {
        let across = match heads {
            0..=1 => 1,
            2 => 2,
            3 | 5..=9 => 3,
            _ => 4,
        };
        let share = (WIDTH - 2.0 * MARGIN + GAP) / across as f64 - GAP;
        let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
        let names = 7.0 * longest as f64 + 6.0;
        // Names are drawn where a row is at least as high as a letter.
        let fits = !labels.is_empty() && (share - names) / shown as f64 >= 12.0;
        let names = if fits { names } else { 0.0 };
        Layout { across, side: (share - names).min(34.0 * shown.max(4) as f64).min(420.0), names }
    }
}

fn drawing(caption: &str, maps: &[Vec<Vec<f32>>], shown: usize, labels: &[String]) -> String {
    let layout = Layout::of(maps.len(), shown, labels);
    let mut body = label(MARGIN, 26.0, "font-size=\"14\" font-weight=\"600\"", caption);
    body.push_str(&label(
        MARGIN,
        45.0,
        "fill=\"#555\"",
        "row: who looks · column: at whom · from white, 0, to blue, 1, by the square root of the weight",
    ));
    let (step_x, step_y) = (layout.names + layout.side + GAP, layout.names + layout.side + 22.0 + GAP);
    for (head, map) in maps.iter().enumerate() {
        let x = MARGIN + (head % layout.across) as f64 * step_x;
        let y = 58.0 + (head / layout.across) as f64 * step_y;
        body.push_str(&head_map((x, y), head, map, shown, labels, &layout));
    }
    let rows = maps.len().div_ceil(layout.across);
    card(WIDTH, 58.0 + rows as f64 * step_y, &body)
}

fn head_map(
    (x, y): (f64, f64),
    head: usize,
    map: &[Vec<f32>],
    shown: usize,
    labels: &[String],
    layout: &Layout,
) -> String {
    let mut body = label(x + layout.names, y + 11.0, "font-weight=\"600\"", &format!("head {head}"));
    let (x, y) = (x + layout.names, y + 18.0 + layout.names);
    let cell = layout.side / shown.max(1) as f64;
    if layout.names > 0.0 {
        for (at, name) in labels.iter().enumerate() {
            let middle = (at as f64 + 0.5) * cell + 4.0;
            body.push_str(&label(x - 4.0, y + middle, "font-size=\"11\" text-anchor=\"end\"", name));
            let (left, bottom) = (x + middle, y - 4.0);
            let turned = format!("font-size=\"11\" transform=\"rotate(-90 {left:.1} {bottom:.1})\"");
            body.push_str(&label(left, bottom, &turned, name));
        }
    }
    let fill = |row: usize, column: usize| match map[row][column] {
        weight if weight.is_finite() => shade(BLUE, f64::from(weight).max(0.0).sqrt()),
        _ => "#d63c3c".to_string(),
    };
    body + &cells((x, y), (cell, cell), (shown, shown), fill)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn uniform(shape: &[usize]) -> Tensor {
        Tensor::full(0.25f32, shape, &Device::Cpu).unwrap()
    }

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|at| format!("<b>{at}")).collect()
    }

    #[test]
    fn one_map_a_head_with_names_escaped() {
        let picture = attention(&uniform(&[2, 4, 6, 6]), &names(6)).unwrap();
        let svg = picture.svg.unwrap();
        assert!(
            picture.text.starts_with("Attention: 4 heads, 6 positions\nhead 0\n  <b>0 → <b>0 0.25"),
            "{}",
            picture.text
        );
        assert_eq!(svg.matches("<g ").count(), 4);
        assert_eq!(svg.matches("&lt;b&gt;3").count(), 8, "each name as query and as key in each map");
        assert!(!svg.contains("<b>"));
    }

    #[test]
    fn many_heads_long_sequences_and_bad_numbers_are_bounded() {
        let noise = crate::Rng::new(1).normal_tensor(0.5, 0.3, &[20, 200, 200]).unwrap();
        let picture = attention(&noise, &[]).unwrap();
        assert!(picture.text.contains("20 heads (the first 16 shown), 200 positions (the first 48 shown)"));
        let length = picture.svg.unwrap().len();
        assert!(length < 600_000, "{length} bytes");
        let nan = Tensor::full(f32::NAN, &[1, 2, 2], &Device::Cpu).unwrap();
        assert!(attention(&nan, &[]).unwrap().svg.unwrap().contains("#d63c3c"));
        assert!(attention(&uniform(&[1, 0, 0]), &[]).is_ok() && attention(&uniform(&[0, 2, 2]), &[]).is_ok());
    }

    #[test]
    fn other_shapes_are_refused() {
        for shape in [&[4, 4][..], &[2, 3, 4], &[0, 1, 2, 2]] {
            let error = attention(&uniform(shape), &[]).unwrap_err().to_string();
            assert!(error.contains(&format!("{shape:?}")) && error.contains("[B, H, T, T]"), "{error}");
        }
        let error = attention(&uniform(&[1, 3, 3]), &names(2)).unwrap_err().to_string();
        assert!(error.contains("2 labels") && error.contains("3 positions"), "{error}");
    }
}

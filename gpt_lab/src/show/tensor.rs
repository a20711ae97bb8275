//! A tensor: its shape, its statistics, and its numbers or a heat map of them.

use candle_core::{DType, Tensor};

use super::paint::{BLUE, MONO, ORANGE, RED, Rgb, card, cells, label, number, shade, shape, tint};
use super::{Picture, escape};
use crate::core::format::thousands;
use crate::lab::el;

/// Up to this many rows and columns are shown as numbers.
const TABLE: usize = 12;
/// A heat map has at most this many cells each way, and half as many where several stand side by side.
const CELLS: usize = 64;
/// Number of matrices that are shown of a tensor with three or more axes.
const SLICES: usize = 3;

/// A tensor's shape, type, range, mean, standard deviation (of the population) and number of NaN and infinite values;
/// and the values – up to 12×12 as numbers, larger as a heat map whose cells are the means of blocks. Blue is positive,
/// orange negative, red is NaN. Of a tensor with three or more axes the first matrices are shown, and which ones is
/// said.
///
/// Any type. It never fails: values that cannot be read are said to be so.
pub fn tensor(tensor: &Tensor) -> Picture {
    let caption = format!("Tensor {} {}", shape(tensor.dims()), tensor.dtype().as_str());
    let values = match read(tensor) {
        Ok(values) => values,
        Err(error) => {
            let text = format!("{caption}\nthe values cannot be read: {error}");
            return Picture::of_html(text.clone(), el("pre", "margin:0", escape(&text)));
        }
    };
    let stats = Stats::of(&values);
    let head = [caption, stats.line()];
    let slices = slices(tensor.dims(), &values);
    let plain: String = slices.iter().map(|slice| slice.plain()).collect();
    let text = format!("{}\n{}\n{plain}", head[0], head[1]).trim_end().to_string();
    if slices.iter().all(|slice| slice.rows <= TABLE && slice.columns <= TABLE) {
        let tables: String = slices.iter().map(|slice| slice.table(stats.size)).collect();
        let caption = el("div", "font-weight:600", escape(&head[0]));
        let numbers = el("div", "font-size:12px;opacity:0.8;margin-bottom:4px", escape(&head[1]));
        let html = el("div", "max-width:700px", caption + &numbers + &tables);
        Picture::of_html(text, html)
    } else {
        Picture::of_svg(text, drawing(&head, &slices))
    }
}

fn read(tensor: &Tensor) -> candle_core::Result<Vec<f64>> {
    let flat = tensor.flatten_all()?;
    // Not every type converts to every other; all that convert at all convert to f32.
    let flat = flat.to_dtype(DType::F64).or_else(|_| flat.to_dtype(DType::F32)?.to_dtype(DType::F64))?;
    flat.to_vec1()
}

/// Numbers about the numbers; only finite ones count in the first four.
struct Stats {
    min: f64,
    max: f64,
    mean: f64,
    std: f64,
    nan: usize,
    infinite: usize,
    /// The largest finite absolute value: full colour.
    size: f64,
    count: usize,
}

impl Stats {
    fn of(values: &[f64]) -> Self {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let n = finite().count() as f64;
        let mean = finite().map(|value| value / n).sum::<f64>();
        let std = (finite().map(|value| (value - mean).powi(2) / n).sum::<f64>()).sqrt();
        let (min, max) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let nan = values.iter().filter(|value| value.is_nan()).count();
        let infinite = values.iter().filter(|value| value.is_infinite()).count();
        Stats {
            min,
            max,
            mean,
            std,
            nan,
            infinite,
            size: finite().map(f64::abs).fold(0.0, f64::max),
            count: values.len(),
        }
    }

    fn line(&self) -> String {
        let finite = self.count - self.nan - self.infinite;
        let mut parts = match (self.count, finite) {
            (0, _) => vec!["no values".to_string()],
            (_, 0) => vec!["no finite value".to_string()],
            _ => {
                let named = [("min", self.min), ("max", self.max), ("mean", self.mean), ("std", self.std)];
                named.iter().map(|(name, value)| format!("{name} {}", number(*value))).collect()
            }
        };
        parts.extend((self.nan > 0).then(|| format!("{} NaN", thousands(self.nan))));
        parts.extend((self.infinite > 0).then(|| format!("{} infinite", thousands(self.infinite))));
        parts.join(" · ")
    }
}

/// A matrix out of the tensor.
struct Slice<'a> {
    /// Its place in the tensor; empty if it is all of it.
    name: String,
    rows: usize,
    columns: usize,
    values: &'a [f64],
}

/// A number is a 1×1 matrix, a vector one row; of more axes the first matrices along the last two.
fn slices<'a>(dims: &[usize], values: &'a [f64]) -> Vec<Slice<'a>> {
    let (outer, rows, columns) = match *dims {
        [] => (&[][..], 1, 1),
        [n] => (&[][..], 1, n),
        [ref outer @ .., rows, columns] => (outer, rows, columns),
    };
    let total: usize = outer.iter().product();
    let slice = |at: usize| {
        let mut rest = at;
        let mut index: Vec<String> = Vec::new();
        for &n in outer.iter().rev() {
            index.insert(0, (rest % n).to_string());
            rest /= n;
        }
        let last = at + 1 == total.min(SLICES) && total > SLICES;
        let more = if last { format!("  – the first {SLICES} of {}", thousands(total)) } else { String::new() };
        let name = if outer.is_empty() { String::new() } else { format!("[{}, :, :]{more}", index.join(", ")) };
        Slice { name, rows, columns, values: &values[at * rows * columns..(at + 1) * rows * columns] }
    };
    if values.is_empty() { Vec::new() } else { (0..total.min(SLICES)).map(slice).collect() }
}

/// The colour of a value, and its strength.
fn colour(value: f64, size: f64) -> (Rgb, f64) {
    match value {
        v if v.is_nan() => (RED, 1.0),
        v if v.is_infinite() => (if v > 0.0 { BLUE } else { ORANGE }, 0.0),
        v if size > 0.0 => (if v < 0.0 { ORANGE } else { BLUE }, v.abs() / size),
        _ => (BLUE, 0.0),
    }
}

impl Slice<'_> {
    fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.columns + column]
    }

    fn table(&self, size: f64) -> String {
        let cell = |value: f64| {
            let (hue, strength) = colour(value, size);
            let fill = tint(hue, strength);
            let style = format!("text-align:right;padding:2px 5px;white-space:nowrap;background:{fill}");
            el("td", &style, number(value))
        };
        let row = |row: usize| (0..self.columns).map(|column| cell(self.at(row, column))).collect::<String>();
        let rows: String = (0..self.rows).map(|at| el("tr", "background:none", row(at))).collect();
        let name = match self.name.as_str() {
            "" => String::new(),
            name => el("div", "font-size:12px;opacity:0.8;margin-top:6px", name),
        };
        let style = format!("border-collapse:collapse;margin:2px 0;font-family:{MONO};font-size:12px");
        name + &el("div", "overflow-x:auto", el("table", &style, rows))
    }

    /// Numbers in columns; of a larger matrix the corner.
    fn plain(&self) -> String {
        let (rows, columns) = (self.rows.min(TABLE), self.columns.min(TABLE));
        let more = |shown: usize, all: usize| if shown < all { "  …" } else { "" };
        let mut text = if self.name.is_empty() { String::new() } else { format!("{}\n", self.name) };
        for row in 0..rows {
            let cells: String = (0..columns).map(|column| format!("{:>10}", number(self.at(row, column)))).collect();
            text.push_str(&format!("{cells}{}\n", more(columns, self.columns)));
        }
        text + if rows < self.rows { "         …\n" } else { "" }
    }

    /// The matrix with at most `limit` rows and columns: a cell is the mean of a block; NaN if any of it is NaN.
    fn shrunk(&self, limit: usize) -> Grid {
        let (rows, columns) = (self.rows.min(limit), self.columns.min(limit));
        let part = |at: usize, parts: usize, all: usize| at * all / parts..(at + 1) * all / parts;
        let mean = |row: usize, column: usize| {
            let (down, across) = (part(row, rows, self.rows), part(column, columns, self.columns));
            let count = (down.len() * across.len()) as f64;
            down.flat_map(|r| across.clone().map(move |c| self.at(r, c) / count)).sum::<f64>()
        };
        let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        Grid { rows, columns, values: cells.map(|(row, column)| mean(row, column)).collect() }
    }
}

/// The cells of a heat map.
struct Grid {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

/// The drawing's width and margin.
const WIDTH: f64 = 680.0;
const MARGIN: f64 = 16.0;

/// A heat map for each slice, side by side, with one scale of colours for all.
fn drawing(head: &[String; 2], slices: &[Slice]) -> String {
    let limit = if slices.len() == 1 { CELLS } else { CELLS / 2 };
    let grids: Vec<Grid> = slices.iter().map(|slice| slice.shrunk(limit)).collect();
    let all = || grids.iter().flat_map(|grid| &grid.values).copied();
    let size = all().filter(|value| value.is_finite()).map(f64::abs).fold(0.0, f64::max);

    let mut body = label(MARGIN, 26.0, "font-size=\"14\" font-weight=\"600\"", &head[0]);
    body.push_str(&label(MARGIN, 45.0, "fill=\"#555\"", &head[1]));
    let top = if slices.iter().any(|slice| !slice.name.is_empty()) { 78.0 } else { 58.0 };
    let share = (WIDTH - 2.0 * MARGIN + 12.0) / slices.len() as f64;
    let mut bottom = top;
    for (at, (slice, grid)) in slices.iter().zip(&grids).enumerate() {
        let x = MARGIN + share * at as f64;
        body.push_str(&label(x, top - 8.0, "font-size=\"11\" fill=\"#555\"", &slice.name));
        let width = ((share - 12.0) / grid.columns as f64).min(18.0);
        let height = if grid.rows == 1 { 24.0 } else { (300.0 / grid.rows as f64).min(width) };
        let fill = |row: usize, column: usize| fill(grid.values[row * grid.columns + column], size);
        body.push_str(&cells((x, top), (width, height), (grid.rows, grid.columns), fill));
        bottom = bottom.max(top + height * grid.rows as f64);
    }
    let shrunk = slices.iter().zip(&grids).any(|(slice, grid)| slice.values.len() > grid.values.len());
    let notes = [
        (shrunk, "cells are means of blocks"),
        (all().any(f64::is_infinite), "dark: infinite"),
        (all().any(f64::is_nan), "red: NaN"),
    ];
    let notes: Vec<&str> = notes.iter().filter(|(holds, _)| *holds).map(|(_, note)| *note).collect();
    body.push_str(&legend(size, bottom + 14.0, &notes.join(" · ")));
    card(WIDTH, bottom + 40.0, &body)
}

/// A cell's colour on the card.
fn fill(value: f64, size: f64) -> String {
    let (hue, strength) = colour(value, size);
    if value.is_infinite() { "#555".to_string() } else { shade(hue, strength) }
}

fn legend(size: f64, y: f64, notes: &str) -> String {
    let step = |at: usize| (at as f64 - 4.0) / 4.0 * size;
    let low = number(-size);
    let x = MARGIN + 7.0 * low.chars().count() as f64 + 4.0;
    let small = "font-size=\"11\" fill=\"#555\"";
    let ramp = cells((x, y), (14.0, 11.0), (1, 9), |_, at| fill(step(at), size));
    let words = format!("{}{}{notes}", number(size), if notes.is_empty() { "" } else { " · " });
    format!("{}{ramp}{}", label(MARGIN, y + 10.0, small, &low), label(x + 132.0, y + 10.0, small, &words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn of(values: &[f32], dims: &[usize]) -> Tensor {
        Tensor::from_slice(values, dims, &Device::Cpu).unwrap()
    }

    #[test]
    fn small_tensors_are_tables_of_numbers() {
        let picture = tensor(&of(&[1.0, -2.0, f32::NAN, f32::NEG_INFINITY], &[2, 2]));
        assert!(picture.text.starts_with("Tensor [2, 2] f32\nmin −2 · max 1 · mean −0.5000 · std 1.500"), "{picture}");
        assert!(picture.text.contains("1 NaN · 1 infinite"), "{picture}");
        let html = picture.html.unwrap();
        assert_eq!(html.matches("<td").count(), 4);
        assert!(html.contains("−∞") && html.contains(&tint(ORANGE, 1.0)) && html.contains(&tint(BLUE, 0.5)), "{html}");
    }

    #[test]
    fn every_rank_type_and_degenerate_tensor_has_a_picture() {
        for dims in [&[][..], &[1], &[0], &[3, 0], &[0, 4, 4], &[12], &[13], &[2, 3, 4], &[5, 2, 20, 20], &[300, 2]] {
            for dtype in [DType::U8, DType::U32, DType::I64, DType::BF16, DType::F16, DType::F32, DType::F64] {
                let zeros = Tensor::zeros(dims, dtype, &Device::Cpu).unwrap();
                let picture = tensor(&zeros);
                assert!(picture.text.starts_with(&format!("Tensor {dims:?} {}", dtype.as_str())), "{picture}");
                assert!(picture.html.is_some() != picture.svg.is_some(), "one graphical form for {dims:?}");
                let drawn = picture.html.or(picture.svg).unwrap();
                assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{dims:?}: {drawn}");
            }
        }
        assert!(tensor(&of(&[], &[0])).text.ends_with("no values"));
        assert!(tensor(&of(&[f32::NAN], &[1])).text.contains("no finite value · 1 NaN"));
    }

    #[test]
    fn large_tensors_are_heat_maps_of_bounded_size() {
        let noise = crate::Rng::new(1).normal_tensor(0.0, 1.0, &[4, 300, 1000]).unwrap();
        for (picture, limit) in [(tensor(&noise.get(0).unwrap()), 110_000), (tensor(&noise), 110_000)] {
            let svg = picture.svg.unwrap();
            assert!(svg.len() < limit, "{} bytes", svg.len());
            assert!(svg.contains("cells are means of blocks"));
        }
        assert!(tensor(&noise).text.contains("[2, :, :]  – the first 3 of 4"));
    }

    #[test]
    fn a_block_is_drawn_as_its_mean() {
        let values: Vec<f64> = (0..128 * 2).map(f64::from).collect();
        let slice = Slice { name: String::new(), rows: 128, columns: 2, values: &values };
        let grid = slice.shrunk(64);
        assert_eq!((grid.rows, grid.columns), (64, 2));
        assert_eq!(grid.values[..4], [1.0, 2.0, 5.0, 6.0]);
        assert_eq!((colour(f64::NAN, 1.0).0, fill(f64::NEG_INFINITY, 1.0).as_str()), (RED, "#555"));
    }
}

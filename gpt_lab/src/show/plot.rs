//! Line plots, drawn by plotters as SVG.
//!
//! A notebook draws an SVG apart from the page, so it cannot take the page's colours: plots stand on a white card of
//! their own, which reads well on a light and on a dark page. The legend is above the plot and never covers a curve.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Picture;
use super::ticks::Ticks;

/// The size of the drawing; a notebook column is about 700 pixels wide.
const SIZE: (u32, u32) = (680, 330);
/// Points of one line; more could not be told apart.
const MAX_POINTS: usize = 400;
const INK: RGBColor = RGBColor(40, 44, 52);
const FAINT: RGBColor = RGBColor(225, 228, 232);
/// Blue, orange, green, red, purple, brown: told apart also by the colour-blind (after Okabe and Ito).
pub(super) const PALETTE: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 51, 85),
    RGBColor(126, 87, 194),
    RGBColor(140, 100, 40),
];

/// A part of an SVG.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// The style of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stroke {
    /// The main thing.
    Strong,
    /// Strong, with a dot at each point.
    Dots,
    /// Thin and pale, behind the others and not in the legend.
    Pale,
    /// Thin and dashed: something to compare with.
    Dashed,
}

/// One line of a plot.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    pub colour: RGBColor,
    pub stroke: Stroke,
}

/// A plot with what stands above it.
#[derive(Debug, Clone, Default)]
pub(super) struct Plot {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub lines: Vec<Line>,
    /// A progress bar (0 to 1) over everything, with lines of text under it.
    pub progress: Option<(f64, Vec<String>)>,
    /// The x axis reaches at least this far, so that a live plot does not rescale at every step.
    pub x_until: Option<f64>,
    /// The x axis begins at this or below.
    pub x_from: Option<f64>,
    /// The y values are logarithms to base 10 of what the axis says.
    pub log_y: bool,
    /// A name above the plot, where there is no room for one beside the y axis.
    pub caption: String,
    /// The x axis has no numbers, as the plot below has them.
    pub bare_x: bool,
}

/// Lines that share two axes; one colour each, in the order given.
pub fn curves(title: &str, series: &[(&str, Vec<(f64, f64)>)]) -> Picture {
    let lines = series.iter().zip(PALETTE.iter().cycle()).map(|((name, points), colour)| Line {
        name: name.to_string(),
        points: points.clone(),
        colour: *colour,
        stroke: Stroke::Strong,
    });
    Plot { title: title.to_string(), lines: lines.collect(), ..Plot::default() }.picture()
}

impl Plot {
    /// The plot with a plain-text form: where each line begins, ends, and its lowest point.
    pub fn picture(&self) -> Picture {
        let mut text: Vec<String> = Vec::new();
        text.extend((!self.title.is_empty()).then(|| self.title.clone()));
        text.extend(self.lines.iter().filter(|line| line.stroke != Stroke::Pale).map(describe));
        let text = text.join("\n");
        match self.draw() {
            Some(svg) => Picture::of_svg(text, svg),
            None => Picture::of_text(text),
        }
    }

    fn draw(&self) -> Option<String> {
        drawn(SIZE, |root| {
            let top = self.draw_head(root)?;
            self.draw_lines(&root.margin(top, 6, 6, 16))
        })
    }

    /// The progress bar, the title and the legend; returns their height.
    pub(super) fn draw_head(&self, root: &Area<'_>) -> Option<i32> {
        let (left, right) = (16, SIZE.0 as i32 - 16);
        let mut y = 12;
        if let Some((share, lines)) = &self.progress {
            let filled = left + ((right - left) as f64 * share.clamp(0.0, 1.0)) as i32;
            root.draw(&Rectangle::new([(left, y), (right, y + 8)], FAINT.filled())).ok()?;
            root.draw(&Rectangle::new([(left, y), (filled, y + 8)], PALETTE[0].filled())).ok()?;
            y += 18;
            for line in lines {
                root.draw(&Text::new(line.clone(), (left, y), font(13, INK))).ok()?;
                y += 18;
            }
            y += 4;
        }
        if !self.title.is_empty() {
            root.draw(&Text::new(self.title.clone(), (left, y), font(15, INK))).ok()?;
            y += 24;
        }
        let mut x = left;
        for line in self.lines.iter().filter(|line| line.stroke != Stroke::Pale && !line.name.is_empty()) {
            // Without font files the width of a text is an estimate; generous, so that names never meet.
            let width = 34 + 8 * line.name.chars().count() as i32;
            if x > left && x + width > right {
                (x, y) = (left, y + 18);
            }
            // A dashed line is dashed here too.
            let dashes = if line.stroke == Stroke::Dashed { vec![(0, 6), (10, 16)] } else { vec![(0, 16)] };
            for (from, to) in dashes {
                root.draw(&Rectangle::new([(x + from, y + 5), (x + to, y + 8)], line.colour.filled())).ok()?;
            }
            root.draw(&Text::new(line.name.clone(), (x + 22, y), font(13, INK))).ok()?;
            x += width;
        }
        Some(y + 22)
    }

    pub(super) fn draw_lines(&self, area: &Area<'_>) -> Option<()> {
        let (xs, ys) = self.ranges();
        let area = &self.draw_caption(area)?;
        let x_area = match (self.bare_x, self.x_label.is_empty()) {
            (true, _) => 6,
            (_, true) => 26,
            _ => 40,
        };
        // Numbers need room above each other.
        let y_labels = (area.dim_in_pixel().1.saturating_sub(x_area) as usize / 18).clamp(2, 6);
        let mut chart = ChartBuilder::on(area)
            .x_label_area_size(x_area)
            .y_label_area_size(if self.y_label.is_empty() { 48 } else { 60 })
            .build_cartesian_2d(xs.clone(), Ticks::new(ys.clone(), y_labels, self.log_y))
            .ok()?;
        let (x_tick, y_tick) = (tick_format(&xs), tick_format(&ys));
        let power = |value: &f64| super::paint::brief(10f64.powf(*value));
        let nothing = |_: &f64| String::new();
        chart
            .configure_mesh()
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .axis_style(INK.mix(0.5))
            .x_labels(8)
            .y_labels(y_labels)
            .x_label_formatter(if self.bare_x { &nothing } else { &x_tick })
            .y_label_formatter(if self.log_y { &power } else { &y_tick })
            .x_desc(&self.x_label)
            .y_desc(&self.y_label)
            .label_style(font(12, INK))
            .axis_desc_style(font(13, INK))
            .draw()
            .ok()?;
        for line in &self.lines {
            let (points, strong) = (thin_out(&line.points), line.colour.stroke_width(2));
            if line.stroke == Stroke::Dots {
                chart.draw_series(points.iter().map(|p| Circle::new(*p, 3, line.colour.filled()))).ok()?;
            }
            match line.stroke {
                Stroke::Pale => chart.draw_series(LineSeries::new(points, line.colour.mix(0.35))).ok()?,
                Stroke::Dashed => {
                    let thin = line.colour.stroke_width(1);
                    chart.draw_series(DashedLineSeries::new(points, 6, 4, thin)).ok()?
                }
                Stroke::Strong | Stroke::Dots => chart.draw_series(LineSeries::new(points, strong)).ok()?,
            };
        }
        Some(())
    }

    /// The name above the plot, if there is one; returns the area that is left.
    fn draw_caption<'a>(&self, area: &Area<'a>) -> Option<Area<'a>> {
        if self.caption.is_empty() {
            return Some(area.margin(0, 0, 0, 0));
        }
        area.draw(&Text::new(self.caption.clone(), (48, 0), font(12, INK))).ok()?;
        Some(area.margin(17, 0, 0, 0))
    }

    /// The ranges of both axes, with a little air; never empty, whatever the points are.
    fn ranges(&self) -> (Range<f64>, Range<f64>) {
        let points = || self.lines.iter().flat_map(|line| &line.points).filter(|p| can_be_drawn(p));
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let (x0, x1) = range(&mut points().map(|p| p.0).chain(self.x_until).chain(self.x_from));
        let (y0, y1) = range(&mut points().map(|p| p.1));
        (open(x0, x1, 0.0), open(y0, y1, 0.05))
    }
}

/// The range of an axis, with `air` on both sides as a share of its width; not empty, also where `low` is `high` or
/// both are infinite, as there are no values.
pub(super) fn open(low: f64, high: f64, air: f64) -> Range<f64> {
    match (low.is_finite(), high - low) {
        (false, _) => 0.0..1.0,
        (true, width) if width <= 1e-9 * high.abs().max(low.abs()).max(1e-3) => low - 0.5..high + 0.5,
        (true, width) => low - air * width..high + air * width,
    }
}

/// An SVG of this size; `None` if plotters fails, which it has no reason to when it writes to memory.
pub(super) fn drawn(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Option<()>) -> Option<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).ok()?;
        draw(&root)?;
        root.present().ok()?;
    }
    Some(svg.replacen("<svg ", "<svg style=\"max-width:100%;height:auto\" ", 1))
}

/// `validation: 4.60 → 1.43 (lowest 1.41 at 550)`
pub(super) fn describe(line: &Line) -> String {
    let finite: Vec<_> = line.points.iter().filter(|p| can_be_drawn(p)).collect();
    let dropped = line.points.len() - finite.len();
    let note =
        if dropped > 0 { format!("; not drawn: {dropped} that are infinite or no numbers") } else { String::new() };
    match (finite.first(), finite.last(), finite.iter().min_by(|a, b| a.1.total_cmp(&b.1))) {
        (Some(first), Some(last), Some(low)) => {
            format!("{}: {:.4} → {:.4} (lowest {:.4} at {}){note}", line.name, first.1, last.1, low.1, low.0)
        }
        _ => format!("{}: no points yet{note}", line.name),
    }
}

/// `true` for a point that a plot has a place for. plotters looks for ticks for ever if the axis is astronomically
/// long.
pub(super) fn can_be_drawn(point: &(f64, f64)) -> bool {
    point.0.abs() < 1e12 && point.1.abs() < 1e12
}

/// Means of neighbouring points where there are too many; points that are not finite are left out.
pub(super) fn thin_out(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite: Vec<_> = points.iter().copied().filter(can_be_drawn).collect();
    let size = finite.len().div_ceil(MAX_POINTS).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let n = chunk.len() as f64;
        (chunk.iter().map(|p| p.0).sum::<f64>() / n, chunk.iter().map(|p| p.1).sum::<f64>() / n)
    };
    if size == 1 { finite } else { finite.chunks(size).map(mean).collect() }
}

/// As many decimals as neighbouring ticks need to differ.
fn tick_format(range: &Range<f64>) -> impl Fn(&f64) -> String + use<> {
    let step = (range.end - range.start) / 6.0;
    let decimals = if step > 0.0 { (-step.log10().floor()).clamp(0.0, 6.0) as usize } else { 1 };
    move |value| {
        // -0 would be written with its sign.
        let value = if value.abs() < 1e-12 { 0.0 } else { *value };
        format!("{value:.decimals$}")
    }
}

fn font(size: i32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour).pos(Pos::new(HPos::Left, VPos::Top))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(picture: &Picture) -> &str {
        picture.svg.as_deref().expect("a drawing")
    }

    #[test]
    fn hostile_names_are_escaped() {
        let picture = curves("<script>1</script>", &[("a & <b>", vec![(0.0, 1.0), (1.0, 2.0)])]);
        assert!(!svg(&picture).contains("<script>") && svg(&picture).contains("&lt;script&gt;"));
        assert!(svg(&picture).contains("a &amp; &lt;b&gt;"));
    }

    #[test]
    fn odd_series_are_drawn_without_panic() {
        let odd: [Vec<(f64, f64)>; 8] = [
            vec![],
            vec![(1.0, 1.0)],
            vec![(0.0, 3.0), (1.0, 3.0)],
            vec![(0.0, f64::NAN), (1.0, f64::INFINITY)],
            vec![(0.0, 1e-30), (1.0, 1e30)],
            vec![(5.0, f64::MIN), (5.0, f64::MAX)],
            vec![(1.0, 1.0), (1.0 + 1e-14, 1.0 + 1e-14)],
            vec![(0.0, 1e-30), (1e-30, 0.0)],
        ];
        for points in odd {
            let picture = curves("odd", &[("line", points.clone())]);
            assert!(picture.text.contains("line"), "{points:?}");
        }
        let picture = curves("", &[("l", vec![(0.0, f64::NAN), (1.0, 2.0)])]);
        assert!(picture.text.contains("not drawn: 1"), "{}", picture.text);
    }

    #[test]
    fn a_long_curve_stays_small() {
        let points = (0..100_000).map(|i| (f64::from(i), f64::from(i).sin())).collect();
        let picture = curves("long", &[("sine", points)]);
        assert!(svg(&picture).len() < 100_000, "{} bytes", svg(&picture).len());
    }

    #[test]
    fn ticks_have_the_decimals_they_need() {
        assert_eq!(tick_format(&(0.0..4.6))(&1.5), "1.5");
        assert_eq!(tick_format(&(0.0..600.0))(&100.0), "100");
        assert_eq!(tick_format(&(1.40..1.46))(&1.41), "1.41");
        assert_eq!(tick_format(&(0.0..0.0))(&-0.0), "0.0");
    }
}

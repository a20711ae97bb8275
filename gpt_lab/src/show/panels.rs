//! Panels one under the other over the same steps: how runs are shown beside each other.

use plotters::style::RGBColor;

use super::Picture;
use super::plot::{Line, PALETTE, Plot, Stroke, drawn};

const WIDTH: u32 = 680;
/// Height of one panel in pixels.
const PANEL: u32 = 175;
/// The same where there are many.
const LOW_PANEL: u32 = 96;
/// The room of the numbers and the name of the x axis, which the last of many panels has on top of its height.
const X_AXIS: u32 = 34;
/// So many panels are tall; of more, each is low and has its name above it.
const TALL: usize = 3;

/// One panel.
pub(super) struct Panel {
    pub y_label: &'static str,
    pub lines: Vec<Line>,
    /// The y values are logarithms to base 10.
    pub log_y: bool,
}

impl Panel {
    /// A panel without lines.
    pub fn new(y_label: &'static str) -> Self {
        Panel { y_label, lines: Vec::new(), log_y: false }
    }

    /// The points of a run: pale as they came, strong when smoothed.
    pub fn add_smoothed(&mut self, points: Vec<(f64, f64)>, colour: RGBColor) {
        let smooth = smoothed(&points);
        self.lines.push(line(points, colour, Stroke::Pale));
        self.lines.push(line(smooth, colour, Stroke::Strong));
    }
}

/// A line without a name in the legend.
pub(super) fn line(points: Vec<(f64, f64)>, colour: RGBColor, stroke: Stroke) -> Line {
    Line { name: String::new(), points, colour, stroke }
}

/// The colours of so many runs.
pub(super) fn colours(runs: usize) -> impl Iterator<Item = RGBColor> {
    PALETTE.into_iter().cycle().take(runs)
}

/// Panels over the same steps.
pub(super) struct Panels {
    pub panels: Vec<Panel>,
    /// The name of the x axis.
    pub x_label: &'static str,
    /// The least end of the x axis.
    pub x_until: f64,
    /// Name and colour of each run.
    pub legend: Vec<(String, RGBColor)>,
    /// A line for each run, for the plain form.
    pub text: Vec<String>,
    /// A progress bar (0 to 1) with lines of text, above the panels.
    pub progress: Option<(f64, Vec<String>)>,
}

impl Panels {
    /// The picture; its plain form alone if plotters fails.
    pub fn picture(self) -> Picture {
        let last = self.panels.len().saturating_sub(1);
        let low = self.panels.len() > TALL;
        let named = |yes: bool, name: &str| if yes { name.to_string() } else { String::new() };
        let panel = |(at, panel): (usize, Panel)| Plot {
            x_label: named(at == last, self.x_label),
            y_label: named(!low, panel.y_label),
            caption: named(low, panel.y_label),
            bare_x: low && at < last,
            lines: panel.lines,
            log_y: panel.log_y,
            x_from: Some(0.0),
            x_until: Some(self.x_until),
            ..Plot::default()
        };
        let panels: Vec<Plot> = self.panels.into_iter().enumerate().map(panel).collect();
        let named = |(name, colour)| Line { name, ..line(Vec::new(), colour, Stroke::Strong) };
        let legend = self.legend.into_iter().map(named).collect();
        let status = self.progress.as_ref().map(|(_, lines)| lines.join("; "));
        let text = status.into_iter().chain(self.text).collect::<Vec<_>>().join("\n");
        let head = Plot { lines: legend, progress: self.progress, ..Plot::default() };
        match draw(&head, &panels) {
            Some(svg) => Picture::of_svg(text, svg),
            None => Picture::of_text(text),
        }
    }
}

/// The drawing; `None` if plotters fails.
fn draw(head: &Plot, panels: &[Plot]) -> Option<String> {
    let room = head.progress.as_ref().map_or(40, |(_, lines)| 74 + 18 * lines.len() as u32);
    let heights = heights(panels.len());
    drawn((WIDTH, room + heights.iter().sum::<u32>()), |root| {
        let top = head.draw_head(root)?;
        let mut rest = root.margin(top, 6, 6, 16);
        for (at, panel) in panels.iter().enumerate() {
            let available = f64::from(rest.dim_in_pixel().1);
            let share = f64::from(heights[at]) / f64::from(heights[at..].iter().sum::<u32>());
            let (area, below) = rest.split_vertically((available * share).round() as i32);
            panel.draw_lines(&area)?;
            rest = below;
        }
        Some(())
    })
}

/// The height of each of so many panels, in pixels.
fn heights(panels: usize) -> Vec<u32> {
    let mut heights = vec![if panels > TALL { LOW_PANEL } else { PANEL }; panels];
    if let (true, Some(last)) = (panels > TALL, heights.last_mut()) {
        *last += X_AXIS;
    }
    heights
}

/// A running mean that forgets; the first values count in full, so that it starts at the first value and not at 0.
/// Points that are not finite are left out.
pub(super) fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let keep = 1.0 - 1.0 / (1.0 + points.len() as f64 / 50.0).min(20.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let finite = points.iter().filter(|p| p.1.is_finite());
    finite
        .map(|&(x, y)| {
            (sum, weight) = (keep * sum + y, keep * weight + 1.0);
            (x, sum / weight)
        })
        .collect()
}

//! Panels one under the other over the same steps: how runs are shown beside each other.

use plotters::style::RGBColor;

use super::Picture;
use super::plot::{Line, PALETTE, Plot, Stroke, drawn};

const WIDTH: u32 = 680;
/// Height of one panel.
const PANEL: u32 = 175;

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
        let panel = |(at, panel): (usize, Panel)| Plot {
            x_label: if at == last { self.x_label.into() } else { String::new() },
            y_label: panel.y_label.into(),
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
    let room = if head.progress.is_some() { 110 } else { 40 };
    drawn((WIDTH, room + PANEL * panels.len() as u32), |root| {
        let top = head.draw_head(root)?;
        let areas = root.margin(top, 6, 6, 16).split_evenly((panels.len(), 1));
        panels.iter().zip(&areas).try_for_each(|(panel, area)| panel.draw_lines(area))
    })
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

//! What is drawn on the lab's card, to a tenth of a pixel: title, legend, lines and dots.

use super::paint::{label, short};
use super::plot::PALETTE;

/// Width of a drawing in pixels.
pub(super) const WIDTH: f64 = 680.0;
/// Width of a character at 12 px, generously, as nobody can measure text here.
pub(super) const CHARACTER: f64 = 6.6;

/// The colour of the line with this number.
pub(super) fn hue(at: usize) -> String {
    let colour = PALETTE[at % PALETTE.len()];
    format!("#{:02x}{:02x}{:02x}", colour.0, colour.1, colour.2)
}

/// A thin straight line from pixel to pixel.
pub(super) fn segment(from: (f64, f64), to: (f64, f64), colour: &str) -> String {
    format!("<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"{colour}\"/>", from.0, from.1, to.0, to.1)
}

/// Straight lines from pixel to pixel, to a tenth of one.
pub(super) fn polyline(pixels: &[(f64, f64)], colour: &str, width: f64) -> String {
    let points: Vec<String> = pixels.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let look = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"");
    format!("<polyline points=\"{}\" {look}/>", points.join(" "))
}

/// A dot at a pixel.
pub(super) fn dot((x, y): (f64, f64), radius: f64, colour: &str) -> String {
    format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>")
}

/// The title and under it the legend, which is names with their colours; returns the drawing and its height in pixels.
/// A name that is empty has no entry.
pub(super) fn head(title: &str, entries: &[(&str, String)]) -> (String, f64) {
    let (mut drawing, mut y) = (String::new(), 10.0);
    if !title.is_empty() {
        drawing.push_str(&label(16.0, 26.0, "font-size=\"15\"", &short(title, 80)));
        y = 36.0;
    }
    let mut x = 16.0;
    let entries: Vec<_> = entries.iter().filter(|(name, _)| !name.is_empty()).collect();
    for (name, colour) in &entries {
        let name = short(name, 80);
        let width = 40.0 + CHARACTER * name.chars().count() as f64;
        if x > 16.0 && x + width > WIDTH {
            (x, y) = (16.0, y + 18.0);
        }
        drawing.push_str(&format!(
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"16\" height=\"3\" fill=\"{colour}\"/>",
            y + 5.0
        ));
        drawing.push_str(&label(x + 22.0, y + 11.0, "", &name));
        x += width;
    }
    (drawing, if entries.is_empty() { y + 4.0 } else { y + 26.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legend_has_no_empty_entries() {
        let entry = |name| (name, hue(0));
        let (drawing, height) = head("t", &[entry(""), entry("<a>")]);
        assert!(drawing.matches("<rect").count() == 1 && drawing.contains("&lt;a&gt;"), "{drawing}");
        let long = "x".repeat(60);
        assert_eq!(head("t", &[entry(&long), entry(&long)]).1, height + 18.0, "a second row");
    }
}

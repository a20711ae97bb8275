//! Lines over named axes.

use super::Picture;
use super::axes::{Axis, Frame, X_AXIS, left};
use super::paint::{brief, card, one_line};
use super::pen::{WIDTH, dot, head, hue, polyline};
use super::plot::{Line, PALETTE, Stroke, can_be_drawn, describe, thin_out};

/// Height of the frame in pixels.
const HEIGHT: f64 = 260.0;
/// A line of so many points has a dot at each of them.
const DOTS: usize = 20;

/// Lines that share two axes with names (and their units, as in `KL (nats a text)`); one colour each, in the order
/// given. Their points are joined by straight lines, and if a line has at most 20 each is a dot as well. A line without
/// a name is not in the legend; points that are not finite are left out.
pub fn xy(title: &str, x_label: &str, y_label: &str, lines: &[(&str, Vec<(f64, f64)>)]) -> Picture {
    let thin: Vec<Vec<(f64, f64)>> = lines.iter().map(|(_, points)| thin_out(points)).collect();
    let x = Axis::new(thin.iter().flatten().map(|point| point.0), 0.02, 8);
    let y = Axis::new(thin.iter().flatten().map(|point| point.1), 0.06, 6);
    let entries: Vec<(&str, String)> = lines.iter().enumerate().map(|(at, (name, _))| (*name, hue(at))).collect();
    let (mut drawing, top) = head(title, &entries);
    let frame = Frame { x: &x, y: &y, left: left(&[&y]), top, height: HEIGHT };
    drawing.push_str(&frame.drawn(Some(x_label), y_label));
    for (points, (_, colour)) in thin.iter().zip(&entries) {
        let pixels: Vec<(f64, f64)> = points.iter().map(|point| frame.at(*point)).collect();
        drawing.push_str(&polyline(&pixels, colour, 2.0));
        if pixels.len() <= DOTS {
            drawing.extend(pixels.iter().map(|pixel| dot(*pixel, 3.5, colour)));
        }
    }
    let heading = format!("{y_label} over {x_label}");
    let text = [title.to_string(), heading].into_iter().filter(|line| !line.is_empty());
    let text: Vec<String> =
        text.chain(lines.iter().enumerate().map(|(at, (name, points))| line(at, name, points))).collect();
    Picture::of_svg(text.join("\n"), card(WIDTH, top + HEIGHT + X_AXIS, &drawing))
}

/// `0.1: (1, 0.25) (2, 0.5)`; of many points, where they begin, end, and are lowest.
fn line(at: usize, name: &str, points: &[(f64, f64)]) -> String {
    let name = if name.is_empty() { format!("line {}", at + 1) } else { one_line(name) };
    if points.is_empty() || points.len() > DOTS || !points.iter().all(can_be_drawn) {
        let (points, colour, stroke) = (points.to_vec(), PALETTE[0], Stroke::Strong);
        return describe(&Line { name, points, colour, stroke });
    }
    let pairs: Vec<String> = points.iter().map(pair).collect();
    format!("{name}: {}", pairs.join(" "))
}

/// A point as the plain forms have it.
fn pair((x, y): &(f64, f64)) -> String {
    format!("({}, {})", brief(*x), brief(*y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_placed_to_a_tenth_of_a_pixel() {
        let picture = xy("t", "KL (nats a text)", "<reward>", &[("a", vec![(0.0, 1.0), (1.0, 3.0), (3.0, 2.0)])]);
        assert_eq!(picture.text, "t\n<reward> over KL (nats a text)\na: (0, 1) (1, 3) (3, 2)");
        let svg = picture.svg.unwrap();
        assert!(svg.contains("KL (nats a text)") && svg.contains("rotate(-90") && svg.contains("&lt;reward&gt;"));
        assert_eq!(svg.matches("<circle").count(), 3);
        let points = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        let decimals = |number: &str| number.split('.').nth(1).map(str::len);
        assert!(points.split([' ', ',']).all(|number| decimals(number) == Some(1)), "{points}");
    }

    #[test]
    fn many_points_have_no_dots_and_nameless_lines_no_entry() {
        let wave: Vec<_> = (0..1000).map(|x| (f64::from(x), f64::from(x).sin())).collect();
        let picture = xy("", "x", "y", &[("", wave.clone()), ("wave", wave)]);
        let svg = picture.svg.unwrap();
        assert!(!svg.contains("<circle") && svg.matches("height=\"3\"").count() == 1 && svg.len() < 20_000);
        assert!(
            picture.text.contains("line 1: 0.0000 → ") && picture.text.contains("wave: 0.0000 → "),
            "{}",
            picture.text
        );
    }

    #[test]
    fn odd_lines_are_drawn_without_panic() {
        let odd: [Vec<(f64, f64)>; 5] = [
            vec![],
            vec![(1.0, 1.0)],
            vec![(0.0, f64::NAN), (f64::INFINITY, 1.0)],
            vec![(5.0, f64::MIN), (5.0, f64::MAX)],
            vec![(1.0, 1.0), (1.0 + 1e-14, 1.0 - 1e-14)],
        ];
        for points in odd {
            let picture = xy("odd", "x", "y", &[("line", points.clone())]);
            let svg = picture.svg.unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{points:?}: {svg}");
            assert!(picture.text.contains("line"), "{points:?}");
        }
    }
}

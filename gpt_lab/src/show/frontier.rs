//! What a method gains over what it pays: points with error bars, in panels over one x axis.

use super::Picture;
use super::axes::{Axis, Frame, X_AXIS, left};
use super::beside::{Rect, beside, covered};
use super::paint::{brief, card, label, one_line, short};
use super::pen::{CHARACTER, WIDTH, dot, head, hue, polyline};

/// Height of a panel in pixels, and the room to the next.
const HEIGHT: f64 = 190.0;
const GAP: f64 = 16.0;
/// More groups of a panel, and more points of a group, are not shown.
const MOST: usize = 100;
/// Characters of a name that are shown beside a point.
const LONGEST: usize = 32;

/// One point, for instance a run: where it stands, and the interval of its y value.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Its name, for the plain form.
    pub name: String,
    /// What it pays, for instance nats of KL.
    pub x: f64,
    /// What it gains, for instance a share of right answers.
    pub y: f64,
    /// The lower end of the whisker; NaN for none.
    pub low: f64,
    /// The upper end of the whisker; NaN for none.
    pub high: f64,
}

impl Mark {
    fn has_place(&self) -> bool {
        self.x.abs() < 1e12 && self.y.abs() < 1e12
    }

    fn whisker(&self) -> Option<(f64, f64)> {
        (self.low.abs() < 1e12 && self.high.abs() < 1e12).then_some((self.low, self.high))
    }
}

/// A name and what has it.
pub type Group<'a> = (&'a str, Vec<Mark>);

/// Panels one above the other over one x axis, each with groups of points: what each one gains over what it pays. The
/// points of a group are joined in their order and the group is in the legend, in one colour everywhere; a group of one
/// point has its name beside the point. Whiskers reach from [`Mark::low`] to [`Mark::high`]. At most 100 groups of a
/// panel and 100 points of a group are shown.
pub fn frontier(title: &str, x_label: &str, panels: &[(&str, Vec<Group>)]) -> Picture {
    let names = names(panels);
    let x = Axis::new(panels.iter().flat_map(|(_, groups)| marks(groups)).map(|mark| mark.x), 0.05, 8);
    let ys: Vec<Axis> = panels.iter().map(|(_, groups)| Axis::new(heights(groups), 0.08, 5)).collect();
    let (mut drawing, mut top) = head(title, &legend(panels, &names));
    let left = left(&ys.iter().collect::<Vec<_>>());
    for (at, ((y_label, groups), y)) in panels.iter().zip(&ys).enumerate() {
        let frame = Frame { x: &x, y, left, top, height: HEIGHT };
        let x_label = (at + 1 == panels.len()).then_some(x_label);
        drawing.push_str(&frame.drawn(x_label, y_label));
        drawing.push_str(&panel(&frame, groups, &names));
        top += HEIGHT + GAP;
    }
    let heading = [title.to_string(), format!("at: {x_label}")].into_iter().filter(|line| !line.is_empty());
    let text = heading.chain(panels.iter().flat_map(|(panel, groups)| lines(panel, groups)));
    Picture::of_svg(text.collect::<Vec<_>>().join("\n"), card(WIDTH, top - GAP + X_AXIS, &drawing))
}

/// The names of all groups, each once.
fn names<'a>(panels: &[(&str, Vec<Group<'a>>)]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (name, _) in panels.iter().flat_map(|(_, groups)| groups) {
        if !names.contains(name) {
            names.push(*name);
        }
    }
    names
}

/// Names and colours of those with more than one point.
fn legend<'a>(panels: &[(&str, Vec<Group<'a>>)], names: &[&'a str]) -> Vec<(&'a str, String)> {
    let is_long = |name: &str| panels.iter().any(|(_, groups)| groups.iter().any(|(n, m)| *n == name && m.len() > 1));
    names.iter().enumerate().filter(|(_, name)| is_long(name)).map(|(at, name)| (*name, hue(at))).collect()
}

/// The points of a panel that have a place.
fn marks<'a>(groups: &'a [Group]) -> impl Iterator<Item = &'a Mark> {
    groups.iter().take(MOST).flat_map(|(_, marks)| drawn(marks))
}

/// The points of a group that have a place.
fn drawn(marks: &[Mark]) -> impl Iterator<Item = &Mark> {
    marks.iter().take(MOST).filter(|mark| mark.has_place())
}

/// The y values of points and whiskers.
fn heights(groups: &[Group]) -> impl Iterator<Item = f64> {
    marks(groups).flat_map(|mark| [Some(mark.y), mark.whisker().map(|w| w.0), mark.whisker().map(|w| w.1)]).flatten()
}

/// Points, whiskers, lines and names of one panel.
fn panel(frame: &Frame, groups: &[Group], names: &[&str]) -> String {
    let (mut drawing, mut taken, mut named) = (String::new(), Vec::new(), Vec::new());
    for (name, marks) in groups.iter().take(MOST) {
        let colour = hue(names.iter().position(|other| other == name).unwrap_or(0));
        let pixels: Vec<(f64, f64)> = drawn(marks).map(|mark| frame.at((mark.x, mark.y))).collect();
        if pixels.len() > 1 {
            drawing.push_str(&polyline(&pixels, &colour, 1.2));
            taken.extend(covered(&pixels));
        }
        for (mark, pixel) in drawn(marks).zip(&pixels) {
            if let Some((low, high)) = mark.whisker() {
                let ends = [low, high].map(|y| frame.at((mark.x, y)));
                drawing.push_str(&whisker(ends, &colour));
                taken.extend(covered(&ends));
            }
            drawing.push_str(&dot(*pixel, 4.0, &colour));
            taken.push(Rect::around(*pixel, (5.0, 5.0)));
        }
        named.extend(pixels.first().filter(|_| marks.len() == 1).map(|pixel| (*pixel, short(name, LONGEST), colour)));
    }
    drawing + &labels(frame, &named, &taken)
}

/// A line up and down with a short one across at each end.
fn whisker([low, high]: [(f64, f64); 2], colour: &str) -> String {
    format!(
        "<path d=\"M{x:.1} {0:.1}V{1:.1}M{left:.1} {0:.1}h6M{left:.1} {1:.1}h6\" stroke=\"{colour}\" opacity=\"0.6\"/>",
        low.1,
        high.1,
        x = low.0,
        left = low.0 - 3.0
    )
}

/// The pixel of a point, its name and its colour.
type Named = ((f64, f64), String, String);

/// The names of points in their colours, where they cover as little as possible.
fn labels(frame: &Frame, named: &[Named], taken: &[Rect]) -> String {
    let area = Rect { left: frame.left, top: frame.top, right: WIDTH - 4.0, bottom: frame.top + frame.height };
    let width = |name: &str| CHARACTER * name.chars().count() as f64;
    let points: Vec<_> = named.iter().map(|(pixel, name, _)| (*pixel, width(name))).collect();
    let at = |(place, ((x, _), name, colour)): (Rect, &Named)| {
        // A name is narrower than its place, so it begins or ends at the side of its point.
        let (anchor, edge) = match () {
            _ if place.left > *x => ("start", place.left),
            _ if place.right < *x => ("end", place.right),
            _ => ("middle", *x),
        };
        label(edge, place.bottom - 3.0, &format!("text-anchor=\"{anchor}\" fill=\"{colour}\""), name)
    };
    beside(&points, taken, area).into_iter().zip(named).map(at).collect()
}

/// One line a point: `right answers: GRPO, 100 steps: 0.6 (0.51–0.69) at 2.5`.
fn lines(panel: &str, groups: &[Group]) -> Vec<String> {
    let line = |group: &str, mark: &Mark| {
        let name = match mark.name.as_str() {
            "" => group.to_string(),
            name if name == group => group.to_string(),
            name => format!("{group}, {name}"),
        };
        let interval = match mark.whisker() {
            Some((low, high)) => format!(" ({}–{})", brief(low), brief(high)),
            None => String::new(),
        };
        one_line(&format!("{panel}: {name}: {}{interval} at {}", brief(mark.y), brief(mark.x)))
    };
    let of_group = |(name, marks): &Group| marks.iter().take(MOST).map(|mark| line(name, mark)).collect::<Vec<_>>();
    groups.iter().take(MOST).flat_map(of_group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(name: &str, x: f64, y: f64) -> Mark {
        Mark { name: name.into(), x, y, low: y - 0.1, high: y + 0.1 }
    }

    #[test]
    fn groups_are_joined_and_single_points_named() {
        let run = vec![mark("50 steps", 1.0, 0.5), mark("100 steps", 2.5, 0.6)];
        let panels = [
            ("right answers", vec![("best of n", run.clone()), ("<SFT>", vec![mark("<SFT>", 0.0, 0.3)])]),
            ("rudeness", vec![("best of n", run)]),
        ];
        let picture = frontier("t", "KL", &panels);
        let expected = "t\nat: KL\nright answers: best of n, 50 steps: 0.5 (0.4–0.6) at 1\n\
                        right answers: best of n, 100 steps: 0.6 (0.5–0.7) at 2.5\n\
                        right answers: <SFT>: 0.3 (0.2–0.4) at 0\n\
                        rudeness: best of n, 50 steps";
        assert!(picture.text.starts_with(expected), "{}", picture.text);
        let svg = picture.svg.unwrap();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches(">best of n<").count(), 1, "a legend entry");
        assert!(svg.contains("&lt;SFT&gt;") && !svg.contains("50 steps"));
        assert_eq!(svg.matches(&format!("fill=\"{}\"", hue(0))).count(), 5, "one colour: entry and four points");
        assert_eq!(svg.matches(">KL<").count(), 1, "the panels share the x axis");
    }

    #[test]
    fn no_whisker_no_place_no_points() {
        let plain = Mark { low: f64::NAN, ..mark("a", 1.0, 2.0) };
        let lost = mark("b", f64::NAN, 1.0);
        let picture = frontier("", "x", &[("y", vec![("a", vec![plain]), ("b", vec![lost]), ("c", vec![])])]);
        assert_eq!(picture.text, "at: x\ny: a: 2 at 1\ny: b: 1 (0.9–1.1) at NaN");
        let svg = picture.svg.unwrap();
        assert!(svg.matches("<circle").count() == 1 && !svg.contains("opacity") && !svg.contains("NaN"), "{svg}");
        assert!(frontier("t", "x", &[]).svg.is_some());
    }
}

//! Names beside their points, where they cover nothing.

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rect {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Rect {
    /// The rectangle of this half width and half height around a pixel.
    pub fn around((x, y): (f64, f64), (width, height): (f64, f64)) -> Self {
        Rect { left: x - width, top: y - height, right: x + width, bottom: y + height }
    }

    fn meets(&self, other: &Rect) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn is_in(&self, other: &Rect) -> bool {
        self.left >= other.left && self.right <= other.right && self.top >= other.top && self.bottom <= other.bottom
    }
}

/// A way through pixels as squares that cover it.
pub(super) fn covered(pixels: &[(f64, f64)]) -> Vec<Rect> {
    let between = |pair: &[(f64, f64)]| {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let steps = (((x1 - x0).hypot(y1 - y0) / 6.0).ceil() as usize).max(1);
        let share = move |at: usize| at as f64 / steps as f64;
        (0..=steps).map(move |at| (x0 + share(at) * (x1 - x0), y0 + share(at) * (y1 - y0)))
    };
    pixels.windows(2).flat_map(between).map(|pixel| Rect::around(pixel, (2.0, 2.0))).collect()
}

/// A place of this width for the name of each point: the first of right, left, above, below and somewhat farther that
/// stays in the area and meets neither what is taken nor the names before it; else the one that meets the least.
pub(super) fn beside(points: &[((f64, f64), f64)], taken: &[Rect], area: Rect) -> Vec<Rect> {
    let mut places: Vec<Rect> = Vec::new();
    for &(point, width) in points {
        let trouble = |place: &Rect| {
            let count = |rects: &[Rect]| rects.iter().filter(|other| other.meets(place)).count();
            let outside = if place.is_in(&area) { 0 } else { 1000 };
            outside + 100 * count(&places) + count(taken)
        };
        let best = around(point, width).into_iter().min_by_key(trouble);
        places.extend(best);
    }
    places
}

/// The places around a point, the best first.
fn around((x, y): (f64, f64), width: f64) -> Vec<Rect> {
    let half = width / 2.0;
    let row = |dy: f64| [x + 8.0 + half, x - 8.0 - half, x].map(|middle| Rect::around((middle, y + dy), (half, 7.0)));
    let beside = row(0.0).into_iter().take(2); // the third would cover the point
    beside.chain([-15.0, 15.0, -30.0, 30.0].into_iter().flat_map(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Rect = Rect { left: 0.0, top: 0.0, right: 300.0, bottom: 100.0 };

    #[test]
    fn names_avoid_the_edge_and_each_other() {
        let places = beside(&[((100.0, 50.0), 60.0), ((290.0, 50.0), 60.0)], &[], AREA);
        assert!(places[0].left > 100.0, "right of the point, where there is room");
        assert!(places[1].right < 290.0, "left of a point at the edge");
        let places = beside(&[((100.0, 50.0), 60.0); 4], &[], AREA);
        for (at, one) in places.iter().enumerate() {
            assert!(one.is_in(&AREA) && !places[..at].iter().any(|other| other.meets(one)), "{places:?}");
        }
    }

    #[test]
    fn names_avoid_lines() {
        let line = covered(&[(0.0, 50.0), (300.0, 50.0)]);
        let place = beside(&[((100.0, 50.0), 60.0)], &line, AREA)[0];
        assert!(place.bottom <= 48.0 || place.top >= 52.0, "{place:?}");
        assert!(covered(&[(1.0, 1.0)]).is_empty());
    }
}

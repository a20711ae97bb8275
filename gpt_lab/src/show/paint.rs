//! The common parts of the pictures: numbers written short, whitespace made visible, colours, the card under a drawing.

use std::collections::BTreeMap;

use super::escape;

/// The system's fonts, as CSS and as SVG attributes understand them.
pub(super) const SANS: &str = "system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif";
pub(super) use crate::lab::MONO;

/// A colour as red, green, blue.
pub(super) type Rgb = (u8, u8, u8);
/// Large values, and everything that is simply a quantity.
pub(super) const BLUE: Rgb = (66, 133, 214);
/// Negative values.
pub(super) const ORANGE: Rgb = (222, 122, 34);
/// Problems.
pub(super) const RED: Rgb = (214, 60, 60);

/// A translucent fill, `strength` in 0..=1, under text that keeps the page's colour.
pub(super) fn tint((r, g, b): Rgb, strength: f64) -> String {
    format!("rgba({r},{g},{b},{:.2})", 0.7 * strength.clamp(0.0, 1.0))
}

/// The same on a white card, opaque, in 32 steps, so that a drawing needs few colours.
pub(super) fn shade((r, g, b): Rgb, strength: f64) -> String {
    let s = (strength.clamp(0.0, 1.0) * 32.0).round() / 32.0;
    let mix = |c: u8| (255.0 - s * (255.0 - f64::from(c))).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(r), mix(g), mix(b))
}

/// A number in few characters: four significant digits, powers of ten where they save space, `−∞`, `NaN`.
pub(super) fn number(x: f64) -> String {
    if x.is_nan() {
        return "NaN".into();
    }
    let sign = if x.is_sign_negative() && x != 0.0 { "−" } else { "" };
    let size = x.abs();
    let digits = match size {
        _ if size.is_infinite() => "∞".to_string(),
        0.0 => "0".to_string(),
        _ if size.fract() == 0.0 && size < 1e6 => format!("{size}"),
        _ if !(1e-3..1e5).contains(&size) => format!("{size:.2e}"),
        _ => format!("{size:.*}", (3 - size.log10().floor() as i32).clamp(0, 4) as usize),
    };
    format!("{sign}{digits}")
}

/// A number as [`number`] writes it, without zeros at its end: `0.5`, `2e-7`.
pub(super) fn brief(x: f64) -> String {
    let written = number(x);
    let (digits, power) = written.split_at(written.find('e').unwrap_or(written.len()));
    match digits.contains('.') {
        true => format!("{}{power}", digits.trim_end_matches('0').trim_end_matches('.')),
        false => written,
    }
}

/// Text on one line, for the plain forms: line breaks as ` ⏎ `, and nothing that a terminal would obey.
pub(super) fn one_line(text: &str) -> String {
    let spaced = text.trim().replace('\n', " ⏎ ");
    let show = |c: char| match c {
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\u{7f}'..='\u{9f}' => '\u{fffd}',
        c => c,
    };
    spaced.chars().map(show).collect()
}

/// A shape as `[2, 3, 4]`, or `[]` for a single number.
pub(super) fn shape(dims: &[usize]) -> String {
    format!("{dims:?}")
}

/// Text with its whitespace written as `␣ ⏎ ⇥`; empty text as `∅`.
pub(super) fn visible(text: &str) -> String {
    if text.is_empty() {
        return "∅".into();
    }
    let show = |c: char| match c {
        ' ' => '␣',
        '\n' => '⏎',
        '\r' => '␍',
        '\t' => '⇥',
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        c => c,
    };
    text.chars().map(show).collect()
}

/// The first `limit` characters, the last of them `…` if there are more.
pub(super) fn short(text: &str, limit: usize) -> String {
    match text.chars().count() {
        n if n <= limit => text.to_string(),
        _ => text.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A drawing on a white card: a browser draws an SVG apart from the page around it, so it brings its own background.
pub(super) fn card(width: f64, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"{SANS}\" font-size=\"12\" fill=\"#333\">\
         <rect x=\"0.5\" y=\"0.5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"6\" fill=\"#fff\" \
         stroke=\"#ddd\"/>{body}</svg>\n",
        width - 1.0,
        height - 1.0,
    )
}

/// A line of text in a drawing; `attributes` such as `text-anchor="end"`.
pub(super) fn label(x: f64, y: f64, attributes: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{}</text>", escape(text))
}

/// A heat map: `rows × columns` cells of size `cell` from the corner `at`, in a thin frame. White cells are left out
/// and cells of one colour share a path, which makes the drawing a tenth as long as one rectangle a cell.
pub(super) fn cells(
    at: (f64, f64),
    cell: (f64, f64),
    (rows, columns): (usize, usize),
    fill: impl Fn(usize, usize) -> String,
) -> String {
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            let (start, colour) = (column, fill(row, column));
            while column < columns && fill(row, column) == colour {
                column += 1;
            }
            let run = format!("M{start} {row}h{0}v1h-{0}z", column - start);
            paths.entry(colour).or_default().push_str(&run);
        }
    }
    paths.remove("#ffffff");
    let paths: String = paths.iter().map(|(fill, path)| format!("<path fill=\"{fill}\" d=\"{path}\"/>")).collect();
    let ((x, y), (width, height)) = (at, cell);
    format!(
        "<g transform=\"translate({x:.2} {y:.2}) scale({width:.4} {height:.4})\" \
         shape-rendering=\"crispEdges\">{paths}</g>\
         <rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"none\" stroke=\"#bbb\"/>",
        width * columns as f64,
        height * rows as f64
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_say_what_is_not_one() {
        let written: Vec<String> =
            [0.0, -0.0, 1.0, -2.0, 0.123456, 12.3456, 1234.56, 1e-7, -3.5e12, f64::NAN, f64::NEG_INFINITY]
                .into_iter()
                .map(number)
                .collect();
        let expected = ["0", "0", "1", "−2", "0.1235", "12.35", "1235", "1.00e-7", "−3.50e12", "NaN", "−∞"];
        assert_eq!(written, expected);
    }

    #[test]
    fn text_is_visible_and_bounded() {
        assert_eq!(visible(" a\n\t\u{1b}"), "␣a⏎⇥␛");
        assert_eq!(visible(""), "∅");
        assert_eq!(one_line(" a\nb\u{1b}[31m "), "a ⏎ b␛[31m");
        assert_eq!([0.5, 1.0, -1.25, 100.0, 1.5e-9].map(brief), ["0.5", "1", "−1.25", "100", "1.5e-9"]);
        assert_eq!((short("abcdef", 4), short("abcd", 4)), ("abc…".into(), "abcd".into()));
        assert_eq!((shade(BLUE, 0.0), shade(BLUE, 1.0)), ("#ffffff".into(), "#4285d6".into()));
    }
}

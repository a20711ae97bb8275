//! HTML, piece by piece.

/// An element with a CSS style around children that are HTML already.
pub(crate) fn el(tag: &str, style: &str, children: impl AsRef<str>) -> String {
    format!("<{tag} style=\"{style}\">{}</{tag}>", children.as_ref())
}

/// Text for HTML and SVG, in elements and in quoted attributes. Control characters, which XML forbids, become `␀` and
/// so on.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            '\u{0}'..='\u{1f}' => escaped.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
            '\u{7f}' => escaped.push('␡'),
            '\u{80}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

//! A picture in all its forms.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::html::{el, escape};

/// The system's fonts of fixed width, as CSS and as SVG attributes understand them. Not the keyword `monospace` alone,
/// which browsers draw smaller than asked.
pub(crate) const MONO: &str = "ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace";

/// A display in up to three forms. As the last expression of a cell it shows itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a picture shows itself as the last line of a cell; elsewhere call `.show()`"]
pub struct Picture {
    /// For terminals, and for programs that cannot show the other forms of a notebook.
    pub text: String,
    /// For notebooks: HTML without scripts.
    pub html: Option<String>,
    /// For notebooks: a drawing.
    pub svg: Option<String>,
}

impl Picture {
    /// A picture that is plain text everywhere.
    pub fn of_text(text: impl Into<String>) -> Self {
        Picture { text: text.into(), html: None, svg: None }
    }

    /// A picture with an HTML form.
    pub fn of_html(text: impl Into<String>, html: impl Into<String>) -> Self {
        Picture { text: text.into(), html: Some(html.into()), svg: None }
    }

    /// A picture with a drawing.
    pub fn of_svg(text: impl Into<String>, svg: impl Into<String>) -> Self {
        Picture { text: text.into(), html: None, svg: Some(svg.into()) }
    }

    /// Its forms by MIME type.
    pub fn forms(&self) -> BTreeMap<&str, &str> {
        let mut forms = BTreeMap::from([("text/plain", self.text.as_str())]);
        forms.extend(self.html.as_deref().map(|html| ("text/html", html)));
        forms.extend(self.svg.as_deref().map(|svg| ("image/svg+xml", svg)));
        forms
    }

    /// Its forms as a Jupyter MIME bundle.
    pub fn bundle(&self) -> Value {
        self.forms().into_iter().collect()
    }
}

/// The plain-text form.
impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Code or any other text, in a fixed-width block with its line breaks; long lines wrap.
pub fn text(text: &str) -> Picture {
    let style = format!(
        "margin:0;padding:8px 12px;background:rgba(128,128,128,0.12);border-radius:4px;font-family:{MONO};\
         white-space:pre-wrap;overflow-wrap:anywhere"
    );
    Picture::of_html(text, el("pre", &style, escape(text)))
}

/// A progress bar with a line of text below; `share` is between 0 and 1.
pub fn bar(share: f64, label: &str) -> Picture {
    let percent = (share.clamp(0.0, 1.0) * 100.0).round();
    let filled = format!("height:8px;border-radius:4px;width:{percent}%;background:rgb(66,133,214)");
    let all = el("div", "height:8px;border-radius:4px;background:rgba(128,128,128,0.25)", el("div", &filled, ""));
    let html = el("div", "max-width:640px", all + &el("div", "padding-top:3px", escape(label)));
    Picture::of_html(label, html)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "<script>alert('x')</script> \"&\u{1b}[31m";

    #[test]
    fn what_is_shown_is_never_run() {
        for picture in [text(HOSTILE), bar(0.5, HOSTILE)] {
            let html = picture.html.clone().unwrap();
            assert!(!html.contains("<script") && html.contains("&lt;script&gt;"), "{html}");
            assert!(!html.contains('\u{1b}'), "control characters are made visible");
            assert_eq!(picture.to_string(), HOSTILE, "the plain form is the text itself");
        }
        assert_eq!(escape("a\"b'c&"), "a&quot;b&#39;c&amp;");
    }

    #[test]
    fn a_bundle_has_every_form_once() {
        let picture = Picture { text: "t".into(), html: Some("h".into()), svg: None };
        assert_eq!(picture.bundle(), serde_json::json!({ "text/plain": "t", "text/html": "h" }));
        assert!(bar(7.0, "").html.unwrap().contains("width:100%"), "a share above 1 does not leave the bar");
    }
}

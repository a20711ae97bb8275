//! The gradients that a backward pass left, parameter by parameter.

use super::paint::{BLUE, MONO, RED, number, shape, short, tint};
use super::{Picture, escape};
use crate::core::format::thousands;
use crate::gpt2::{AuditRow, GradAudit};
use crate::lab::el;

/// More blocks than this, and more rows in one, are counted, not drawn.
const MOST: usize = 100;
/// Models with more parameters than this are shown block by block.
const LONG: usize = 24;

/// One row a parameter: name, shape, whether it is meant to train, and the norm of its gradient as a number and as a
/// bar on a scale of powers of ten. Parameters that are meant to train and do not are red. Longer lists are folded by
/// block; a block with a problem is open.
pub fn grad_audit(audit: &GradAudit) -> Picture {
    let problems = audit.rows.iter().filter(|row| problem(row).is_some()).count();
    let training = audit.rows.iter().filter(|row| row.trainable).count();
    let verdict = match (training, problems) {
        (0, _) => "no parameter is meant to train".to_string(),
        (_, 0) => format!("a gradient reaches all {} parameters that train", thousands(training)),
        _ => format!("{} of {} parameters that should train do not", thousands(problems), thousands(training)),
    };
    let scale = Scale::of(audit);
    let body = if audit.rows.len() <= LONG { table(&audit.rows, &scale) } else { blocks(&audit.rows, &scale) };
    let colour = if problems > 0 { format!("background:{};", tint(RED, 0.5)) } else { String::new() };
    let style =
        format!("font-weight:600;display:inline-block;padding:1px 4px;border-radius:3px;margin-bottom:4px;{colour}");
    let html = el("div", "max-width:700px", el("div", &style, format!("Gradients: {verdict}")) + &body);
    Picture::of_html(format!("Gradients: {verdict}\n{audit}").trim_end(), html)
}

/// The reason why a parameter that is meant to train does not.
fn problem(row: &AuditRow) -> Option<&'static str> {
    match row.grad_norm {
        _ if !row.trainable || row.learns() => None,
        None => Some("no gradient"),
        Some(0.0) => Some("zero"),
        Some(_) => Some("not finite"),
    }
}

/// The powers of ten that the bars span: the longest bar is the largest norm, the shortest a thousandth of the
/// smallest.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(audit: &GradAudit) -> Self {
        let logs = || audit.rows.iter().filter(|row| row.learns()).filter_map(|row| row.grad_norm).map(f64::log10);
        Scale {
            low: logs().fold(f64::INFINITY, f64::min).floor() - 1.0,
            high: logs().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// A bar's length as a percentage.
    fn percent(&self, norm: f64) -> f64 {
        if norm.is_finite() && norm > 0.0 && self.high > self.low {
            (100.0 * (norm.log10() - self.low) / (self.high - self.low)).clamp(0.0, 100.0)
        } else {
            0.0
        }
    }
}

/// Neighbouring rows of one block together.
fn blocks(rows: &[AuditRow], scale: &Scale) -> String {
    let chunks: Vec<&[AuditRow]> = rows.chunk_by(|a, b| block(&a.name) == block(&b.name)).collect();
    let drawn: String = chunks.iter().take(MOST).map(|rows| folded(block(&rows[0].name), rows, scale)).collect();
    drawn + &more(chunks.len())
}

/// A line about those of `n` that are not drawn.
fn more(n: usize) -> String {
    if n > MOST { format!("<div>… and {} more</div>", thousands(n - MOST)) } else { String::new() }
}

/// The name up to and with its first number, or else without its last piece.
fn block(name: &str) -> &str {
    let mut end = 0;
    for piece in name.split('.') {
        end += piece.len();
        if !piece.is_empty() && piece.bytes().all(|byte| byte.is_ascii_digit()) {
            return &name[..end];
        }
        end += 1;
    }
    name.rsplit_once('.').map_or(name, |(head, _)| head)
}

fn folded(name: &str, rows: &[AuditRow], scale: &Scale) -> String {
    let problems = rows.iter().filter(|row| problem(row).is_some()).count();
    let norms = || rows.iter().filter_map(|row| row.grad_norm).filter(|norm| norm.is_finite());
    let whole = norms().map(|norm| norm * norm).sum::<f64>().sqrt();
    let plural = if rows.len() == 1 { "" } else { "s" };
    let (open, note) = match problems {
        0 => ("", format!("norm {}", number(whole))),
        n => (" open", format!("{n} not learning")),
    };
    let fill = if problems > 0 { tint(RED, 0.5) } else { "transparent".to_string() };
    let name = el("span", &format!("font-family:{MONO}"), escape(&short(name, 60)));
    let count = el("span", "opacity:0.75", format!("{} parameter{plural} · {note}", thousands(rows.len())));
    let style = format!("cursor:pointer;padding:1px 4px;font-size:13px;background:{fill}");
    format!("<details{open}>{}{}</details>", el("summary", &style, name + " " + &count), table(rows, scale))
}

fn table(rows: &[AuditRow], scale: &Scale) -> String {
    let head = ["parameter", "shape", "trains", "gradient norm", ""]
        .map(|name| el("th", "text-align:left;padding:1px 8px;font-weight:600;white-space:nowrap", name));
    let body: String = rows.iter().take(MOST).map(|row| line(row, scale)).collect();
    let rows_of_it = el("tr", "background:none", head.concat()) + &body;
    el("table", "border-collapse:collapse;margin:2px 0 6px;font-size:12px", rows_of_it) + &more(rows.len())
}

fn line(row: &AuditRow, scale: &Scale) -> String {
    let problem = problem(row);
    let norm = match (problem, row.grad_norm) {
        (Some(problem), Some(norm)) if !norm.is_finite() => format!("{} – {problem}", number(norm)),
        (Some(problem), _) => problem.to_string(),
        (None, Some(norm)) => number(norm),
        (None, None) => "–".to_string(),
    };
    let cell = "text-align:left;padding:1px 8px;white-space:nowrap";
    let fill = if problem.is_some() { tint(RED, 0.4) } else { "none".to_string() };
    let code = format!("{cell};font-family:{MONO}");
    let (percent, blue) = (scale.percent(row.grad_norm.unwrap_or(0.0)), tint(BLUE, 1.0));
    let bar = format!("height:9px;border-radius:2px;width:{percent:.1}%;background:{blue}");
    let cells = [
        el("td", &code, escape(&short(&row.name, 44))),
        el("td", &code, escape(&shape(&row.shape))),
        el("td", cell, if row.trainable { "yes" } else { "no" }),
        el("td", cell, norm),
        el("td", "padding:1px 0", el("div", "width:120px", el("div", &bar, ""))),
    ];
    el("tr", &format!("background:{fill}"), cells.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, trainable: bool, grad_norm: Option<f64>) -> AuditRow {
        AuditRow { name: name.into(), shape: vec![2, 3], trainable, grad_norm }
    }

    #[test]
    fn what_does_not_learn_is_red() {
        let rows = vec![
            row("a", true, Some(1.0)),
            row("b", true, None),
            row("c", true, Some(0.0)),
            row("d", true, Some(f64::NAN)),
            row("frozen", false, None),
        ];
        let picture = grad_audit(&GradAudit { rows });
        assert!(picture.text.starts_with("Gradients: 3 of 4 parameters that should train do not"), "{picture}");
        let html = picture.html.unwrap();
        assert_eq!(html.matches(&tint(RED, 0.4)).count(), 3, "{html}");
        for word in ["no gradient", "zero", "NaN – not finite"] {
            assert!(html.contains(word), "{word} is missing");
        }
        let fine = grad_audit(&GradAudit { rows: vec![row("a", true, Some(1.0)), row("b", false, None)] });
        assert!(
            fine.text.starts_with("Gradients: a gradient reaches all 1 parameters")
                && !fine.html.unwrap().contains(RED_RGB)
        );
    }

    const RED_RGB: &str = "rgba(214,60,60";

    #[test]
    fn bars_are_logarithmic() {
        let scale = Scale { low: -3.0, high: 1.0 };
        let percents: Vec<f64> = [10.0, 1.0, 0.1, 1e-3, 0.0, f64::NAN].map(|norm| scale.percent(norm)).into();
        let expected = [100.0, 75.0, 50.0, 0.0, 0.0, 0.0];
        assert!(percents.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{percents:?}");
    }

    #[test]
    fn long_lists_fold_by_block_and_open_where_there_is_a_problem() {
        assert_eq!(block("transformer.h.11.attn.c_attn.weight"), "transformer.h.11");
        assert_eq!((block("transformer.wte.weight"), block("weight"), block("")), ("transformer.wte", "weight", ""));
        let name = |at: usize| format!("h.{}.w{}", at / 10, at % 10);
        let mut rows: Vec<AuditRow> = (0..40).map(|at| row(&name(at), true, Some(0.5))).collect();
        rows[15].grad_norm = None;
        let html = grad_audit(&GradAudit { rows }).html.unwrap();
        assert_eq!((html.matches("<details>").count(), html.matches("<details open>").count()), (3, 1), "{html}");
    }

    #[test]
    fn hostile_names_empty_and_huge_audits() {
        let hostile = grad_audit(&GradAudit { rows: vec![row("<script>\"'", true, Some(1.0))] }).html.unwrap();
        assert!(!hostile.contains("<script"), "{hostile}");
        assert!(grad_audit(&GradAudit { rows: Vec::new() }).text.contains("no parameter is meant to train"));
        let huge = (0..5000).map(|at| row(&format!("w{at}"), true, Some(1e-300))).collect();
        assert!(grad_audit(&GradAudit { rows: huge }).html.unwrap().len() < 200_000);
    }
}

//! The `:dep` line that loads `gpt_lab`.

use std::path::Path;

/// The line that loads `gpt_lab`, always spelt the same, so that evcxr sees at a glance that nothing is new.
pub fn line(gpt_lab: &Path) -> String {
    format!(":dep gpt_lab = {{ path = {:?} }}", gpt_lab.display().to_string())
}

/// The code of a cell, in which the line for the `gpt_lab` that is loaded already is spelt like [`line()`]. Notebooks
/// name it by a relative path, for the plain evcxr.
pub fn in_one_spelling(code: &str, gpt_lab: &Path) -> String {
    let lines: Vec<String> = code
        .split('\n')
        .map(|text| if names(text, gpt_lab) == Some(true) { line(gpt_lab) } else { text.to_owned() })
        .collect();
    lines.join("\n")
}

/// True for a line `:dep gpt_lab = { path = "…" }` with the path of this crate; `None` for other lines.
fn names(text: &str, gpt_lab: &Path) -> Option<bool> {
    let rest = text.trim().strip_prefix(":dep")?.trim_start().strip_prefix("gpt_lab")?.trim_start();
    let table = rest.strip_prefix('=')?.trim().strip_prefix('{')?.strip_suffix('}')?;
    let (key, value) = table.split_once('=')?;
    let path = value.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some(key.trim() == "path" && Path::new(path).canonicalize().ok()? == gpt_lab)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_gpt_lab_is_rewritten() {
        let folder = std::env::temp_dir().canonicalize().unwrap();
        let expected = line(&folder);
        let code = format!("// one\n:dep gpt_lab={{path=\"{}/.\"}}\nlet x = 1;", folder.display());
        assert_eq!(in_one_spelling(&code, &folder), format!("// one\n{expected}\nlet x = 1;"));
        for other in [":dep gpt_lab = { path = \"/\" }", ":dep gpt_lab = \"1\"", ":dep serde = { path = \"/tmp\" }"] {
            assert_eq!(in_one_spelling(other, &folder), other);
        }
    }
}

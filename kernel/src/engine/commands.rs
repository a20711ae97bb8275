//! The commands of a cell, lines that begin with `:`.

use super::notebook::{Notebook, short};

/// A command that was understood.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// `:dep`, with the line of the manifest.
    Dep(String),
    /// `:restart`: a new process, without variables.
    Restart,
    /// `:clear`: without items and variables.
    Clear,
    /// `:env`, for the cells.
    Env(String, String),
    /// `:build_env`, for the compiler.
    BuildEnv(String, String),
    /// `:offline`.
    Offline(bool),
    /// `:opt`, the level of optimisation.
    Optimise(String),
    /// `:timing`.
    Timing,
    /// `:explain` of the latest error.
    Explain,
    /// `:last_error_json`.
    LastErrors,
    /// `:last_compile_dir`.
    CompileDir,
    /// `:show_deps`.
    ShowDeps,
    /// `:doc`.
    Doc(String),
    /// `:quit`.
    Quit,
    /// The answer is known already: plain, and as HTML.
    Say(String, Option<String>),
}

/// The commands and what they do.
const LIST: [(&str, &str); 18] = [
    (":dep NAME = \"VERSION\"", "use a crate; as in Cargo.toml, also { path = \"…\" }"),
    (":show_deps", "the crates that :dep has added"),
    (":vars", "the variables and their types"),
    (":type NAME, :t NAME", "the type of a variable"),
    (":doc NAME", "the documentation of a name"),
    (":explain", "the compiler's explanation of the latest error"),
    (":clear", "forget all variables, functions, types and imports"),
    (":restart", "forget the variables; functions, types, imports and crates are kept"),
    (":fmt FORMAT", "how values are shown, {:?} at first; try {:#?}"),
    (":types", "show the type of each value, or stop doing so"),
    (":timing", "show how long cells take to compile and to run, or stop doing so"),
    (":opt 0…3", "how much the compiler optimises cells, 1 at first"),
    (":offline 0/1", "whether :dep may use the network"),
    (":env NAME=VALUE", "set an environment variable for the cells"),
    (":build_env NAME=VALUE", "set an environment variable for the compiler"),
    (":version", "the versions of the kernel and of Rust"),
    (":last_compile_dir, :last_error_json", "for those who look into the kernel"),
    ("!COMMAND", "run a command of the shell (at the beginning of a cell)"),
];

/// Notes below the list.
const NOTES: &str = "A `static` is new in each cell: keep what lasts in a variable, or put the static and what uses \
    it into one `mod`.\n\
    Variables made by a cell last until they are moved, or until a type that they are made of is defined anew.";

/// Commands of evcxr's that have nothing to do here, and why.
const IDLE: [(&str, &str); 11] = [
    (":cache", "compiled cells are always kept"),
    (":clear_cache", "old compiled cells are removed by themselves"),
    (":sccache", "compiled cells are always kept"),
    (":linker", "cells are linked by the compiler's own choice"),
    (":allow_static_linking", "crates are linked in the way that keeps their variables alive"),
    (":preserve_vars_on_panic", "variables are kept after a panic wherever that is possible"),
    (":load_config", "this kernel has no configuration file"),
    (":internal_debug", "see :last_compile_dir"),
    (":time_passes", "see :timing"),
    (":efmt", "errors are shown by their own text"),
    (":codegen_backend", "cells are compiled by the compiler's own choice"),
];

/// Understands a command.
pub fn command(line: &str, notebook: &mut Notebook) -> Result<Command, String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let plain = |text: String| Ok(Command::Say(text, None));
    match word {
        ":dep" => Ok(Command::Dep(rest.to_owned())),
        ":restart" => Ok(Command::Restart),
        ":clear" => Ok(Command::Clear),
        ":quit" => Ok(Command::Quit),
        ":timing" => Ok(Command::Timing),
        ":explain" => Ok(Command::Explain),
        ":last_error_json" => Ok(Command::LastErrors),
        ":last_compile_dir" => Ok(Command::CompileDir),
        ":show_deps" => Ok(Command::ShowDeps),
        ":doc" => Ok(Command::Doc(rest.to_owned())),
        ":env" => pair(rest, word).map(|(name, value)| Command::Env(name, value)),
        ":build_env" => pair(rest, word).map(|(name, value)| Command::BuildEnv(name, value)),
        ":offline" => match rest {
            "0" | "1" => Ok(Command::Offline(rest == "1")),
            _ => Err("`:offline 1` or `:offline 0`".to_owned()),
        },
        ":opt" => match rest {
            "" | "0" | "1" | "2" | "3" | "s" | "z" => Ok(Command::Optimise(rest.to_owned())),
            _ => Err(format!("`:opt` takes 0, 1, 2 or 3, not {rest}")),
        },
        ":fmt" => {
            let format = if rest.is_empty() { "{:?}" } else { rest };
            if !format.contains('{') || !format.contains('}') {
                return Err(format!("`:fmt` takes a format such as {{:#?}}, not {format}"));
            }
            notebook.settings.format = Some(format.to_owned()).filter(|format| format != "{:?}");
            plain(format!("Output format: {format}"))
        }
        ":types" => {
            notebook.settings.types = !notebook.settings.types;
            plain(format!("Types: {}", notebook.settings.types))
        }
        ":type" | ":t" => match notebook.variables.get(rest) {
            Some(variable) => plain(format!("{rest}: {}", short(&variable.type_name))),
            None => Err(format!("there is no variable {rest}")),
        },
        ":vars" => Ok(variables(notebook)),
        ":version" => plain(env!("CARGO_PKG_VERSION").to_owned()),
        ":help" => Ok(help()),
        ":toolchain" => {
            Err("a session keeps the compiler that it was started with; for another one, start Jupyter with it"
                .to_owned())
        }
        _ => match IDLE.iter().find(|(name, _)| *name == word) {
            Some((name, why)) => plain(format!("{name} does nothing in this kernel: {why}")),
            None => Err(unknown(word)),
        },
    }
}

/// The names of all commands.
pub fn names() -> Vec<&'static str> {
    let names = LIST.iter().flat_map(|(usage, _)| usage.split(", ")).filter_map(|usage| usage.split(' ').next());
    names.filter(|name| name.starts_with(':')).chain([":help"]).collect()
}

fn pair(rest: &str, word: &str) -> Result<(String, String), String> {
    let usage = || format!("`{word} NAME=VALUE`");
    let (name, value) = rest.split_once('=').ok_or_else(usage)?;
    if name.trim().is_empty() || name.contains('\0') || value.contains('\0') {
        return Err(usage());
    }
    Ok((name.trim().to_owned(), value.to_owned()))
}

fn unknown(word: &str) -> String {
    let near = names()
        .into_iter()
        .filter(|name| name.len() > 2 && (name.starts_with(word) || word.starts_with(name) || one_apart(name, word)));
    let near: Vec<&str> = near.collect();
    let hint = near.first().map(|name| format!("; there is `{name}`")).unwrap_or_default();
    format!("`{word}` is no command{hint}; `:help` lists them all")
}

/// True if two words differ in one letter.
fn one_apart(a: &str, b: &str) -> bool {
    let common = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let rest = |text: &str, from: usize| text.chars().skip(from).collect::<String>();
    rest(a, common + 1) == rest(b, common)
        || rest(a, common) == rest(b, common + 1)
        || rest(a, common + 1) == rest(b, common + 1)
}

fn variables(notebook: &Notebook) -> Command {
    let rows: Vec<(String, String)> = notebook
        .variables
        .iter()
        .map(|(name, variable)| {
            let is_mut = if variable.is_mut { "mut " } else { "" };
            (format!("{is_mut}{name}"), short(&variable.type_name))
        })
        .collect();
    if rows.is_empty() {
        return Command::Say("there are no variables".to_owned(), None);
    }
    let text: Vec<String> = rows.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
    Command::Say(text.join("\n"), Some(table(["variable", "type"], &rows)))
}

fn help() -> Command {
    let rows: Vec<(String, String)> =
        LIST.iter().map(|(usage, text)| ((*usage).to_owned(), (*text).to_owned())).collect();
    let text: Vec<String> = rows.iter().map(|(usage, text)| format!("{usage:<36} {text}")).collect();
    let html = table(["command", "what it does"], &rows) + &format!("<p>{}</p>", escaped(NOTES).replace('\n', "<br>"));
    Command::Say(format!("{}\n\n{NOTES}", text.join("\n")), Some(html))
}

fn table(heads: [&str; 2], rows: &[(String, String)]) -> String {
    let cell = |tag: &str, text: &str| format!("<{tag} style=\"text-align:left\">{}</{tag}>", escaped(text));
    let row = |tag: &str, [a, b]: [&str; 2]| format!("<tr>{}{}</tr>", cell(tag, a), cell(tag, b));
    let body: String = rows.iter().map(|(a, b)| row("td", [a, b])).collect();
    format!("<table>{}{body}</table>", row("th", heads))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood() {
        let mut notebook = Notebook::default();
        let mut ask = |line: &str| command(line, &mut notebook);
        assert_eq!(ask(":dep regex = \"1\""), Ok(Command::Dep("regex = \"1\"".into())));
        assert_eq!(ask(":env A=b c"), Ok(Command::Env("A".into(), "b c".into())));
        assert_eq!(ask(":fmt {:#?}"), Ok(Command::Say("Output format: {:#?}".into(), None)));
        assert!(
            matches!(ask(":help"), Ok(Command::Say(text, Some(html))) if text.contains(":dep") && html.contains("<td"))
        );
        assert!(matches!(ask(":cache 100"), Ok(Command::Say(text, _)) if text.contains("does nothing")));
        for wrong in [":env x", ":offline", ":opt 9", ":fmt x", ":frobnicate", ":toolchain nightly", ":t nothing"] {
            assert!(ask(wrong).is_err(), "{wrong}");
        }
        assert!(ask(":var").unwrap_err().contains(":vars") && ask(":restrat").is_err());
    }
}

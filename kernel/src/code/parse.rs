//! The Rust of a cell, taken apart: items, variables, the value at the end, and the places that may leave the cell.

use super::Range;
use super::words::words;
use ra_ap_syntax::ast::{self, AstNode, HasAttrs, HasName};
use ra_ap_syntax::{Edition, SourceFile, SyntaxKind, SyntaxNode, WalkEvent};
use std::collections::HashSet;

/// What stands before the code when it is parsed: a cell is the body of a function.
const BEFORE: &str = "fn f() {\n";

/// Macros whose arguments are expressions, which may hold a `?`.
const WITH_EXPRESSIONS: [&str; 19] = [
    "print",
    "println",
    "eprint",
    "eprintln",
    "format",
    "write",
    "writeln",
    "panic",
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "vec",
    "dbg",
    "todo",
    "unreachable",
    "unimplemented",
    "format_args",
];
/// Macros whose calls are items.
const WITH_ITEMS: [&str; 3] = ["thread_local", "lazy_static", "bitflags"];

/// The Rust of a cell.
#[derive(Debug, Default)]
pub struct Code {
    /// The attributes of the whole cell, `#![…]`.
    pub attributes: Vec<Range>,
    /// The items, in order.
    pub items: Vec<ast::Item>,
    /// Calls of macros that make items.
    pub item_macros: Vec<Range>,
    /// The first bytes of the statements that are no items, in order.
    pub statements: Vec<usize>,
    /// The variables of the cell's own, in order.
    pub lets: Vec<Let>,
    /// The last expression, if it has no semicolon.
    pub tail: Option<Range>,
    /// The `?` that may leave the cell.
    pub questions: Vec<Question>,
    /// The `return` that leave the cell.
    pub returns: Vec<Return>,
    /// True if the cell waits for a future.
    pub awaits: bool,
    /// Every identifier outside of items and of the patterns of `let`.
    pub words: HashSet<String>,
}

/// A variable of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Let {
    /// Its name.
    pub name: String,
    /// True after `mut`.
    pub is_mut: bool,
    /// The type that the learner has written.
    pub annotation: Option<String>,
    /// The types of the parameters if the value is a closure, `_` where none is written.
    pub closure: Option<Vec<String>>,
    /// The end of its statement.
    pub end: usize,
}

/// A `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The expression before it.
    pub operand: Range,
    /// The sign.
    pub sign: Range,
    /// The beginning of the statement that it is part of.
    pub statement: usize,
}

/// A `return`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// The word, and with it the value where that says no more than the end.
    pub range: Range,
    /// The beginning of the statement that it is part of.
    pub statement: usize,
    /// True if a value is returned, for which there is nobody.
    pub has_value: bool,
}

/// The code taken apart; `None` if it is no Rust.
pub fn parse(code: &str) -> Option<Code> {
    let file = SourceFile::parse(&format!("{BEFORE}{code}\n}}"), Edition::Edition2024);
    if !file.errors().is_empty() {
        return None;
    }
    let mut items = file.tree().syntax().children();
    let (Some(function), None) = (items.next().and_then(ast::Fn::cast), items.next()) else { return None };
    let list = function.body()?.stmt_list()?;
    let mut parsed = Code::default();
    for attribute in list.syntax().children().filter_map(ast::Attr::cast) {
        parsed.attributes.push(range(attribute.syntax()));
    }
    let tail = list.tail_expr();
    for statement in list.statements() {
        parsed.statement(&statement, code);
    }
    if let Some(tail) = tail {
        parsed.tail(&tail, code);
    }
    Some(parsed)
}

/// The range of a node in the code.
pub fn range(node: &SyntaxNode) -> Range {
    let range = node.text_range();
    // The kernel's own closing brace belongs to no statement, but blanks before it may.
    let begin = usize::from(range.start()).saturating_sub(BEFORE.len());
    begin..usize::from(range.end()).saturating_sub(BEFORE.len())
}

impl Code {
    /// True if a range lies in an item.
    pub fn is_in_item(&self, place: &Range) -> bool {
        self.items
            .iter()
            .map(|item| range(item.syntax()))
            .any(|item| item.start <= place.start && place.end <= item.end)
    }

    /// True if a range lies in the parameters of a function that uses none of them: one that is still to be written.
    pub fn is_parameter_of_stub(&self, place: &Range) -> bool {
        let functions = self.items.iter().flat_map(|item| item.syntax().descendants()).filter_map(ast::Fn::cast);
        let words = |node: &SyntaxNode| -> HashSet<String> {
            let tokens = node.descendants_with_tokens().filter_map(|element| element.into_token());
            tokens.filter(|token| token.kind() == SyntaxKind::IDENT).map(|token| token.text().to_owned()).collect()
        };
        functions.filter_map(|function| Some((function.param_list()?, function.body()?))).any(|(list, body)| {
            let within = range(list.syntax());
            let patterns = list.params().filter_map(|param| param.pat());
            let names: HashSet<String> = patterns.flat_map(|pattern| words(pattern.syntax())).collect();
            within.start <= place.start && place.end <= within.end && names.is_disjoint(&words(body.syntax()))
        })
    }

    fn statement(&mut self, statement: &ast::Stmt, code: &str) {
        if matches!(statement, ast::Stmt::LetStmt(_) | ast::Stmt::ExprStmt(_)) {
            self.statements.push(range(statement.syntax()).start);
        }
        match statement {
            ast::Stmt::Item(ast::Item::MacroCall(call)) => self.macro_statement(call, range(statement.syntax()), code),
            ast::Stmt::Item(item) => self.items.push(item.clone()),
            ast::Stmt::LetStmt(binding) => {
                self.binding(binding, code);
                self.expressions(statement.syntax(), 0, None);
            }
            ast::Stmt::ExprStmt(expression) => match expression.expr() {
                Some(ast::Expr::MacroExpr(call)) if call.macro_call().is_some() => {
                    let call = call.macro_call().expect("just seen");
                    self.macro_statement(&call, range(statement.syntax()), code);
                }
                _ => self.plain(statement.syntax(), code),
            },
        }
    }

    fn macro_statement(&mut self, call: &ast::MacroCall, whole: Range, code: &str) {
        if macro_name(call).is_some_and(|name| WITH_ITEMS.contains(&name.as_str())) {
            self.item_macros.push(whole);
        } else {
            self.words.extend(words(&code[whole]));
            self.expressions(call.syntax(), 0, Some(range(call.syntax()).start));
        }
    }

    fn plain(&mut self, node: &SyntaxNode, code: &str) {
        self.words.extend(words(&code[range(node)]));
        self.expressions(node, 0, None);
    }

    fn tail(&mut self, tail: &ast::Expr, code: &str) {
        if let ast::Expr::MacroExpr(call) = tail
            && let Some(call) = call.macro_call()
            && macro_name(&call).is_some_and(|name| WITH_ITEMS.contains(&name.as_str()))
        {
            return self.item_macros.push(range(tail.syntax()));
        }
        self.statements.push(range(tail.syntax()).start);
        self.tail = Some(range(tail.syntax()));
        self.plain(tail.syntax(), code);
    }

    fn binding(&mut self, binding: &ast::LetStmt, code: &str) {
        let annotation = binding.ty().map(|ty| ty.syntax().text().to_string());
        let closure = match binding.initializer() {
            Some(ast::Expr::ClosureExpr(closure)) if closure.async_token().is_none() => Some(parameters(&closure)),
            _ => None,
        };
        let end = range(binding.syntax()).end;
        let Some(pattern) = binding.pat() else { return };
        let outside = [
            binding.initializer().map(|node| range(node.syntax())),
            binding.let_else().map(|node| range(node.syntax())),
        ];
        self.words.extend(outside.into_iter().flatten().flat_map(|range| words(&code[range])));
        for bound in pattern.syntax().descendants().filter_map(ast::IdentPat::cast) {
            let Some(name) = bound.name().map(|name| name.text().to_string()) else { continue };
            // `None` in a pattern is a constant, not a variable.
            if bound.mut_token().is_none() && bound.pat().is_none() && name.starts_with(char::is_uppercase) {
                continue;
            }
            let alone = pattern.syntax() == bound.syntax();
            self.lets.push(Let {
                name,
                is_mut: bound.mut_token().is_some(),
                annotation: annotation.clone().filter(|_| alone),
                closure: closure.clone().filter(|_| alone),
                end,
            });
        }
    }

    /// Collects what may leave the cell from here; `shift` is the place of the node's text in the code, less its own.
    fn expressions(&mut self, node: &SyntaxNode, shift: isize, statement: Option<usize>) {
        let place = |node: &SyntaxNode| {
            let Range { start, end } = range(node);
            start.wrapping_add_signed(shift)..end.wrapping_add_signed(shift)
        };
        let statement = statement.unwrap_or_else(|| place(node).start);
        let mut walk = node.preorder();
        while let Some(event) = walk.next() {
            let WalkEvent::Enter(node) = event else { continue };
            if is_apart(&node) {
                walk.skip_subtree();
            } else if let Some(question) = ast::TryExpr::cast(node.clone()) {
                if let (Some(operand), Some(sign)) = (question.expr(), question.question_mark_token()) {
                    let end = place(question.syntax()).end;
                    let length = usize::from(sign.text_range().len());
                    self.questions.push(Question {
                        operand: place(operand.syntax()),
                        sign: end - length..end,
                        statement,
                    });
                }
            } else if let Some(ending) = ast::ReturnExpr::cast(node.clone()) {
                let value = ending.expr().map(|value| value.syntax().text().to_string());
                let plain = value.as_deref().is_none_or(|value| value == "Ok(())" || value == "()");
                self.returns.push(Return { range: place(ending.syntax()), statement, has_value: !plain });
            } else if ast::AwaitExpr::can_cast(node.kind()) {
                self.awaits = true;
            } else if let Some(call) = ast::MacroCall::cast(node.clone()) {
                self.arguments(&call, place(&node), statement);
            }
        }
    }

    /// Collects from the arguments of a macro that takes expressions.
    fn arguments(&mut self, call: &ast::MacroCall, place: Range, statement: usize) {
        let (Some(name), Some(tree)) = (macro_name(call), call.token_tree()) else { return };
        if !WITH_EXPRESSIONS.contains(&name.as_str()) {
            return;
        }
        let text = tree.syntax().text().to_string();
        let Some(inner) = text.get(1..text.len().saturating_sub(1)) else { return };
        let begin =
            usize::from(tree.syntax().text_range().start() - call.syntax().text_range().start()) + 1 + place.start;
        for (open, close) in [("g(", ");"), ("[", "];")] {
            let file = SourceFile::parse(&format!("{BEFORE}{open}{inner}\n{close}\n}}"), Edition::Edition2024);
            if file.errors().is_empty() {
                let shift = begin as isize - open.len() as isize;
                return self.expressions(file.tree().syntax(), shift, Some(statement));
            }
        }
    }
}

/// True for code that cannot leave the cell: it is run by somebody else.
fn is_apart(node: &SyntaxNode) -> bool {
    let is_async = |block: ast::BlockExpr| block.async_token().is_some() || block.const_token().is_some();
    match node.kind() {
        SyntaxKind::CLOSURE_EXPR => true,
        SyntaxKind::BLOCK_EXPR => ast::BlockExpr::cast(node.clone()).is_some_and(is_async),
        // The function that is around everything is not an item of the learner's.
        kind => ast::Item::can_cast(kind) && kind != SyntaxKind::MACRO_CALL && range(node).start > 0,
    }
}

/// The types of a closure's parameters.
fn parameters(closure: &ast::ClosureExpr) -> Vec<String> {
    let list = closure.param_list();
    let written = |parameter: ast::Param| parameter.ty().map_or("_".to_owned(), |ty| ty.syntax().text().to_string());
    list.iter().flat_map(ast::ParamList::params).map(written).collect()
}

/// The last part of a macro's name.
fn macro_name(call: &ast::MacroCall) -> Option<String> {
    Some(call.path()?.segment()?.name_ref()?.text().to_string())
}

/// The attributes and documentation of an item that do not change what it is: `derive`, `doc`, lints.
pub fn mere_attributes(item: &ast::Item) -> Vec<Range> {
    let is_mere = |attribute: &ast::Attr| {
        let text = attribute.syntax().text().to_string();
        let name: String =
            text.chars().skip_while(|c| !c.is_alphabetic()).take_while(|c| c.is_alphanumeric()).collect();
        ["derive", "doc", "allow", "warn", "expect", "must_use", "test", "inline"].contains(&name.as_str())
    };
    item.attrs().filter(is_mere).map(|attribute| range(attribute.syntax())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(code: &str) -> Code {
        parse(code).unwrap_or_else(|| panic!("no Rust: {code}"))
    }

    fn names(code: &str) -> Vec<String> {
        parsed(code).lets.into_iter().map(|binding| binding.name).collect()
    }

    #[test]
    fn variables_are_what_patterns_bind() {
        assert_eq!(names("let (a, mut b) = f(); let [c, .., d] = e;"), ["a", "b", "c", "d"]);
        assert_eq!(names("let P { x, y: Q(z) } = p; let Some(n) = o else { return };"), ["x", "z", "n"]);
        assert_eq!(names("let None = o else { panic!() }; let all @ Some(_) = o;"), ["all"]);
        assert_eq!(names("{ let inner = 1; } for i in 0..3 { let x = i; }"), [""; 0]);
        assert!(parsed("let mut v: Vec<i32> = Vec::new();").lets[0].is_mut);
        assert_eq!(parsed("let v: Vec<i32> = x;").lets[0].annotation.as_deref(), Some("Vec<i32>"));
        assert_eq!(parsed("let f = move |x: i32, y| x + y;").lets[0].closure, Some(vec!["i32".into(), "_".into()]));
    }

    #[test]
    fn questions_leave_the_cell_unless_somebody_else_runs_them() {
        let code = "let a = f(x?)?.g()?;\nlet c = |s: &str| s.parse::<i32>()?;\nprintln!(\"{}\", h()?);\nvec![1; n?]";
        let found = parsed(code);
        let operands: Vec<&str> = found.questions.iter().map(|question| &code[question.operand.clone()]).collect();
        assert_eq!(operands, ["f(x?)?.g()", "f(x?)", "x", "h()", "n"]);
        assert!(found.questions.iter().all(|question| &code[question.sign.clone()] == "?"));
        assert_eq!(found.questions[3].statement, code.find("println").unwrap());
        assert!(parsed("async fn f() { g().await?; } let b = async { h()? };").questions.is_empty());
    }

    #[test]
    fn ends_and_waits_are_found() {
        let found =
            parsed("if x { return; }\nlet Some(y) = z else { return };\nlet c = || { return 5; };\nreturn Ok(())");
        assert_eq!(found.returns.iter().map(|ending| ending.has_value).collect::<Vec<_>>(), [false; 3]);
        assert!(parsed("return 5").returns[0].has_value);
        assert!(parsed("let x = f().await?;").awaits && parsed("println!(\"{}\", f().await)").awaits);
        assert!(!parsed("async fn f() { g().await }").awaits);
    }

    #[test]
    fn the_value_is_the_last_expression_without_a_semicolon() {
        let value = |code: &str| parsed(code).tail.map(|range| code[range].to_owned());
        assert_eq!(value("let x = 1;\nx + 1 // one").as_deref(), Some("x + 1"));
        assert_eq!(value("f();"), None);
        assert_eq!(value("vec![1]").as_deref(), Some("vec![1]"));
        assert_eq!(value("if a { 1 } else { 2 }").as_deref(), Some("if a { 1 } else { 2 }"));
    }

    #[test]
    fn items_are_apart_and_words_are_those_of_the_rest() {
        let code = "#![allow(unused)]\nstruct P;\nimpl P { fn f(&self) {} }\n\
            thread_local! { static D: u8 = 1; }\nlet a = b;\n";
        let found = parsed(code);
        assert_eq!((found.items.len(), found.item_macros.len(), found.attributes.len()), (2, 1, 1));
        assert!(found.words.contains("b") && !found.words.contains("a") && !found.words.contains("P"));
    }

    #[test]
    fn what_is_no_rust_is_not_taken_apart() {
        for code in ["let type = 3;", "}", "use std::", "1 +", "} fn g() {", "let", "for i in range(3):"] {
            assert!(parse(code).is_none(), "{code}");
        }
    }
}

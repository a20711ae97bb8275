//! Texts with slots: rules with several lines, of which any may stand for the rule's name.

use std::collections::BTreeMap;

use gpt_lab::Rng;

use crate::wording::{article, capitalised};

/// What slots stand for, before rules are asked.
pub type Bindings = BTreeMap<String, String>;

/// Rules by name.
#[derive(Debug, Clone, Default)]
pub struct Grammar {
    rules: BTreeMap<String, Vec<String>>,
}

impl Grammar {
    /// Reads rules: a line `[name]`, then a line for each way to say it; `#` begins a comment and `\n` is a new line.
    pub fn parse(text: &str) -> Self {
        let mut rules: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut name = String::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                Some(rule) => name = rule.to_string(),
                None => rules.entry(name.clone()).or_default().push(line.replace("\\n", "\n")),
            }
        }
        Grammar { rules }
    }

    /// The lines of a rule.
    pub fn lines(&self, rule: &str) -> &[String] {
        self.rules.get(rule).map_or(&[], Vec::as_slice)
    }

    /// A text for this rule, `None` if it needs a slot that nothing fills. Lines that cannot be filled are left out,
    /// and each rule is drawn without replacement, so that no line comes twice in one text.
    pub fn tell(&self, rule: &str, bindings: &Bindings, rng: &mut Rng) -> Option<String> {
        Teller { grammar: self, bindings, used: Vec::new() }.rule(rule, rng)
    }
}

/// Fills the slots of one line that needs no rules; `None` where a value is missing.
pub fn fill(line: &str, bindings: &Bindings) -> Option<String> {
    let nobody = Grammar::default();
    let mut teller = Teller { grammar: &nobody, bindings, used: Vec::new() };
    teller.line(line, &mut Rng::new(0))
}

/// One text in the making.
struct Teller<'a> {
    grammar: &'a Grammar,
    bindings: &'a Bindings,
    used: Vec<&'a String>,
}

impl<'a> Teller<'a> {
    fn rule(&mut self, rule: &str, rng: &mut Rng) -> Option<String> {
        let lines = self.grammar.rules.get(rule)?;
        let mut order: Vec<&String> = lines.iter().filter(|line| !self.used.contains(line)).collect();
        rng.shuffle(&mut order);
        for line in order {
            self.used.push(line);
            if let Some(text) = self.line(line, rng) {
                return Some(text);
            }
        }
        None
    }

    fn line(&mut self, line: &str, rng: &mut Rng) -> Option<String> {
        let mut result = String::with_capacity(2 * line.len());
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('{') {
            let (slot, after) = after.split_once('}')?;
            result.push_str(before);
            result.push_str(&self.slot(slot, rng)?);
            rest = after;
        }
        result.push_str(rest);
        Some(result)
    }

    /// `{x}` is x; `{X…}` is x with a capital letter; `{a x}` is x with its indefinite article.
    fn slot(&mut self, slot: &str, rng: &mut Rng) -> Option<String> {
        if let Some(name) = slot.strip_prefix("a ") {
            let value = self.slot(name, rng)?;
            return Some(format!("{} {value}", article(&value)));
        }
        if slot.starts_with(char::is_uppercase) {
            return Some(capitalised(&self.slot(&slot.to_lowercase(), rng)?));
        }
        match self.bindings.get(slot) {
            Some(value) => Some(value.clone()),
            None => self.rule(slot, rng),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_filled_by_values_then_rules() {
        let grammar = Grammar::parse("# c\n[story]\n{They} met {a beast}.\\nThe {end}\n[beast]\n{kind}\n[end]\nend\n");
        let bind = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let bindings: Bindings = bind(&[("they", "she"), ("kind", "owl")]);
        assert_eq!(grammar.tell("story", &bindings, &mut Rng::new(1)).unwrap(), "She met an owl.\nThe end");
        assert_eq!(grammar.tell("story", &bind(&[("they", "she")]), &mut Rng::new(1)), None);
        assert_eq!(fill("{a x} and {y}", &bind(&[("x", "ant"), ("y", "b")])).unwrap(), "an ant and b");
    }

    #[test]
    fn a_line_is_used_once_in_a_text() {
        let grammar = Grammar::parse("[two]\n{one} {one}\n[one]\nx\ny\n");
        for seed in 0..20 {
            let text = grammar.tell("two", &Bindings::new(), &mut Rng::new(seed)).unwrap();
            assert!(text == "x y" || text == "y x", "{text}");
        }
    }
}

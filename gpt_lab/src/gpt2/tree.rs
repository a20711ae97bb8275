//! The parts of a model as a tree.

use std::fmt;

use crate::Param;

/// A part of a model: a parameter, or a group of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeNode {
    /// The last piece of its name.
    pub name: String,
    /// A parameter's shape; `None` for a group.
    pub shape: Option<Vec<usize>>,
    /// Number of values in it and everything below it.
    pub count: usize,
    /// Number of those that train.
    pub trainable: usize,
    /// The parts of a group.
    pub children: Vec<TreeNode>,
}

impl TreeNode {
    /// The tree that the dots in the parameters' names describe.
    pub fn of(name: &str, params: &[Param]) -> Self {
        let mut root = TreeNode { name: name.to_string(), shape: None, count: 0, trainable: 0, children: Vec::new() };
        for param in params {
            root.add(&param.name().split('.').collect::<Vec<_>>(), param);
        }
        root
    }

    fn add(&mut self, path: &[&str], param: &Param) {
        self.count += param.count();
        self.trainable += if param.trainable() { param.count() } else { 0 };
        let Some((first, rest)) = path.split_first() else {
            self.shape = Some(param.dims().to_vec());
            return;
        };
        let at = self.children.iter().position(|child| child.name == *first).unwrap_or_else(|| {
            let child = TreeNode { name: first.to_string(), shape: None, count: 0, trainable: 0, children: Vec::new() };
            self.children.push(child);
            self.children.len() - 1
        });
        self.children[at].add(rest, param);
    }

    fn write(&self, f: &mut fmt::Formatter, indent: usize) -> fmt::Result {
        let label = format!("{}{}", "  ".repeat(indent), self.name);
        let shape = self.shape.as_ref().map(|shape| format!("{shape:?}")).unwrap_or_default();
        writeln!(f, "{label:<32}{shape:<16}{:>14}", self.count)?;
        self.children.iter().try_for_each(|child| child.write(f, indent + 1))
    }
}

impl fmt::Display for TreeNode {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.write(f, 0)
    }
}

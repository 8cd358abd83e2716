//! Scripts, looked into before anything is deployed: syntax errors, what Windows PowerShell 5.1 lacks, text that the agent would replace, and the names of
//! the parameters that a script takes.
//!
//! Parsed, not run: a script that passes can still be wrong.

mod newer;
mod scan;

use regex_lite::Regex;
use tree_sitter::{Node, Parser, Tree};

/// Something wrong in a script, at a line and column, both from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// What a script is found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// Names in its `param()` block, without `$`; an empty list when it has no such block, none when it cannot be told.
    pub parameters: Option<Vec<String>>,
    /// Whether it takes `-WhatIf`: its own `param()` block says `[CmdletBinding(SupportsShouldProcess)]`.
    pub what_if: bool,
}

/// Looks into a script.
#[must_use]
pub fn look(text: &str) -> Script {
    let mut findings: Vec<Finding> = replaced(text);
    let scanned = scan::scan(text);
    let masked = masked(text, &scanned.verbatim);
    let tree = parse(&masked);
    let newer = tree.as_ref().map(|tree| newer::find(&masked, tree.root_node())).unwrap_or_default();
    findings.extend(newer.into_iter().map(|(byte, message)| finding(text, byte, message)));
    findings.extend(scanned.fault.map(|fault| finding(text, fault.byte, fault.message)));
    findings.sort_by_key(|finding| (finding.line, finding.column));
    let what_if = tree.as_ref().is_some_and(|tree| supports_should_process(&masked, tree.root_node()));
    Script { findings, parameters: tree.and_then(|tree| parameters(&masked, tree.root_node())), what_if }
}

fn parse(text: &str) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).ok()?;
    parser.parse(text, None)
}

/// The script with what is no PowerShell blanked out, byte for byte.
fn masked(text: &str, verbatim: &[std::ops::Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in verbatim {
        bytes.get_mut(range.clone()).unwrap_or_default().fill(b' ');
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn finding(text: &str, byte: usize, message: impl Into<String>) -> Finding {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Finding { line, column, message: message.into() }
}

/// Systems Manager's agent replaces `{{ name }}` anywhere in a document, scripts included.
fn replaced(text: &str) -> Vec<Finding> {
    let Ok(shape) = Regex::new(r"\{\{\s*([A-Za-z0-9_:./-]+)\s*\}\}") else { return Vec::new() };
    let message = |found: &str| {
        format!(
            "the agent on the node would replace {found} by a document parameter: write it apart, as in ('{{' + '{{ name }}' + '}}'), or pass the value through parameters"
        )
    };
    shape.find_iter(text).map(|found| finding(text, found.start(), message(found.as_str()))).collect()
}

/// Calls `see` for every node, a node before the ones inside of it.
fn visit<'t>(root: Node<'t>, see: &mut impl FnMut(Node<'t>)) {
    // A stack of our own: a script may nest deeper than a thread's stack bears.
    let mut stack = vec![root];
    while let Some(node) = stack.pop() {
        see(node);
        let mut cursor = node.walk();
        let mut children: Vec<Node<'t>> = node.children(&mut cursor).collect();
        children.reverse();
        stack.append(&mut children);
    }
}

/// Names in the script's own `param()` block.
fn parameters(text: &str, root: Node<'_>) -> Option<Vec<String>> {
    let mut cursor = root.walk();
    let Some(block) = root.children(&mut cursor).find(|child| child.kind() == "param_block") else {
        // Where the grammar gave up, a block may be there and not have been seen: behind comments, `using` and attributes alone.
        let block = Regex::new(r"(?is)^(\s|<#.*?#>|#[^\n]*|using [^\n]*|\[[^\n]*\])*param\s*\(").ok()?;
        return if block.is_match(text) { None } else { Some(Vec::new()) };
    };
    let mut names = Vec::new();
    visit(block, &mut |node| {
        if node.kind() == "script_parameter" {
            let mut cursor = node.walk();
            let variable = node.children(&mut cursor).find(|child| child.kind() == "variable");
            if let Some(name) = variable.and_then(|variable| text.get(variable.byte_range())) {
                names.push(name.trim_start_matches('$').to_owned());
            }
        }
    });
    Some(names)
}

/// Whether the script's own `param()` block stands under `[CmdletBinding(SupportsShouldProcess)]`. Where the grammar gives up it does not: then it is not
/// known whether `-WhatIf` would keep the script from acting.
fn supports_should_process(text: &str, root: Node<'_>) -> bool {
    let of = |node: Node<'_>| text.get(node.byte_range()).unwrap_or_default().trim().to_ascii_lowercase();
    let mut cursor = root.walk();
    let Some(block) = root.children(&mut cursor).find(|child| child.kind() == "param_block") else { return false };
    let mut cursor = block.walk();
    let attributes = block.children(&mut cursor).filter(|child| child.kind() == "attribute_list");
    let mut supports = false;
    for list in attributes {
        let mut bound = false;
        visit(list, &mut |node| match node.kind() {
            "attribute_name" => bound = of(node) == "cmdletbinding",
            "attribute_argument" if bound => {
                let argument = of(node);
                let (name, value) = argument
                    .split_once('=')
                    .map_or((argument.as_str(), "$true"), |(name, value)| (name.trim_end(), value.trim_start()));
                supports |= name == "supportsshouldprocess" && matches!(value, "$true" | "1");
            }
            _ => {}
        });
    }
    supports
}

#[cfg(test)]
mod tests;

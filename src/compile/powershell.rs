//! Scripts, parsed before anything is deployed: syntax errors, what Windows PowerShell 5.1 lacks, and text that the agent would replace.
//!
//! Parsed, not run: the grammar (tree-sitter's) is lenient in places, so a script that passes can still be wrong.

use regex_lite::Regex;
use tree_sitter::{Node, Parser};

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
    /// Names in its `param()` block, without `$`; none when it has no such block.
    pub parameters: Option<Vec<String>>,
}

/// Looks into a script.
#[must_use]
pub fn look(text: &str) -> Script {
    let mut script = Script::default();
    replaced_text(text, &mut script.findings);
    let mut parser = Parser::new();
    if parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).is_err() {
        script.findings.push(Finding { line: 1, column: 1, message: "the PowerShell grammar could not be loaded: this is a defect of Windlass, please report it".into() });
        return script;
    }
    let Some(tree) = parser.parse(text, None) else {
        return script;
    };
    let newer = newer_syntax(text, tree.root_node());
    if newer.is_empty() {
        syntax(text, tree.root_node(), &mut script.findings);
    } else {
        // What is newer than 5.1 is often no syntax for the grammar either: say the useful thing alone.
        script.findings.extend(newer);
    }
    script.parameters = parameters(text, tree.root_node());
    script.findings.sort_by_key(|finding| (finding.line, finding.column));
    script
}

fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn finding(text: &str, byte: usize, message: impl Into<String>) -> Finding {
    let (line, column) = position(text, byte);
    Finding { line, column, message: message.into() }
}

/// Systems Manager's agent replaces `{{ name }}` anywhere in a document, scripts included.
fn replaced_text(text: &str, findings: &mut Vec<Finding>) {
    let Ok(shape) = Regex::new(r"\{\{\s*([A-Za-z0-9_:./-]+)\s*\}\}") else { return };
    for found in shape.find_iter(text) {
        findings.push(finding(
            text,
            found.start(),
            format!(
                "the agent on the node would replace {} by a document parameter: write it apart, as in ('{{' + '{{ name }}' + '}}'), or pass the value through parameters",
                found.as_str()
            ),
        ));
    }
}

/// Syntax errors: the first one, since what follows it is mostly its consequence.
fn syntax(text: &str, root: Node<'_>, findings: &mut Vec<Finding>) {
    if !root.has_error() {
        return;
    }
    let mut first: Option<Node<'_>> = None;
    visit(root, &mut |node| {
        if (node.is_error() || node.is_missing()) && first.is_none_or(|found| node.start_byte() < found.start_byte()) {
            first = Some(node);
        }
    });
    let Some(node) = first else { return };
    let message = if node.is_missing() {
        format!("syntax error: {} is missing", node.kind())
    } else {
        let near: String = text.get(node.start_byte()..).unwrap_or_default().lines().next().unwrap_or_default().chars().take(40).collect();
        format!("syntax error near: {near}")
    };
    findings.push(finding(text, node.start_byte(), message));
}

fn visit<'t>(node: Node<'t>, see: &mut impl FnMut(Node<'t>)) {
    see(node);
    let mut cursor = node.walk();
    let children: Vec<Node<'t>> = node.children(&mut cursor).collect();
    for child in children {
        visit(child, see);
    }
}

/// Syntax and parameters that came with PowerShell 6 and 7: nodes run Windows PowerShell 5.1.
fn newer_syntax(text: &str, root: Node<'_>) -> Vec<Finding> {
    let code = code_only(text, root);
    let mut findings = Vec::new();
    for (pattern, message) in [
        (r"&&", "&& is PowerShell 7, and nodes run Windows PowerShell 5.1: write  first; if ($?) { second }"),
        (r"\|\|", "|| is PowerShell 7, and nodes run Windows PowerShell 5.1: write  first; if (-not $?) { second }"),
        (r"\?\?=?", "?? is PowerShell 7, and nodes run Windows PowerShell 5.1: write  if ($null -eq $a) { $b } else { $a }"),
        (r"\$\{?[A-Za-z_][A-Za-z0-9_]*\}?\?[.\[]", "?. and ?[] are PowerShell 7, and nodes run Windows PowerShell 5.1: test for $null first"),
        (r"\)\s*\?\s*[^:;{}\n]+\s:\s", "a ? b : c is PowerShell 7, and nodes run Windows PowerShell 5.1: write  if (a) { b } else { c }"),
        (r"(?i)\bConvertTo-Json\b[^|;\n]*-AsArray\b", "-AsArray is PowerShell 7, and nodes run Windows PowerShell 5.1: write  ConvertTo-Json @($items)"),
        (r"(?i)\bForEach-Object\b[^|;\n]*-Parallel\b", "-Parallel is PowerShell 7, and nodes run Windows PowerShell 5.1: use Start-Job, or more targets"),
    ] {
        if let Ok(regex) = Regex::new(pattern)
            && let Some(found) = regex.find(&code)
        {
            findings.push(finding(text, found.start(), message));
        }
    }
    findings
}

/// The script with comments and literal text blanked out, byte for byte.
fn code_only(text: &str, root: Node<'_>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    visit(root, &mut |node| {
        if node.kind().contains("string") || node.kind() == "comment" {
            for byte in bytes.get_mut(node.byte_range()).unwrap_or_default() {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
    });
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Names in the script's own `param()` block.
fn parameters(text: &str, root: Node<'_>) -> Option<Vec<String>> {
    let mut block: Option<Node<'_>> = None;
    let mut cursor = root.walk();
    for child in root.children(&mut cursor) {
        if child.kind() == "param_block" {
            block = Some(child);
        }
    }
    let mut names = Vec::new();
    visit(block?, &mut |node| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_scripts_pass() {
        for text in [
            "Get-PSDrive -PSProvider FileSystem |\n  Select-Object Name, Used, Free |\n  ConvertTo-Json\n",
            "param([Parameter(Mandatory)][ValidatePattern('^KB\\d+$')][string] $Kb)\n$ErrorActionPreference = 'Stop'\nif (Get-HotFix -Id $Kb) { return }\n",
            "@{ status = [int](Invoke-WebRequest http://localhost/health -UseBasicParsing).StatusCode } | ConvertTo-Json\n",
            "Write-Output 'a && b || c ?? d'\n# a && b\n",
            "$p = Start-Process wusa.exe -ArgumentList \"C:\\Patches\\$Kb.msu\", '/quiet' -Wait -PassThru\nif ($p.ExitCode -notin 0, 3010) { throw \"wusa exited with $($p.ExitCode)\" }\n",
        ] {
            assert_eq!(look(text).findings, [], "{text}");
        }
    }

    #[test]
    fn mistakes_have_a_line_and_column() {
        for (text, line, column, part) in [
            ("Get-Date\nif ($x) {\n", 2, 10, "} is missing"),
            ("a\n  Get-Date && Get-Item x\n", 2, 12, "&& is PowerShell 7"),
            ("$a ?? $b", 1, 4, "?? is PowerShell 7"),
            ("Get-Item x | ConvertTo-Json -AsArray", 1, 14, "-AsArray is PowerShell 7"),
            ("1..3 | ForEach-Object -Parallel { $_ }", 1, 8, "-Parallel is PowerShell 7"),
            ("Write-Output {{ region }}", 1, 14, "the agent on the node would replace {{ region }}"),
        ] {
            let found = look(text).findings;
            assert!(
                found.iter().any(|f| (f.line, f.column) == (line, column) && f.message.contains(part)),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn parameters_are_found() {
        assert_eq!(look("param([string] $Kb, $Other = 1)\n$Kb").parameters, Some(vec!["Kb".into(), "Other".into()]));
        assert_eq!(look("Get-Date").parameters, None);
    }
}

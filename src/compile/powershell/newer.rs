//! Syntax and parameters that came with PowerShell 6 and 7. Nodes run Windows PowerShell 5.1.

use tree_sitter::Node;

use super::visit;

const COALESCE: &str =
    "?? is PowerShell 7, and nodes run Windows PowerShell 5.1: write if ($null -eq $a) { $b } else { $a }";
const CONDITIONAL: &str =
    "?. and ?[] are PowerShell 7, and nodes run Windows PowerShell 5.1: write if ($null -ne $a) { … }";
const TERNARY: &str = "a ? b : c is PowerShell 7, and nodes run Windows PowerShell 5.1: write if (a) { b } else { c }";
const AND: &str = "&& is PowerShell 7, and nodes run Windows PowerShell 5.1: write first; if ($?) { second }";
const OR: &str = "|| is PowerShell 7, and nodes run Windows PowerShell 5.1: write first; if (-not $?) { second }";
/// Command, its aliases, parameter, and what to say.
const PARAMETERS: [(&[&str], &str, &str); 2] = [
    (
        &["convertto-json"],
        "-asarray",
        "-AsArray is PowerShell 7, and nodes run Windows PowerShell 5.1: write ConvertTo-Json @($items)",
    ),
    (
        &["foreach-object", "foreach", "%"],
        "-parallel",
        "-Parallel is PowerShell 7, and nodes run Windows PowerShell 5.1: use Start-Job, or run the step on more nodes",
    ),
];

/// Where something newer begins (a byte), and what to say of it: each kind once.
pub(super) fn find(text: &str, root: Node<'_>) -> Vec<(usize, &'static str)> {
    let mut found: Vec<(usize, &'static str)> = Vec::new();
    visit(root, &mut |node| {
        let seen = match node.kind() {
            "&&" => Some((node.start_byte(), AND)),
            "||" => Some((node.start_byte(), OR)),
            "command" => parameter(text, node),
            _ if node.is_error() => question(text, node),
            _ => None,
        };
        if let Some(seen) = seen
            && !found.iter().any(|(_, message)| *message == seen.1)
        {
            found.push(seen);
        }
    });
    found
}

/// A question mark behind an operand, which is no syntax for the grammar either.
fn question(text: &str, error: Node<'_>) -> Option<(usize, &'static str)> {
    let inside = text.get(error.byte_range())?;
    let at = error.start_byte() + inside.len() - inside.trim_start().len();
    let rest = text.get(at..)?;
    let before = text.get(..at)?;
    let operand = before.trim_end_matches([' ', '\t']).chars().next_back();
    if !rest.starts_with('?') || !operand.is_some_and(|c| c.is_alphanumeric() || "_)]}\"'".contains(c)) {
        return None;
    }
    let line = rest.lines().next().unwrap_or_default();
    let message = if rest.starts_with("??") {
        COALESCE
    } else if rest.starts_with("?.") || rest.starts_with("?[") {
        CONDITIONAL
    } else if line.contains(':') || text.get(at + line.len()..)?.trim_start().starts_with(':') {
        TERNARY
    } else {
        return None;
    };
    Some((at, message))
}

fn parameter(text: &str, command: Node<'_>) -> Option<(usize, &'static str)> {
    let part = |node: Node<'_>| text.get(node.byte_range()).unwrap_or_default().to_lowercase();
    let mut name = None;
    let mut parameters = Vec::new();
    visit(command, &mut |node| match node.kind() {
        "command_name" if name.is_none() => name = Some(part(node)),
        "command_parameter" => parameters.push(node),
        _ => {}
    });
    let name = name?;
    let (_, parameter, message) = PARAMETERS.iter().find(|(names, _, _)| names.contains(&name.as_str()))?;
    let found = parameters.into_iter().find(|node| part(*node).trim_end_matches(':') == *parameter)?;
    Some((found.start_byte(), message))
}

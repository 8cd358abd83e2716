//! What an expression refers to, and what in it Step Functions would not take.
//!
//! Step Functions implements JSONata 2.0.6 without `$eval`
//! (docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html). The parser here knows newer syntax, which is refused by name.

use std::collections::BTreeSet;

use jsonata_core::ast::{AstNode, BinaryOp, PathStep, Stage};
use jsonata_core::parser;

/// Functions of JSONata 2.0.6, then the ones that Step Functions adds.
const FUNCTIONS: [&str; 70] = [
    "abs",
    "append",
    "assert",
    "average",
    "base64decode",
    "base64encode",
    "boolean",
    "ceil",
    "clone",
    "contains",
    "count",
    "decodeUrl",
    "decodeUrlComponent",
    "distinct",
    "each",
    "encodeUrl",
    "encodeUrlComponent",
    "error",
    "exists",
    "filter",
    "floor",
    "formatBase",
    "formatInteger",
    "formatNumber",
    "fromMillis",
    "join",
    "keys",
    "length",
    "lookup",
    "lowercase",
    "map",
    "match",
    "max",
    "merge",
    "millis",
    "min",
    "not",
    "now",
    "number",
    "pad",
    "parseInteger",
    "power",
    "random",
    "reduce",
    "replace",
    "reverse",
    "round",
    "shuffle",
    "sift",
    "single",
    "sort",
    "split",
    "spread",
    "sqrt",
    "string",
    "substring",
    "substringAfter",
    "substringBefore",
    "sum",
    "toMillis",
    "trim",
    "type",
    "uppercase",
    "zip",
    "parse",
    "partition",
    "range",
    "hash",
    "uuid",
    "eval",
];

/// The variables of a run that an expression may read.
const RESERVED: [&str; 6] = ["params", "steps", "run", "failure", "node", "item"];

/// A variable that is not the expression's own, with the field names that follow it: `$steps.a.output` is (`steps`, [`a`, `output`]).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Name without the dollar sign.
    pub variable: String,
    /// The names behind it, as far as they are plain names.
    pub fields: Vec<String>,
}

/// What was found in an expression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What it refers to.
    pub references: BTreeSet<Reference>,
    /// What is wrong with it, whatever is in scope.
    pub faults: Vec<String>,
}

/// Reads an expression.
///
/// # Errors
/// The parser's message, when it is no JSONata.
pub fn analyse(code: &str) -> Result<Findings, String> {
    let tree = parser::parse(code).map_err(|error| said(&error.to_string()))?;
    let own = bound(&tree);
    let mut findings = Findings::default();
    // A stack of our own: an expression may nest deeper than a thread's stack bears.
    let mut stack = vec![&tree];
    while let Some(node) = stack.pop() {
        findings.look(node, &own);
        children(node, &mut stack);
    }
    findings.faults.sort();
    findings.faults.dedup();
    Ok(findings)
}

/// The parser's message without the parts that speak to its own developers.
fn said(message: &str) -> String {
    let message = message.strip_prefix("Invalid syntax: ").unwrap_or(message);
    message.replace("Identifier(\"", "\"").replace("\")", "\"")
}

/// Every name that the expression binds itself, anywhere in it.
fn bound(tree: &AstNode) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut stack = vec![tree];
    while let Some(node) = stack.pop() {
        match node {
            AstNode::Binary { op: BinaryOp::ColonEqual, lhs, .. } => {
                if let AstNode::Variable(name) = lhs.as_ref() {
                    names.insert(name.as_str());
                }
            }
            AstNode::Lambda { params, .. } => names.extend(params.iter().map(String::as_str)),
            AstNode::Path { steps } => {
                for step in steps {
                    names.extend(step.focus.as_deref());
                    names.extend(step.index_var.as_deref());
                    names.extend(step.stages.iter().filter_map(|stage| match stage {
                        Stage::Index(name) => Some(name.as_str()),
                        Stage::Filter(_) | Stage::KeepArray => None,
                    }));
                }
            }
            _ => {}
        }
        children(node, &mut stack);
    }
    names
}

impl Findings {
    fn look(&mut self, node: &AstNode, own: &BTreeSet<&str>) {
        match node {
            AstNode::Binary { op: BinaryOp::Coalesce, .. } => {
                self.fault("?? is not in the JSONata of Step Functions (2.0.6): write $exists(a) ? a : b");
            }
            AstNode::Binary { op: BinaryOp::Default, .. } => {
                self.fault("?: is not in the JSONata of Step Functions (2.0.6): write a ? a : b");
            }
            AstNode::Binary { op: BinaryOp::ColonEqual, lhs, .. } => {
                if let AstNode::Variable(name) = lhs.as_ref()
                    && (RESERVED.contains(&name.as_str()) || name == "states")
                {
                    self.fault(&format!("${name} is given by Windlass and cannot be assigned: use another name"));
                }
            }
            AstNode::Function { name, is_builtin: false, .. } => {
                self.fault(&format!("{name}(…) is no function call in JSONata: write ${name}(…)"));
            }
            AstNode::Function { name, .. } if !own.contains(name.as_str()) => self.function(name),
            AstNode::Variable(name) if !own.contains(name.as_str()) => self.refer(name, &[]),
            AstNode::Path { steps } => self.path(steps, own),
            _ => {}
        }
    }

    fn path(&mut self, steps: &[PathStep], own: &BTreeSet<&str>) {
        let Some((first, rest)) = steps.split_first() else { return };
        match &first.node {
            AstNode::Variable(name) if !own.contains(name.as_str()) => {
                let rest = if first.stages.is_empty() { rest } else { &[] };
                self.refer(name, rest);
            }
            AstNode::Name(name) if matches!(name.as_str(), "params" | "steps") && !rest.is_empty() => {
                self.fault(&format!("{name} is a variable: write ${name}"));
            }
            _ => {}
        }
    }

    fn refer(&mut self, variable: &str, rest: &[PathStep]) {
        // `$` is the value at hand, and a function's name without a call is the function.
        if variable.is_empty() || (FUNCTIONS.contains(&variable) && variable != "eval") {
            return;
        }
        if variable == "eval" {
            return self.function(variable);
        }
        let names = rest.iter().map_while(|step| match &step.node {
            AstNode::Name(name) => Some(name.clone()),
            _ => None,
        });
        self.references.insert(Reference { variable: variable.to_owned(), fields: names.collect() });
    }

    fn function(&mut self, name: &str) {
        if name == "eval" {
            self.fault("$eval is not in the JSONata of Step Functions: to read JSON write $parse(text)");
        } else if !FUNCTIONS.contains(&name) {
            self.fault(&format!("${name} is not a function of JSONata 2.0.6 or Step Functions"));
        }
    }

    fn fault(&mut self, text: &str) {
        self.faults.push(text.to_owned());
    }
}

/// Puts the nodes right below a node on a stack. The variable that a path begins with is left out: the path itself speaks for it.
fn children<'a>(node: &'a AstNode, stack: &mut Vec<&'a AstNode>) {
    match node {
        AstNode::Path { steps } => {
            for (index, step) in steps.iter().enumerate() {
                if index > 0 || !matches!(step.node, AstNode::Variable(_)) {
                    stack.push(&step.node);
                }
                stack.extend(step.stages.iter().filter_map(|stage| match stage {
                    Stage::Filter(filter) => Some(filter.as_ref()),
                    Stage::KeepArray | Stage::Index(_) => None,
                }));
            }
        }
        AstNode::Binary { op: BinaryOp::ColonEqual, rhs, .. } => stack.push(rhs),
        AstNode::Binary { lhs, rhs, .. } => stack.extend([lhs.as_ref(), rhs.as_ref()]),
        AstNode::Unary { operand, .. } => stack.push(operand),
        AstNode::Function { args, .. } => stack.extend(args),
        AstNode::Call { procedure, args } => {
            stack.push(procedure);
            stack.extend(args);
        }
        AstNode::Lambda { body, .. } => stack.push(body),
        AstNode::Array(items) | AstNode::Block(items) | AstNode::ArrayGroup(items) => stack.extend(items),
        AstNode::Object(pairs) => stack.extend(pairs.iter().flat_map(|(key, value)| [key, value])),
        AstNode::ObjectTransform { input, pattern } => {
            stack.push(input);
            stack.extend(pattern.iter().flat_map(|(key, value)| [key, value]));
        }
        AstNode::Conditional { condition, then_branch, else_branch } => {
            stack.extend([condition.as_ref(), then_branch.as_ref()]);
            stack.extend(else_branch.as_deref());
        }
        AstNode::FunctionApplication(inner) => stack.push(inner),
        AstNode::Sort { input, terms } => {
            stack.push(input);
            stack.extend(terms.iter().map(|(term, _)| term));
        }
        AstNode::Transform { location, update, delete } => {
            stack.extend([location.as_ref(), update.as_ref()]);
            stack.extend(delete.as_deref());
        }
        AstNode::String(_)
        | AstNode::Name(_)
        | AstNode::Number(_)
        | AstNode::Boolean(_)
        | AstNode::Null
        | AstNode::Undefined
        | AstNode::Placeholder
        | AstNode::Regex { .. }
        | AstNode::Variable(_)
        | AstNode::ParentVariable(_)
        | AstNode::Wildcard
        | AstNode::Descendant
        | AstNode::Parent(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(code: &str) -> Vec<String> {
        let findings = analyse(code).unwrap();
        assert_eq!(findings.faults, Vec::<String>::new(), "{code}");
        findings
            .references
            .into_iter()
            .map(|reference| format!("{}:{}", reference.variable, reference.fields.join(".")))
            .collect()
    }

    #[test]
    fn finds_what_is_referred_to() {
        for (code, found) in [
            ("$steps.a.output.x = $params.kb", vec!["params:kb", "steps:a.output.x"]),
            ("$steps.`back-in-service`.nodes[status = 'Failed'].id", vec!["steps:back-in-service.nodes.id"]),
            ("$lookup($steps, 'a')", vec!["steps:"]),
            ("$steps[0].a", vec!["steps:"]),
            (
                "( $x := $run.name; $map($steps.a.nodes, function($n, $i) { $n.id & $x & $i }) )",
                vec!["run:name", "steps:a.nodes"],
            ),
            ("$steps.a.nodes@$n.($n.id)", vec!["steps:a.nodes"]),
            ("$steps.a ~> $string", vec!["steps:a"]),
            ("$", vec![]),
            ("$other", vec!["other:"]),
            ("{ 'a': $params.a }", vec!["params:a"]),
            ("$steps.a{ id: $count($params.b) }", vec!["params:b", "steps:a"]),
            ("$params.a ? $params.b : $params.c", vec!["params:a", "params:b", "params:c"]),
        ] {
            assert_eq!(references(code), found, "{code}");
        }
    }

    #[test]
    fn finds_what_step_functions_lacks() {
        for (code, fault) in [
            ("$params.a ?? 1", "?? is not in the JSONata of Step Functions (2.0.6): write $exists(a) ? a : b"),
            ("$params.a ?: 1", "?: is not in the JSONata of Step Functions (2.0.6): write a ? a : b"),
            ("$eval('1')", "$eval is not in the JSONata of Step Functions: to read JSON write $parse(text)"),
            ("'1' ~> $eval", "$eval is not in the JSONata of Step Functions: to read JSON write $parse(text)"),
            ("$upper('a')", "$upper is not a function of JSONata 2.0.6 or Step Functions"),
            ("string(1)", "string(…) is no function call in JSONata: write $string(…)"),
            ("params.kb", "params is a variable: write $params"),
            ("( $steps := 1; 2 )", "$steps is given by Windlass and cannot be assigned: use another name"),
        ] {
            assert_eq!(analyse(code).unwrap().faults, [fault], "{code}");
        }
    }

    #[test]
    fn says_where_it_cannot_be_read() {
        for (code, message) in [
            ("1 +", "S0207: Unexpected end of expression"),
            ("a b", "S0201: Syntax error: \"b\""),
            ("(1", "S0203: Expected RightParen before end of expression"),
        ] {
            assert_eq!(analyse(code).unwrap_err(), message, "{code}");
        }
    }

    #[test]
    fn deep_expressions_end_in_an_answer() {
        let deep = "(".repeat(4000) + "1" + &")".repeat(4000);
        assert!(analyse(&deep).is_err());
        let long = "1+".repeat(4000) + "1";
        assert!(analyse(&long).is_err());
    }
}

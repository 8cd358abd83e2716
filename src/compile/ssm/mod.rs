//! Systems Manager documents, and the PowerShell that Windlass itself ships.

use serde_json::{Map, Value, json};

use crate::api::steps::ErrorAction;

/// Largest document, in bytes (Systems Manager quotas, "Document size").
pub const DOCUMENT_LIMIT: usize = 65_536;
/// The shortest and longest that a script may run, in seconds (`aws:runPowerShellScript`, `timeoutSeconds`).
pub const SCRIPT_TIMEOUT: (u64, u64) = (5, 172_800);

/// What the wrapper writes to the error stream when the script ended with 3010 or 1641.
pub const REBOOT_REQUIRED: &str = "windlass: a reboot is required";

/// Runs a step's script with its arguments. A file of its own, so that it can be read, linted and reviewed as what it is.
const WRAPPER: &str = include_str!("wrapper.ps1");

/// A script of a workflow: one plugin of its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Name of the plugin, and the value of the document's parameter `step` that chooses it.
    pub plugin: String,
    /// The script.
    pub text: String,
    /// Its `$ErrorActionPreference`.
    pub error_action: ErrorAction,
    /// How long it may run, in seconds.
    pub timeout_seconds: u64,
}

/// A Command document with one plugin per script. A command runs the one that its parameter `step` names; the others are skipped.
#[must_use]
pub fn document(description: &str, scripts: &[&Script]) -> Value {
    let names: Vec<&str> = scripts.iter().map(|script| script.plugin.as_str()).collect();
    let steps: Vec<Value> = scripts.iter().map(|script| plugin(script)).collect();
    json!({
        "schemaVersion": "2.2",
        "description": description,
        "parameters": {
            "step": {
                "type": "String",
                "description": "The script to run.",
                "allowedValues": names,
            },
            "arguments": {
                "type": "String",
                "description": "The script's arguments: a JSON object, percent-encoded, in Base64.",
                "default": "",
                "allowedPattern": "^[A-Za-z0-9+/=]*$",
            },
        },
        "mainSteps": steps,
    })
}

fn plugin(script: &Script) -> Value {
    let mut plugin = Map::new();
    plugin.insert("action".into(), json!("aws:runPowerShellScript"));
    plugin.insert("name".into(), json!(script.plugin));
    plugin.insert("precondition".into(), json!({ "StringEquals": ["{{ step }}", script.plugin] }));
    plugin.insert(
        "inputs".into(),
        json!({ "timeoutSeconds": script.timeout_seconds.to_string(), "runCommand": wrapped(script) }),
    );
    Value::Object(plugin)
}

/// The wrapper's lines with the script and its settings in their places.
fn wrapped(script: &Script) -> Vec<String> {
    let error_action = match script.error_action {
        ErrorAction::Stop => "Stop",
        ErrorAction::Continue => "Continue",
    };
    let mut lines = Vec::new();
    // The comments are for readers of the source; documents have a limit.
    let code = WRAPPER.lines().enumerate().filter(|(index, line)| *index == 0 || !line.trim_start().starts_with('#'));
    for (_, line) in code {
        if line == "@@SCRIPT@@" {
            lines.extend(script.text.trim_end_matches(['\r', '\n']).lines().map(|line| format!("|{line}")));
        } else {
            lines.push(line.replace("@@ERROR_ACTION@@", error_action).replace("@@REBOOT_REQUIRED@@", REBOOT_REQUIRED));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_cannot_end_the_text_that_it_stands_in() {
        let script = Script {
            plugin: "a".into(),
            text: "$x = @'\nfoo\n'@\n@@SCRIPT@@\n".into(),
            error_action: ErrorAction::Continue,
            timeout_seconds: 60,
        };
        let lines = wrapped(&script);
        let start = lines.iter().position(|line| line == "$windlassText = @'").unwrap();
        assert_eq!(lines[start + 1..start + 6], ["|$x = @'", "|foo", "|'@", "|@@SCRIPT@@", "'@"]);
        assert!(lines.iter().any(|line| line.contains("$ErrorActionPreference = 'Continue'")));
    }

    #[test]
    fn the_wrapper_is_powershell_for_windows_5_1() {
        let script = Script {
            plugin: "a".into(),
            text: "Get-Date".into(),
            error_action: ErrorAction::Stop,
            timeout_seconds: 60,
        };
        let text = wrapped(&script).join("\n");
        // The one thing that the checks of scripts find in it is the parameter that the agent is to fill in.
        let found = super::super::powershell::look(&text).findings;
        assert_eq!(found.iter().filter(|finding| !finding.message.contains("{{ arguments }}")).count(), 0, "{found:?}");
        assert_eq!(found.len(), 1);
    }
}

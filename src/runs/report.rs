//! What a step's `done` and `failed` states say about it: the report that the compiler makes the state machine write.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::api::run::{NodeCounts, NodeStatus, StepStatus};

use super::text::cut;

/// Most nodes that a status shows of one step.
pub const NODE_LIMIT: usize = 50;
/// Most characters that a status shows of what a script printed on one node.
pub const OUTPUT_LIMIT: usize = 512;
/// Most characters that a status shows of what a script wrote to its error stream.
pub const ERROR_OUTPUT_LIMIT: usize = 1024;
/// What stands between the two streams where Systems Manager gives them as one text (`ListCommandInvocations`, Output; agent source).
const ERROR_MARK: &str = "----------ERROR-------";
/// Most characters that a status shows of a step's own result.
const RESULT_LIMIT: usize = 1024;

/// A step's report. Every part may be missing: an execution that Windlass did not start, or a history without execution data, has none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// Path of the step; the state's name has it cut where it is long.
    pub step: Option<String>,
    #[serde(deserialize_with = "whole")]
    attempt: Option<i64>,
    command_id: Option<String>,
    /// The document's plugin that carries the step's script: whose output to ask for.
    pub plugin: Option<String>,
    counts: Option<Counts>,
    nodes: Option<Vec<Node>>,
    output: Value,
    /// Name of the error.
    pub error: Option<String>,
    /// What happened.
    pub cause: Option<String>,
    /// What the step waits for from now on.
    pub message: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    #[serde(deserialize_with = "whole")]
    total: Option<i64>,
    #[serde(deserialize_with = "whole")]
    succeeded: Option<i64>,
    #[serde(deserialize_with = "whole")]
    failed: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Node {
    id: String,
    name: Option<String>,
    status: String,
    #[serde(deserialize_with = "whole")]
    exit_code: Option<i64>,
    stdout: Option<String>,
}

/// JSONata knows one kind of number: `5` may arrive as `5.0`.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    #[allow(clippy::cast_possible_truncation)]
    let from_float = || value.as_f64().filter(|number| number.is_finite()).map(|number| number.round() as i64);
    Ok(value.as_i64().or_else(from_float))
}

/// Text worth showing, cut.
fn shown(text: &str, limit: usize) -> Option<String> {
    let text = text.trim_end().trim_start_matches(['\r', '\n']);
    (!text.is_empty()).then(|| cut(text, limit))
}

fn small(number: Option<i64>) -> i32 {
    i32::try_from(number.unwrap_or(0)).unwrap_or(i32::MAX)
}

/// Windows' exit codes are 32 bits without a sign (`0xC000013A`); Systems Manager may show them either way.
fn exit_code(number: i64) -> i32 {
    i32::try_from(number).ok().or_else(|| u32::try_from(number).ok().map(u32::cast_signed)).unwrap_or(-1)
}

impl Report {
    /// The report in a state's output. Text that is not one gives an empty report.
    #[must_use]
    pub fn parse(output: Option<&str>) -> Self {
        output.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Puts the command that was sent into the step's status, and nothing else.
    pub fn note_command(&mut self, status: &mut StepStatus) {
        status.command_id = self.command_id.take().or(status.command_id.take());
    }

    /// Puts the counts into the step's status, where there are some, and nothing else.
    pub fn note_counts(self, status: &mut StepStatus) {
        status.node_counts = self.counts.map(Counts::into_status).or(status.node_counts);
    }

    /// Puts what it says into the step's status.
    pub fn apply(self, status: &mut StepStatus) {
        if let Some(path) = self.step {
            status.path = path;
        }
        status.attempts = self.attempt.map(|number| small(Some(number))).or(status.attempts);
        status.command_id = self.command_id.or(status.command_id.take());
        status.node_counts = self.counts.map(Counts::into_status);
        status.nodes = self.nodes.into_iter().flatten().take(NODE_LIMIT).map(Node::into_status).collect();
        let shown = !self.output.is_null() && status.nodes.is_empty();
        status.output = shown.then(|| cut(&self.output.to_string(), RESULT_LIMIT));
        status.error = self.error;
    }
}

impl Counts {
    fn into_status(self) -> NodeCounts {
        NodeCounts { total: small(self.total), succeeded: small(self.succeeded), failed: small(self.failed) }
    }
}

impl Node {
    fn into_status(self) -> NodeStatus {
        let ended = matches!(self.status.as_str(), "Success" | "Failed");
        let stdout = self.stdout.unwrap_or_default();
        let (output, errors) = stdout.split_once(ERROR_MARK).unwrap_or((&stdout, ""));
        NodeStatus {
            id: self.id,
            computer_name: self.name.filter(|name| !name.is_empty()),
            status: self.status,
            // -1 stands for "no exit code" wherever no script has ended.
            exit_code: self.exit_code.filter(|code| *code != -1 || ended).map(exit_code),
            output: shown(output, OUTPUT_LIMIT),
            error_output: shown(errors, ERROR_OUTPUT_LIMIT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_as_jsonata_writes_them() {
        let mut status = StepStatus::default();
        Report::parse(Some(
            r#"{"step":"a","attempt":2.0,"counts":{"total":3,"succeeded":1.0,"failed":2},
                "nodes":[{"id":"i-1","name":"","status":"Failed","exitCode":3221225786,"stdout":"x\r\n"}],"output":{"a":1}}"#,
        ))
        .apply(&mut status);
        assert_eq!(status.attempts, Some(2));
        assert_eq!(status.node_counts, Some(NodeCounts { total: 3, succeeded: 1, failed: 2 }));
        let node = &status.nodes[0];
        assert_eq!(
            (node.exit_code, node.computer_name.as_deref(), node.output.as_deref()),
            (Some(-1_073_741_510), None, Some("x"))
        );
        assert_eq!(status.output, None, "a step with nodes shows what they printed");
    }

    #[test]
    fn the_two_streams_of_a_script_are_told_apart() {
        let mut status = StepStatus::default();
        let stdout = "before\r\n----------ERROR-------\r\ndisk is full\r\nat line 3";
        Report::parse(Some(
            &serde_json::json!({ "nodes": [{ "stdout": stdout }, { "stdout": "\n----------ERROR-------\nx" }] })
                .to_string(),
        ))
        .apply(&mut status);
        let streams: Vec<_> =
            status.nodes.iter().map(|node| (node.output.as_deref(), node.error_output.as_deref())).collect();
        assert_eq!(streams, [(Some("before"), Some("disk is full\r\nat line 3")), (None, Some("x"))]);
    }

    #[test]
    fn text_that_is_no_report_gives_an_empty_one() {
        for text in [None, Some(""), Some("[1]"), Some("\"text\""), Some("{\"attempt\":")] {
            let mut status = StepStatus { path: "a".into(), command_id: Some("c".into()), ..StepStatus::default() };
            Report::parse(text).apply(&mut status);
            assert_eq!((status.path.as_str(), status.command_id.as_deref()), ("a", Some("c")), "{text:?}");
        }
    }
}

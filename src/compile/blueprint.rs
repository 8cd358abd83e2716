//! The Blueprint: every AWS object that should exist for a manifest, in dependency order.
//!
//! Pure data. Same input, same bytes: maps are ordered, nothing comes from a clock or a random source. A value that only AWS can give
//! (the version it assigns to a document) is a [`Fill`]: the engine puts it in before it writes the object, [`render`](super::render)
//! prints it as `${document.version}`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// Every AWS object of one manifest, each after the ones that it refers to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Blueprint {
    /// The objects.
    pub objects: Vec<Object>,
}

/// One AWS object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Object {
    /// All its tags, the ones that prove ownership among them.
    pub tags: BTreeMap<String, String>,
    /// What it is.
    pub body: Body,
}

/// The object itself, by type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Body {
    /// An IAM role with its inline policies.
    Role(Role),
    /// A Systems Manager document of type Command.
    Document(Document),
    /// A Standard state machine.
    StateMachine(StateMachine),
    /// A standard queue.
    Queue(Queue),
    /// An EventBridge rule with one target.
    Rule(Rule),
}

/// An IAM role.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Role {
    /// Path, with both slashes.
    pub path: String,
    /// Name, 64 characters at most.
    pub name: String,
    /// ARN: it follows from account, path and name.
    pub arn: String,
    /// Description, 1,000 characters at most.
    pub description: String,
    /// Trust policy.
    pub trust: Value,
    /// Permissions boundary.
    pub boundary_arn: String,
    /// Inline policies by name. A policy's name contains a hash of its content, so that a new policy stands beside the old one until no
    /// execution needs the old one any more.
    pub policies: BTreeMap<String, Value>,
}

/// A Systems Manager document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Document {
    /// Name, 128 characters at most.
    pub name: String,
    /// ARN: it follows from account, Region and name.
    pub arn: String,
    /// Content, schema 2.2.
    pub content: Value,
}

/// A Standard state machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StateMachine {
    /// Name, 80 characters at most.
    pub name: String,
    /// ARN: it follows from account, Region and name.
    pub arn: String,
    /// The role that it runs as.
    pub role_arn: String,
    /// Definition in Amazon States Language, complete but for `fills`.
    pub definition: Value,
    /// Where in the definition AWS's answers go.
    pub fills: Vec<Fill>,
}

/// A standard SQS queue, encrypted with SQS's own key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Queue {
    /// Name, 80 characters at most.
    pub name: String,
    /// ARN: it follows from account, Region and name.
    pub arn: String,
    /// How long a message is kept, in seconds.
    pub retention_seconds: u32,
    /// How long a message that was received and not deleted is hidden, in seconds.
    pub visibility_seconds: u32,
    /// How long a receive waits for messages, in seconds.
    pub wait_seconds: u32,
    /// Who may send and who may receive.
    pub policy: Value,
}

/// An EventBridge rule on the default bus.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// Name, 64 characters at most.
    pub name: String,
    /// ARN: it follows from account, Region and name.
    pub arn: String,
    /// Description, 512 characters at most.
    pub description: String,
    /// Which events.
    pub pattern: Value,
    /// Where they go.
    pub target: RuleTarget,
}

/// Where a rule's events go, and what of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleTarget {
    /// Name of the target within the rule.
    pub id: String,
    /// ARN of the queue.
    pub arn: String,
    /// Paths of an event's values, by name.
    pub paths: BTreeMap<String, String>,
    /// What is sent, with those values in it.
    pub template: String,
}

/// A place in an object that another object's answer goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fill {
    /// JSON pointer (RFC 6901) into the definition.
    pub pointer: String,
    /// What goes there.
    pub answer: Answer,
}

/// What AWS answers when an object is created or updated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Answer {
    /// The version that Systems Manager assigned to the document of this name.
    DocumentVersion(String),
    /// The Sha256 hash that Systems Manager computed over that version.
    DocumentHash(String),
}

impl Object {
    /// CloudFormation's name for the type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match &self.body {
            Body::Role(_) => "AWS::IAM::Role",
            Body::Document(_) => "AWS::SSM::Document",
            Body::StateMachine(_) => "AWS::StepFunctions::StateMachine",
            Body::Queue(_) => "AWS::SQS::Queue",
            Body::Rule(_) => "AWS::Events::Rule",
        }
    }

    /// Its name in its service.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.body {
            Body::Role(role) => &role.name,
            Body::Document(document) => &document.name,
            Body::StateMachine(machine) => &machine.name,
            Body::Queue(queue) => &queue.name,
            Body::Rule(rule) => &rule.name,
        }
    }

    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        match &self.body {
            Body::Role(role) => &role.arn,
            Body::Document(document) => &document.arn,
            Body::StateMachine(machine) => &machine.arn,
            Body::Queue(queue) => &queue.arn,
            Body::Rule(rule) => &rule.arn,
        }
    }
}

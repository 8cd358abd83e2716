//! Policy documents that allow: nothing that Windlass makes denies, what must never happen stands in the account's boundary.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The policy language's version (IAM user guide, "Version").
const VERSION: &str = "2012-10-17";

/// Conditions by operator and key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition(BTreeMap<&'static str, BTreeMap<String, Vec<String>>>);

impl Condition {
    /// The key equals one of the values.
    #[must_use]
    pub fn equals(self, key: impl Into<String>, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with("StringEquals", key, values)
    }

    /// The key is an ARN that matches one of the patterns.
    #[must_use]
    pub fn arn_like(self, key: impl Into<String>, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with("ArnLike", key, values)
    }

    fn with(
        mut self,
        operator: &'static str,
        key: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.0.entry(operator).or_default().insert(key.into(), values.into_iter().map(Into::into).collect());
        self
    }

    fn to_value(&self) -> Option<Value> {
        (!self.0.is_empty()).then(|| json!(self.0))
    }
}

/// A statement that allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Name, letters and digits.
    pub sid: String,
    /// Who; in trust policies only.
    pub service: Option<&'static str>,
    /// Actions.
    pub actions: Vec<String>,
    /// Resources; none in trust policies.
    pub resources: Vec<String>,
    /// Conditions.
    pub condition: Condition,
}

impl Statement {
    fn to_value(&self) -> Value {
        let mut statement = Map::new();
        statement.insert("Sid".into(), json!(self.sid));
        statement.insert("Effect".into(), json!("Allow"));
        if let Some(service) = self.service {
            statement.insert("Principal".into(), json!({ "Service": service }));
        }
        statement.insert("Action".into(), json!(self.actions));
        if !self.resources.is_empty() {
            statement.insert("Resource".into(), json!(self.resources));
        }
        if let Some(condition) = self.condition.to_value() {
            statement.insert("Condition".into(), condition);
        }
        Value::Object(statement)
    }
}

/// A policy document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Its statements.
    pub statements: Vec<Statement>,
}

impl Policy {
    /// The document.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let statements: Vec<Value> = self.statements.iter().map(Statement::to_value).collect();
        json!({ "Version": VERSION, "Statement": statements })
    }
}

//! Digests of what was applied to an object, one for each part that has a call of its own to change it.
//!
//! What changed in a declaration is thus known from status alone, and exactly that is written, without a read.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Bytes of a digest that are kept: enough that nobody finds two contents with the same one.
const KEPT: usize = 16;

/// Digests by part. As text: `boundary=<32 hex>,tags=<32 hex>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts(BTreeMap<String, String>);

impl Parts {
    /// Adds a part with the digest of its content. A name has neither comma nor equals sign.
    pub(super) fn with(mut self, name: impl Into<String>, content: &Value) -> Self {
        let mut text = String::new();
        canonical(content, &mut text);
        let mut hex = String::with_capacity(2 * KEPT);
        for byte in Sha256::digest(text.as_bytes()).iter().take(KEPT) {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        self.0.insert(name.into(), hex);
        self
    }

    /// Reads the text form; none when it is another's.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let pairs = text.split(',').map(|pair| {
            let (name, hex) = pair.split_once('=')?;
            let good = hex.len() == 2 * KEPT && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            good.then(|| (name.to_owned(), hex.to_owned()))
        });
        pairs.collect::<Option<_>>().map(Self)
    }

    /// Whether a part is not as it was when `recorded` was taken.
    pub(super) fn changed(&self, recorded: &Self, name: &str) -> bool {
        self.0.get(name) != recorded.0.get(name)
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, hex)) in self.0.iter().enumerate() {
            write!(f, "{}{name}={hex}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// JSON with its fields in order.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            text.push('{');
            for (name, value) in sorted {
                text.push_str(&Value::String(name.clone()).to_string());
                text.push(':');
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_of_fields_does_not_matter_and_content_does() {
        let parts = |value: Value| Parts::default().with("a", &value);
        assert_eq!(
            parts(json!({ "x": 1, "y": [{ "b": 1, "c": 2 }] })),
            parts(json!({ "y": [{ "c": 2, "b": 1 }], "x": 1 }))
        );
        for other in [json!({ "x": 1, "y": [] }), json!({ "x": "1", "y": [1] }), json!({ "x": 1, "y": [[1]] })] {
            assert_ne!(parts(json!({ "x": 1, "y": [1] })), parts(other.clone()), "{other}");
        }
    }

    #[test]
    fn parts_survive_as_text_and_tell_what_changed() {
        let old = Parts::default().with("tags", &json!(1)).with("policy/windlass-a", &json!(2));
        assert_eq!(Parts::parse(&old.to_string()), Some(old.clone()));
        let new = Parts::default().with("tags", &json!(1)).with("policy/windlass-b", &json!(2));
        assert!(!new.changed(&old, "tags"));
        assert!(new.changed(&old, "policy/windlass-b"));
        for foreign in ["", "sha256:00", "tags=00", "tags"] {
            assert_eq!(Parts::parse(foreign), None, "{foreign}");
        }
    }
}

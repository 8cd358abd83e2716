//! Digests: whether an object is still what was last applied.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::blueprint::Object;
use super::names::hex;

/// `sha256:<hex>` over the object's tags and body as canonical JSON: keys sorted, no white space.
#[must_use]
pub fn digest(object: &Object) -> String {
    let text = canonical(&json!({ "tags": object.tags, "body": object.body })).to_string();
    format!("sha256:{}", hex(&Sha256::digest(text.as_bytes()), 32))
}

fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut pairs: Vec<(&String, &Value)> = fields.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            Value::Object(pairs.into_iter().map(|(key, value)| (key.clone(), canonical(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::blueprint::{Body, Document};
    use super::*;

    fn object(content: Value, tag: &str) -> Object {
        let document = Document { name: "d".into(), arn: "arn".into(), content };
        Object { tags: BTreeMap::from([("k".to_owned(), tag.to_owned())]), body: Body::Document(document) }
    }

    #[test]
    fn digests_follow_the_meaning() {
        let one = digest(&object(json!({ "a": 1, "b": { "c": 2, "d": 3 } }), "v"));
        assert_eq!(one, digest(&object(json!({ "b": { "d": 3, "c": 2 }, "a": 1 }), "v")));
        assert_ne!(one, digest(&object(json!({ "a": 1, "b": { "c": 2, "d": 4 } }), "v")));
        assert_ne!(one, digest(&object(json!({ "a": 1, "b": { "c": 2, "d": 3 } }), "w")));
        assert!(one.starts_with("sha256:") && one.len() == 71, "{one}");
    }
}

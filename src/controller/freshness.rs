//! Not acting on an object that is older than our own last write to it.
//!
//! A reconciliation that follows its own write by a few milliseconds finds the object in the watch's store as it was before. Acting on that would
//! repeat calls to AWS. It waits for the watch instead.

use std::collections::HashMap;
use std::sync::Mutex;

use kube::ResourceExt;

/// Resource versions of our last writes that the watches have not shown yet, by UID.
///
/// Resource versions of one kind are comparable as numbers (Kubernetes API concepts, "Resource versions", since 1.35; etcd's revisions before).
#[derive(Debug, Default)]
pub struct Freshness(Mutex<HashMap<String, u64>>);

impl Freshness {
    /// An object as the API server answered a write of ours.
    pub fn wrote(&self, answer: &impl ResourceExt) {
        if let (Some(uid), Some(version), Ok(mut all)) = (answer.uid(), number(answer), self.0.lock()) {
            all.insert(uid, version);
        }
    }

    /// Whether `object` is older than our last write to it.
    pub fn is_behind(&self, object: &impl ResourceExt) -> bool {
        let (Some(uid), Some(version), Ok(mut all)) = (object.uid(), number(object), self.0.lock()) else {
            return false;
        };
        match all.get(&uid) {
            Some(written) if version < *written => true,
            Some(_) => {
                all.remove(&uid);
                false
            }
            None => false,
        }
    }

    /// The object is gone.
    pub fn forget(&self, object: &impl ResourceExt) {
        if let (Some(uid), Ok(mut all)) = (object.uid(), self.0.lock()) {
            all.remove(&uid);
        }
    }
}

fn number(object: &impl ResourceExt) -> Option<u64> {
    object.resource_version()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn object(version: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.uid = Some("u".into());
        object.metadata.resource_version = Some(version.into());
        object
    }

    #[test]
    fn an_object_is_behind_until_the_watch_shows_the_write() {
        let freshness = Freshness::default();
        assert!(!freshness.is_behind(&object("9")));
        freshness.wrote(&object("10"));
        assert!(freshness.is_behind(&object("9")), "as numbers, not as text");
        assert!(!freshness.is_behind(&object("10")));
        assert!(!freshness.is_behind(&object("9")), "forgotten once seen");
    }
}

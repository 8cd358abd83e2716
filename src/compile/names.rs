//! Names inside of a workflow: states, variables, plugins.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::asl::STATE_NAME_LIMIT;

/// Longest path in a name: leaves room for the part that follows in a state's name.
const PATH_LIMIT: usize = 60;
/// Longest label of a Map.
const LABEL_LIMIT: usize = 40;
/// Digits of a hash in a name.
const HASH: usize = 10;
/// Fewest characters of a plugin's name (`GetCommandInvocation`, `PluginName`).
const PLUGIN_LEAST: usize = 4;

/// Name of a state: `<path>: <part>`.
#[must_use]
pub fn state(path: &str, part: &str) -> String {
    let name = format!("{}: {part}", short(path, PATH_LIMIT));
    debug_assert!(name.len() <= STATE_NAME_LIMIT, "{name}");
    name
}

/// Label of the Map of a step, part of ARNs: letters, digits, dashes and underscores, 40 at most (Amazon States Language reference, Map, "Label").
#[must_use]
pub fn label(path: &str) -> String {
    // No step's name has an underscore.
    short(path, LABEL_LIMIT).replace(['/', '~'], "_")
}

/// A path as names have it: whole where it is short, else its end behind a hash, since the end tells more than the beginning.
#[must_use]
pub fn short(path: &str, limit: usize) -> String {
    if path.len() <= limit {
        return path.to_owned();
    }
    let hash = hash(path);
    let keep = limit.saturating_sub(HASH + 1);
    let end: String = path.chars().skip(path.chars().count().saturating_sub(keep)).collect();
    format!("{hash}~{end}")
}

/// Name of a variable that belongs to a step: letters, digits and underscores, 80 at most (Step Functions, "Variable name").
#[must_use]
pub fn variable(kind: &str, path: &str) -> String {
    let plain = path.replace('/', "__").replace('-', "_");
    // Without the hash, step `a--b` and step `b` inside of `a` would share a variable.
    if plain.len() <= PATH_LIMIT && !path.contains("--") {
        return format!("{kind}_{plain}");
    }
    let end: String = plain.chars().skip(plain.len().saturating_sub(PATH_LIMIT - HASH - 1)).collect();
    format!("{kind}_{}_{end}", hash(path))
}

/// Name of a script's plugin in the document.
#[must_use]
pub fn plugin(front: &str, step: &str) -> String {
    // No step's name has an underscore: the filling never makes two plugins one.
    format!("{:_<PLUGIN_LEAST$}", format!("{front}{step}"))
}

/// A key that sorts places in a manifest as they are written: `steps[2]` before `steps[10]`, steps before blocks.
#[must_use]
pub fn manifest_order(path: &str) -> Vec<(u8, usize, String)> {
    path.split(['.', '['])
        .map(|piece| match piece.strip_suffix(']').and_then(|index| index.parse().ok()) {
            Some(index) => (0, index, String::new()),
            None => (u8::from(piece == "blocks") + 1, 0, piece.to_owned()),
        })
        .collect()
}

fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()), HASH / 2)
}

/// The first bytes of a hash, in hexadecimal digits.
#[must_use]
pub fn hex(hash: &[u8], bytes: usize) -> String {
    hash.iter().take(bytes).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_names_keep_to_the_limit_and_apart() {
        let (one, two) = (format!("{}/a", "x".repeat(90)), format!("{}/a", "x".repeat(91)));
        assert!(state(&one, "collected").len() <= STATE_NAME_LIMIT);
        assert_ne!(state(&one, "send"), state(&two, "send"));
        assert_eq!(state("undo/restore", "send"), "undo/restore: send");
    }

    #[test]
    fn variables_are_identifiers_and_stay_apart() {
        assert_eq!(variable("steps", "undo/back-in"), "steps_undo__back_in");
        assert_ne!(variable("steps", "a--b"), variable("steps", "a/b"));
        let long = variable("deadline", &"x/".repeat(100));
        assert!(long.len() <= 80, "{long}");
        assert!(long.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{long}");
    }

    #[test]
    fn labels_keep_to_the_limit_and_apart() {
        assert_eq!(label("undo/roll-out"), "undo_roll-out");
        let (one, two) = (label(&"x/".repeat(30)), label(&"x/".repeat(31)));
        assert!(
            one.len() <= 40 && one != two && one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
            "{one}"
        );
    }

    #[test]
    fn plugins_have_four_characters_at_least() {
        assert_eq!(plugin("", "a"), "a___");
        assert_eq!(plugin("undo.", "restore"), "undo.restore");
        assert_eq!(plugin("a_", "b"), "a_b_");
    }

    #[test]
    fn problems_sort_as_the_manifest_is_written() {
        let mut paths = vec!["spec.blocks[0].steps[0]", "spec.steps[10].when", "spec.steps[2]", "spec.parameters[0]"];
        paths.sort_by_key(|path| manifest_order(path));
        assert_eq!(paths, ["spec.parameters[0]", "spec.steps[2]", "spec.steps[10].when", "spec.blocks[0].steps[0]"]);
    }
}

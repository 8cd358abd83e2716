//! "Did you mean …": the nearest of some words.

/// The word that is most like `wrong`, if one is like it at all: the same but for capitals, or at most a third of it typed wrong.
#[must_use]
pub fn nearest<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    let allowed = (wrong.chars().count() / 3).max(1);
    words
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&lower, &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, word)| word)
}

/// `, did you mean "script"?`, else the words there are, while they are few.
#[must_use]
pub fn hint<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str> + Clone) -> String {
    const FEW: usize = 12;
    if let Some(word) = nearest(wrong, words.clone()) {
        return format!(", did you mean \"{word}\"?");
    }
    let mut all: Vec<&str> = words.into_iter().collect();
    all.sort_unstable();
    if all.is_empty() || all.len() > FEW { String::new() } else { format!("; known here: {}", all.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_found() {
        let words = ["script", "parameters", "output", "errorAction"];
        for (wrong, right) in [
            ("scirpt", Some("script")),
            ("Script", Some("script")),
            ("paramters", Some("parameters")),
            ("erroraction", Some("errorAction")),
            ("x", None),
            ("timeout", None),
        ] {
            assert_eq!(nearest(wrong, words), right, "{wrong}");
        }
        assert_eq!(hint("timeout", words), "; known here: errorAction, output, parameters, script");
    }
}

//! Takes secrets out of what scripts print, by their shape, before it reaches a status, an Event or a log.
//!
//! A net with holes: it knows AWS keys, bearer tokens, passwords that stand behind their name, passwords in URLs and private keys. A script that
//! prints secrets is to be mended all the same (or told `output: None`).

use std::borrow::Cow;
use std::sync::LazyLock;

use regex_lite::Regex;

use crate::api::run::StepStatus;

/// What stands in a secret's place.
const MASK: &str = "[redacted]";

/// Words that a secret's name ends in, as in `DbPassword=`, `"client_secret":`, `-ApiKey `.
const NAMES: &str = r"(?:password|passwd|passphrase|pwd|secret|secret[_-]?access[_-]?key|secret[_-]?key|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|token|credential)";

struct Shape {
    pattern: Option<Regex>,
    replacement: String,
}

static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    let quoted = format!(r#"(?i)([\w.-]*{NAMES}["']?\s*[=:]\s*)("(?:[^"\\]|\\.)*"?|'[^']*'?)"#);
    let plain = format!(r#"(?i)([\w.-]*{NAMES}["']?\s*[=:]\s*)([^\s"',;&|}}\])\[][^\s"',;&|}}\])]*)"#);
    let argument = format!(r#"(?i)((?:^|\s)(?:--?|/)[\w-]*{NAMES}[\s:]+)("[^"]*"?|'[^']*'?|[^\s-]\S*)"#);
    [
        // A block whose end was cut off is masked to the end, one whose beginning was cut off from the beginning.
        (
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)".to_owned(),
            MASK.to_owned(),
        ),
        (r"^[A-Za-z0-9+/=\s]*-----END [A-Z0-9 ]*PRIVATE KEY-----".to_owned(), MASK.to_owned()),
        // RFC 6750: the token's characters are those of b64token.
        (r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/-]+=*".to_owned(), format!("${{1}}{MASK}")),
        (
            r"(?i)\b(authorization\s*[=:]\s*(?:basic|negotiate|ntlm)\s+)[A-Za-z0-9+/]+=*".to_owned(),
            format!("${{1}}{MASK}"),
        ),
        // Three base64url parts, the first two of which are JSON objects: a JSON Web Token.
        (r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*".to_owned(), MASK.to_owned()),
        // IAM's unique identifiers: AKIA and ASIA are access keys, of a user and of a session.
        (r"\b(?:AKIA|ASIA)[A-Z2-7]{8,}\b".to_owned(), MASK.to_owned()),
        (r"([a-zA-Z][a-zA-Z0-9+.-]*://[^\s:/@]+:)[^\s/@]+@".to_owned(), format!("${{1}}{MASK}@")),
        (quoted, format!("${{1}}{MASK}")),
        (plain, format!("${{1}}{MASK}")),
        (argument, format!("${{1}}{MASK}")),
    ]
    .into_iter()
    .map(|(pattern, replacement)| Shape { pattern: Regex::new(&pattern).ok(), replacement })
    .collect()
});

/// The text with everything that looks like a secret masked.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    for shape in SHAPES.iter() {
        let Some(pattern) = &shape.pattern else { continue };
        let next = match pattern.replace_all(&clean, shape.replacement.as_str()) {
            Cow::Owned(next) => next,
            Cow::Borrowed(_) => continue,
        };
        clean = Cow::Owned(next);
    }
    clean
}

/// Masks what a step's nodes printed and what it gave.
pub fn step(step: &mut StepStatus) {
    let texts = step.nodes.iter_mut().flat_map(|node| [&mut node.output, &mut node.error_output]);
    texts.chain([&mut step.output]).for_each(optional);
}

/// Masks a text that may be there.
pub fn optional(text: &mut Option<String>) {
    if let Some(text) = text
        && let Cow::Owned(clean) = redact(text)
    {
        *text = clean;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_a_pattern() {
        assert!(SHAPES.iter().all(|shape| shape.pattern.is_some()));
    }

    #[test]
    fn masks_secrets() {
        for (text, clean) in [
            ("id AKIAIOSFODNN7EXAMPLE.", "id [redacted]."),
            ("ASIAY34FZKBOKMUTVV7A", "[redacted]"),
            (
                "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\nregion = eu-west-1",
                "aws_secret_access_key = [redacted]\nregion = eu-west-1",
            ),
            ("SecretAccessKey : wJalrXUtnFEMI", "SecretAccessKey : [redacted]"),
            ("Authorization: Bearer abc.DEF-123_~+/==", "Authorization: Bearer [redacted]"),
            ("authorization: Basic dXNlcjpwYXNz", "authorization: Basic [redacted]"),
            (
                "Server=db;User Id=sa;Password=Hunter2!;Encrypt=true",
                "Server=db;User Id=sa;Password=[redacted];Encrypt=true",
            ),
            ("DbPassword=\"a b\\\"c\" next", "DbPassword=[redacted] next"),
            ("{\"password\": \"hunter2\", \"user\": \"ada\"}", "{\"password\": [redacted], \"user\": \"ada\"}"),
            ("{\"apiKey\":12345}", "{\"apiKey\":[redacted]}"),
            ("net use -Password 'p w' -User x", "net use -Password [redacted] -User x"),
            ("setup.exe /password hunter2", "setup.exe /password [redacted]"),
            ("https://ada:hunter2@example.com/x", "https://ada:[redacted]@example.com/x"),
            ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln!", "got [redacted]!"),
            ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----\nb", "a\n[redacted]\nb"),
            ("a -----BEGIN PRIVATE KEY-----\nMIIE and the rest was cut", "a [redacted]"),
            ("abc=\n-----END PRIVATE KEY-----\nb", "[redacted]\nb"),
        ] {
            assert_eq!(redact(text), clean, "{text}");
        }
    }

    #[test]
    fn leaves_ordinary_output_as_it_is() {
        for text in [
            "Name Used Free\nC 42 58",
            "The password has expired",
            "token bucket exhausted",
            "KB5046616 is installed",
            "i-0123456789abcdef0 https://example.com:8443/path",
            "secretary: Ada",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn reaches_every_text_of_a_step() {
        use crate::api::run::NodeStatus;
        let secret = || Some("pwd=x".to_owned());
        let mut status = StepStatus {
            output: secret(),
            nodes: vec![NodeStatus { output: secret(), error_output: secret(), ..NodeStatus::default() }],
            ..StepStatus::default()
        };
        step(&mut status);
        assert!(!serde_json::to_string(&status).unwrap().contains("pwd=x"));
    }
}

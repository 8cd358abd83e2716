//! A scanner for what no script can be without: strings, comments and brackets that end, conditions in parentheses.
//!
//! It knows PowerShell's lexical rules (`about_Quoting_Rules`, `about_Parsing`) and none of its grammar. The grammar that [`super`] parses with
//! refuses a good part of valid scripts (248 of 3,543 in five public repositories; this scanner refused 6 of them, all of them broken), so a syntax
//! error is reported only where this scanner finds one: PowerShell's own parser has each of them too.

use std::ops::Range;

/// Something wrong, at a byte of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) byte: usize,
    pub(super) message: String,
}

/// Keywords that need a condition in parentheses where they begin a statement.
const CONDITIONAL: [&str; 6] = ["if", "elseif", "while", "until", "for", "foreach"];

/// What is open.
#[derive(Clone, Copy)]
enum Open {
    /// `(` or `{`.
    Bracket(char, usize),
    /// A string in double quotes.
    Text(usize),
    /// `@"`.
    Here(usize),
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scanned {
    /// The first thing that is wrong.
    pub(super) fault: Option<Fault>,
    /// Bytes behind `--%`, which go to a program as they stand.
    pub(super) verbatim: Vec<Range<usize>>,
}

/// Looks through a script.
pub(super) fn scan(text: &str) -> Scanned {
    let mut scanner = Scanner { text, at: 0, open: Vec::new(), last: None, begins: true, verbatim: Vec::new() };
    let fault = scanner.run().err();
    Scanned { fault, verbatim: scanner.verbatim }
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    open: Vec<Open>,
    /// The last character that is neither space nor comment, and where.
    last: Option<(char, usize)>,
    /// Whether a statement can begin here.
    begins: bool,
    verbatim: Vec<Range<usize>>,
}

fn fault<T>(byte: usize, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { byte, message: message.into() })
}

/// PowerShell takes typographic quotes for plain ones.
fn is_single(c: char) -> bool {
    matches!(c, '\'' | '\u{2018}'..='\u{201b}')
}

fn is_double(c: char) -> bool {
    matches!(c, '"' | '\u{201c}'..='\u{201e}')
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        while let Some(c) = self.peek() {
            match self.open.last() {
                Some(Open::Text(_)) => self.in_text(c),
                Some(Open::Here(_)) => self.in_here(c),
                _ => self.in_code(c)?,
            }
        }
        match (self.open.last(), self.last) {
            (Some(Open::Bracket(c, start)), _) => {
                let end = if *c == '(' { ')' } else { '}' };
                fault(*start, format!("syntax error: this {c} is never closed: {end} is missing"))
            }
            (Some(Open::Text(start)), _) => fault(*start, "syntax error: this string does not end: \" is missing"),
            (Some(Open::Here(start)), _) => {
                fault(*start, "syntax error: this here-string does not end: a line that begins with \"@ is missing")
            }
            (None, Some((c @ ('|' | '=' | ','), at))) => {
                fault(at, format!("syntax error: the script ends after {c}, in the middle of a statement"))
            }
            (None, _) => Ok(()),
        }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    /// Passes over a character that is part of the code.
    fn take(&mut self, c: char) {
        self.last = Some((c, self.at));
        self.begins = false;
        self.bump();
    }

    fn before(&self) -> Option<char> {
        self.text.get(..self.at).and_then(|before| before.chars().next_back())
    }

    fn in_code(&mut self, c: char) -> Result<(), Fault> {
        match c {
            '`' => {
                self.take(c);
                self.bump();
            }
            '#' if self.token_begins() => self.skip_line(),
            '-' if self.rest().starts_with("--%") && self.token_begins() => {
                let start = self.at;
                self.skip_line();
                self.verbatim.push(start..self.at);
            }
            '<' if self.rest().starts_with("<#") => self.block_comment()?,
            '@' if self.rest().chars().nth(1).is_some_and(|next| is_single(next) || is_double(next)) => {
                self.here_string()?;
            }
            '$' if self.rest().starts_with("${") => {
                let start = self.at;
                let Some(end) = self.rest().find('}') else {
                    return fault(start, "syntax error: this variable's name does not end: } is missing");
                };
                self.take(c);
                self.at = start + end + 1;
            }
            '(' | '{' => {
                self.open.push(Open::Bracket(c, self.at));
                self.take(c);
                self.begins = true;
            }
            ')' | '}' => self.close(c)?,
            ';' => {
                self.take(c);
                self.begins = true;
            }
            '\n' => {
                self.bump();
                // A line that ends so goes on in the next one.
                self.begins = !matches!(self.last, Some(('|' | ',' | '`' | '=' | '.', _)));
            }
            c if is_single(c) => self.literal()?,
            c if is_double(c) => {
                self.open.push(Open::Text(self.at));
                self.take(c);
            }
            c if c.is_whitespace() => self.bump(),
            c if c.is_alphabetic() && self.token_begins() => self.word()?,
            c => self.take(c),
        }
        Ok(())
    }

    /// Whether a token begins here: `a#b` is one, `a #b` is one and a comment.
    fn token_begins(&self) -> bool {
        self.before().is_none_or(|c| c.is_whitespace() || "(){};,|&".contains(c))
    }

    fn skip_line(&mut self) {
        self.at += self.rest().find('\n').unwrap_or(self.rest().len());
    }

    fn block_comment(&mut self) -> Result<(), Fault> {
        match self.rest().find("#>") {
            Some(length) => {
                self.at += length + 2;
                Ok(())
            }
            None => fault(self.at, "syntax error: this comment does not end: #> is missing"),
        }
    }

    fn literal(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.take('\'');
        while let Some(c) = self.peek() {
            self.bump();
            // Two in a row are one in the text.
            if is_single(c) {
                if !self.peek().is_some_and(is_single) {
                    return Ok(());
                }
                self.bump();
            }
        }
        fault(start, "syntax error: this string does not end: ' is missing")
    }

    fn here_string(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let quote = self.rest().chars().nth(1).unwrap_or_default();
        self.take('@');
        self.bump();
        let line = self.rest().lines().next().unwrap_or_default();
        if !line.trim().is_empty() {
            return fault(start, "syntax error: nothing may follow a here-string's beginning on its line");
        }
        if is_double(quote) {
            self.open.push(Open::Here(start));
            self.skip_line();
            return Ok(());
        }
        let mut offset = self.at;
        for line in self.rest().split_inclusive('\n') {
            if offset > self.at && line.chars().next().is_some_and(is_single) && line.chars().nth(1) == Some('@') {
                self.at = offset + line.chars().take(2).map(char::len_utf8).sum::<usize>();
                return Ok(());
            }
            offset += line.len();
        }
        fault(start, "syntax error: this here-string does not end: a line that begins with '@ is missing")
    }

    fn in_text(&mut self, c: char) {
        if c == '`' {
            self.bump();
            self.bump();
        } else if self.rest().starts_with("$(") {
            self.inner();
        } else if is_double(c) {
            self.bump();
            if self.peek().is_some_and(is_double) {
                self.bump();
            } else {
                self.open.pop();
            }
        } else {
            self.bump();
        }
    }

    fn in_here(&mut self, c: char) {
        let at_line = self.before() == Some('\n');
        if at_line && is_double(c) && self.rest().chars().nth(1) == Some('@') {
            self.bump();
            self.bump();
            self.open.pop();
        } else if c == '`' {
            self.bump();
            self.bump();
        } else if self.rest().starts_with("$(") {
            self.inner();
        } else {
            self.bump();
        }
    }

    /// `$(` inside of a string: code until it is closed.
    fn inner(&mut self) {
        self.bump();
        self.open.push(Open::Bracket('(', self.at));
        self.bump();
        self.begins = true;
    }

    fn close(&mut self, c: char) -> Result<(), Fault> {
        match self.open.pop() {
            Some(Open::Bracket(open, _)) if (open == '(') == (c == ')') => {}
            Some(Open::Bracket(open, start)) => {
                let line = self.text.get(..start).unwrap_or_default().matches('\n').count() + 1;
                return fault(self.at, format!("syntax error: {c} does not close the {open} of line {line}"));
            }
            _ => return fault(self.at, format!("syntax error: {c} closes nothing")),
        }
        self.take(c);
        self.begins = c == '}';
        Ok(())
    }

    fn word(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let length =
            self.rest().find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(self.rest().len());
        let word = self.rest().get(..length).unwrap_or_default().to_lowercase();
        let begins = std::mem::take(&mut self.begins);
        self.at += length;
        self.last = word.chars().next_back().map(|c| (c, start));
        if begins && CONDITIONAL.contains(&word.as_str()) {
            self.condition(&word, start)?;
        }
        Ok(())
    }

    fn condition(&mut self, word: &str, start: usize) -> Result<(), Fault> {
        let mut look = self.rest();
        loop {
            look = look.trim_start_matches(|c: char| c.is_whitespace() || c == '`');
            if let Some(comment) = look.strip_prefix("<#") {
                look = comment.split_once("#>").map_or("", |(_, rest)| rest);
            } else if look.starts_with('#') {
                look = look.split_once('\n').map_or("", |(_, rest)| rest);
            } else {
                break;
            }
        }
        // `if = 1` is a key of a hash table, `if.exe` a program, `foreach -parallel (` a workflow's loop.
        match look.chars().next() {
            Some('(' | '=' | '.' | '-') => Ok(()),
            _ => fault(start, format!("syntax error: {word} needs parentheses after it: {word} (…)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_scripts_pass() {
        for text in [
            "",
            "Get-Date # it's late\n<# { ( ' #>",
            "'it''s' ; \"a `\" b $(Get-Item \"x$(1)y\") \"\"quoted\"\"\" ; ${a b}",
            "@'\n it's { ( \n'@ | Out-File x",
            "$x = @\"\n$(Get-Date) it's \"quoted\" `\" (\n\"@\n",
            "if ($a) { 1 } elseif ($b) { 2 }\nelse { 3 }",
            "while\n  ($true) { break }\ndo { 1 } until ($x)",
            "1..3 |\n  foreach { $_ }",
            "@{ if = 1; while = 2 }",
            "Copy-Item $env:TEMP\\a.txt C:\\x#y\\z",
            "cmd /c --% echo it's ( unbalanced",
            "Write-Host a`'b",
            "Write-Host [ ; $x -match '['",
            "\u{201c}curly\u{201d} ; \u{2018}it\u{2019}",
            "foreach ($x in 1, 2) { $x }",
            "ForEach-Object { $_ }\nIf-Not 1",
            "if # why\n ($a) { }",
        ] {
            assert_eq!(scan(text).fault, None, "{text}");
        }
    }

    #[test]
    fn broken_scripts_do_not() {
        for (text, byte, part) in [
            ("Get-Date\nif ($true) {\n  Get-Date\n", 20, "this { is never closed"),
            ("}", 0, "} closes nothing"),
            ("(1 }", 3, "} does not close the ( of line 1"),
            ("'a", 0, "' is missing"),
            ("x \"a $(1) b", 2, "\" is missing"),
            ("\"a $(1", 4, "this ( is never closed"),
            ("@'\nx", 0, "'@ is missing"),
            ("@'\nx '@", 0, "'@ is missing"),
            ("@\" x\n\"@", 0, "nothing may follow"),
            ("@\"\nx", 0, "\"@ is missing"),
            ("<# x", 0, "#> is missing"),
            ("if $x { 1 }", 0, "if needs parentheses"),
            ("1\nForeach $x in $y { 1 }", 2, "foreach needs parentheses"),
            ("Get-Date |", 9, "ends after |"),
            ("$x =\n", 3, "ends after ="),
            ("${a", 0, "} is missing"),
        ] {
            let found = scan(text).fault;
            assert!(found.as_ref().is_some_and(|f| f.byte == byte && f.message.contains(part)), "{text}: {found:?}");
        }
    }
}

//! What a process wrote, made fit to be shown.

use crate::config::Secrets;

/// Text for people: secrets replaced, and nothing in it that moves a cursor or reverses a line.
pub(super) fn show(output: &[u8], secrets: &Secrets) -> String {
    escape(&secrets.redact(&String::from_utf8_lossy(output)))
}

/// The same for output whose beginning is lost, and with it perhaps that of a secret.
pub(super) fn show_end(output: &[u8], secrets: &Secrets) -> String {
    let text = secrets.redact(&String::from_utf8_lossy(output));
    let text = text.trim_start_matches(char::REPLACEMENT_CHARACTER);
    escape(&text[torn_secret(text, secrets)..])
}

/// How much at the front may be the end of a secret.
fn torn_secret(text: &str, secrets: &Secrets) -> usize {
    let longest_end = |secret: &String| {
        let ends = secret.char_indices().skip(1).map(|(at, _)| &secret[at..]);
        ends.into_iter()
            .find(|end| text.starts_with(end))
            .map(str::len)
    };
    secrets
        .values
        .iter()
        .filter_map(longest_end)
        .max()
        .unwrap_or(0)
}

/// Whether output tells of a port that somebody else has.
pub(crate) fn port_taken(text: &str) -> bool {
    const PHRASES: [&str; 5] = [
        "address already in use",
        "address in use",
        "eaddrinuse",
        "couldn't bind",
        "only one usage of each socket address",
    ];
    // Linux, macOS, Windows.
    const NUMBERS: [&str; 3] = ["98", "48", "10048"];

    let text = text.to_lowercase();
    let has_number = |line: &str| {
        line.match_indices("errno ")
            .chain(line.match_indices("os error "))
            .any(|(at, words)| {
                let rest = &line[at + words.len()..];
                let end = rest
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(rest.len());
                NUMBERS.contains(&&rest[..end])
            })
    };
    text.lines().any(|line| {
        PHRASES.iter().any(|phrase| line.contains(phrase))
            || has_number(line)
            || (line.contains("port") && line.contains("in use"))
    })
}

fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_unseen(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Characters that change how others look, or do not look like anything themselves.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        let raw = b"ok\n\x1b[2Jgone\r50%\0 \xff \xe2\x80\xaetxt.exe \xc3\xa9";
        assert_eq!(
            show(raw, &Secrets::default()),
            "ok\n\\u{1b}[2Jgone\\r50%\\u{0} \u{fffd} \\u{202e}txt.exe é"
        );
    }

    #[test]
    fn a_taken_port_is_known_by_what_servers_say_of_it() {
        for text in [
            "main: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080",
            "ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000)",
            "Error: Address already in use (os error 98)",
            "OSError: [Errno 48] Address already in use",
            "listen tcp 127.0.0.1:8080: bind: address already in use",
            "Error: listen EADDRINUSE: address already in use :::3000",
            "ready?\nPort 8080 is in use, trying another one",
        ] {
            assert!(port_taken(text), "{text}");
        }
    }

    #[test]
    fn other_failures_are_not_taken_for_it() {
        for text in [
            "",
            "Permission denied (os error 13)",
            "OSError: [Errno 980]",
            "the GPU is already in use",
            "listening on port 8080",
        ] {
            assert!(!port_taken(text), "{text}");
        }
    }
}

//! Makes what a process wrote safe to show.

use crate::secrets::Secrets;

/// Replaces secrets, and escapes characters that move the cursor of a terminal or reverse a line.
pub(crate) fn show(output: &[u8], secrets: &Secrets) -> String {
    escape(&secrets.redact(&String::from_utf8_lossy(output)))
}

/// The same for output whose beginning was dropped, and with it perhaps the beginning of a secret.
pub(super) fn show_end(output: &[u8], secrets: &Secrets) -> String {
    let text = secrets.redact(&String::from_utf8_lossy(output));
    let text = text.trim_start_matches(char::REPLACEMENT_CHARACTER);
    escape(&text[torn_secret(text, secrets)..])
}

/// How many bytes at the front may be the end of a secret.
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

fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_invisible(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Characters that have no shape of their own, or that change how other characters are shown.
fn is_invisible(c: char) -> bool {
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
    fn only_text_reaches_the_terminal() {
        let raw = b"ok\n\x1b[2Jgone\r50%\0 \xff \xe2\x80\xaetxt.exe \xc3\xa9";
        assert_eq!(
            show(raw, &Secrets::default()),
            "ok\n\\u{1b}[2Jgone\\r50%\\u{0} \u{fffd} \\u{202e}txt.exe é"
        );
    }
}

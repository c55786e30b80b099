//! Which key was likely meant.

/// The known word that this one is a misspelling of.
pub(super) fn nearest<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let word = plain(word);
    let close = known
        .clone()
        .into_iter()
        .map(|it| (distance(&word, &plain(it)), it));
    let (wrong, nearest) = close.min_by_key(|(distance, _)| *distance)?;
    if wrong <= (word.chars().count() / 4).min(2) {
        return Some(nearest);
    }
    // `timeout` for `timeoutSeconds`, `idleStop` for `idleStopMs`.
    let mut longer = known.into_iter().filter(|it| plain(it).starts_with(&word));
    longer.next().filter(|_| word.chars().count() >= 4)
}

/// Without what people spell in different ways: `base_url`, `baseURL`, `base-url`.
fn plain(word: &str) -> String {
    word.chars()
        .filter(|it| !"_- ".contains(*it))
        .flat_map(char::to_lowercase)
        .collect()
}

/// How many letters have to be put in, left out or changed to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<_> = (0..=other.chars().count()).collect();
    for (above, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (left, b) in other.chars().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[left + 1];
            row[left + 1] = changed.min(diagonal + 1).min(row[left] + 1);
        }
    }
    row[other.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 6] = [
        "baseUrl",
        "apiKey",
        "api",
        "localService",
        "timeoutSeconds",
        "idleStopMs",
    ];

    #[test]
    fn a_misspelt_key_is_recognized() {
        for (word, meant) in [
            ("baseURL", "baseUrl"),
            ("base_url", "baseUrl"),
            ("bseUrl", "baseUrl"),
            ("api-key", "apiKey"),
            ("localservice", "localService"),
            ("localServce", "localService"),
            ("local_services", "localService"),
            ("timeout", "timeoutSeconds"),
            ("idleStop", "idleStopMs"),
            ("idleStopMS", "idleStopMs"),
            ("idelStopMs", "idleStopMs"),
        ] {
            assert_eq!(nearest(word, KNOWN), Some(meant), "{word}");
        }
    }

    #[test]
    fn another_word_is_none_of_them() {
        for word in ["", "auth", "cost", "port", "region", "apx", "ur"] {
            assert_eq!(nearest(word, KNOWN), None, "{word}");
        }
    }
}

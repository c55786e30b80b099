//! Values that must never be shown.

/// Values that must never be shown.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    // Longest first, so that a value that contains another is replaced as a whole.
    pub(crate) values: Vec<String>,
}

impl Secrets {
    /// The text with every secret replaced by `[redacted]`.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, value| {
            text.replace(value, "[redacted]")
        })
    }
}

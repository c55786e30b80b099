//! What makes two launches the same one.

use std::{fmt, iter, sync::Arc};

/// What a launcher launches: see [`Launcher::identity`](super::Launcher::identity).
///
/// Two identities are the same if they have the same kind and the same parts in the same order. Its texts may be
/// secret: `Debug` shows the kind alone.
///
/// # Example
///
/// ```
/// use tower_local_service::launch::LaunchIdentity;
///
/// let of = |image: &str| LaunchIdentity::new("virtual machine").part(image).part("4 cores");
/// assert_eq!(of("llama.img"), of("llama.img"));
/// assert_ne!(of("llama.img"), of("gemma.img"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LaunchIdentity {
    /// What is shown of it: the kind, or the command.
    shown: Arc<str>,
    /// The arguments, as they may be shown.
    shown_args: Arc<[String]>,
    /// The length of each text comes before it, so that no two different lists look the same.
    bytes: Vec<u8>,
}

/// No command is as long, so that no identity of another kind is that of a process.
const OTHER_KIND: u64 = u64::MAX;

impl LaunchIdentity {
    /// Nothing but a kind, in words of its own: what the launcher starts.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        let mut identity = Self::of_command(kind, &[]);
        identity.number(OTHER_KIND);
        identity.part(kind)
    }

    /// Adds something that is not the same for all launches of this kind.
    #[must_use]
    pub fn part(mut self, part: impl AsRef<[u8]>) -> Self {
        self.text(part.as_ref());
        self
    }

    /// Without any text.
    pub(super) fn of_command(shown: &str, shown_args: &[String]) -> Self {
        Self {
            shown: shown.into(),
            shown_args: shown_args.into(),
            bytes: Vec::new(),
        }
    }

    pub(super) fn texts<T: AsRef<[u8]>>(
        &mut self,
        texts: impl IntoIterator<Item = T, IntoIter: Clone>,
    ) {
        let texts = texts.into_iter();
        self.number(texts.clone().count() as u64);
        for text in texts {
            self.text(text.as_ref());
        }
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is launched, as it may be shown.
    pub(crate) fn shown(&self) -> &Arc<str> {
        &self.shown
    }

    /// The same with its arguments.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        let args = self.shown_args.iter().map(String::as_str);
        iter::once(&*self.shown).chain(args)
    }
}

impl fmt::Debug for LaunchIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LaunchIdentity").field(&self.shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let of = |parts: &[&str]| {
            let mut identity = LaunchIdentity::new("kind");
            for part in parts {
                identity = identity.part(part);
            }
            identity
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", ""]), of(&["a"]));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
    }

    #[test]
    fn nothing_but_the_kind_is_shown() {
        let identity = LaunchIdentity::new("virtual machine").part("sk-12345678");
        assert_eq!(
            format!("{identity:?}"),
            r#"LaunchIdentity("virtual machine")"#
        );
    }
}

//! Why an instance was not started.

use std::{borrow::Cow, fmt, io};

/// Why an instance was not started.
///
/// # Example
///
/// ```
/// use tower_local_service::launch::LaunchError;
///
/// let error = LaunchError::new("the virtual machine", std::io::Error::other("no such image"))
///     .hint("build the image: `make llama.img`");
/// assert_eq!(error.to_string(), "the virtual machine: no such image");
/// ```
#[derive(Debug)]
pub struct LaunchError {
    pub(crate) what: Cow<'static, str>,
    pub(crate) error: io::Error,
    pub(crate) hint: Option<Cow<'static, str>>,
}

impl LaunchError {
    /// `what` could not be started. No secret may be in it, nor in the error.
    pub fn new(what: impl Into<Cow<'static, str>>, error: io::Error) -> Self {
        Self {
            what: what.into(),
            error,
            hint: None,
        }
    }

    /// This system cannot do it: [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    pub(crate) fn is_unsupported(&self) -> bool {
        self.error.kind() == io::ErrorKind::Unsupported && self.error.raw_os_error().is_none()
    }

    /// What to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.get_ref().map(|it| it as _)
    }
}

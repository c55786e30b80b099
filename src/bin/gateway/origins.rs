//! `--allow-origin`: the pages and programs of a browser that may use this gateway.

use std::{str::FromStr, sync::Arc};

use axum::http::{HeaderValue, Uri};

/// Origins that are allowed.
#[derive(Clone, Debug)]
pub(crate) struct Origins(Arc<[Origin]>);

/// As browsers write them: `scheme://host:port`, or `null` for files and sandboxes.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Exact(String),
    /// A `*` stands for any text there.
    Around {
        before: String,
        after: String,
    },
}

impl Origins {
    pub(crate) fn new(allowed: &[Origin]) -> Self {
        Self(allowed.into())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn allow(&self, origin: &HeaderValue) -> bool {
        let origin = origin.to_str().unwrap_or_default();
        !origin.is_empty() && self.0.iter().any(|allowed| allowed.is(origin))
    }
}

impl Origin {
    fn is(&self, origin: &str) -> bool {
        match self {
            Self::Exact(allowed) => allowed == origin,
            Self::Around { before, after } => origin
                .strip_prefix(before.as_str())
                .and_then(|rest| rest.strip_suffix(after.as_str()))
                .is_some_and(|any| !any.is_empty()),
        }
    }
}

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "write scheme, host and port, such as http://localhost:3000, or null, with at most \
                     one * for any text, such as vscode-webview://*";
        let text = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
        if let Some((before, after)) = text.split_once('*') {
            // `*` alone is every origin. Before another one there has to be a scheme.
            let is_whole = before.is_empty() || before.contains("://");
            let rest = after.contains(['*', '/']) || (before.is_empty() && !after.is_empty());
            let has_path = before
                .split_once("://")
                .is_some_and(|(_, it)| it.contains('/'));
            if !is_whole || rest || has_path {
                return Err(wrong);
            }
            return Ok(Self::Around {
                before: before.to_owned(),
                after: after.to_owned(),
            });
        }
        if text == "null" {
            return Ok(Self::Exact(text));
        }
        let parts = text.parse::<Uri>().map_err(|_| wrong)?.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(wrong);
        };
        if text != format!("{scheme}://{authority}") {
            return Err(wrong);
        }
        Ok(Self::Exact(text))
    }
}

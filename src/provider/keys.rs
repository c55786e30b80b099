//! The keys that a file has, known or not: which of them are likely misspelt.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::nearest::nearest;
use crate::error::Problem;

/// The keys that are read, and those that only `OpenClaw` reads.
const MODELS: (&[&str], &[&str]) = (
    &["preload", "providers", "resources"],
    &["mode", "catalogRefresh", "pricing"],
);
const PROVIDER: (&[&str], &[&str]) = (
    &[
        "baseUrl",
        "apiKey",
        "api",
        "timeoutSeconds",
        "headers",
        "request",
        "localService",
        "models",
    ],
    &[
        "auth",
        "authHeader",
        "maxTokens",
        "region",
        "injectNumCtxForOpenAICompat",
        "params",
        "agentRuntime",
    ],
);

/// The keys in a text, and nothing of its values.
pub(super) enum Keys {
    Of(Vec<(String, Self)>),
    None,
}

impl Keys {
    /// The keys that are skipped as unknown, and are likely meant to be known ones; and files to include,
    /// which are skipped, too.
    pub(super) fn misspelt(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        self.check_include("", &mut found);
        for (key, models) in self.entries() {
            if key != "models" {
                continue;
            }
            models.check_include("models.", &mut found);
            models.check(super::FILE, "models", MODELS, &mut found);
            for (key, providers) in models.entries() {
                if key != "providers" {
                    continue;
                }
                for (id, provider) in providers.entries() {
                    provider.check(id, "", PROVIDER, &mut found);
                }
            }
        }
        found
    }

    fn check_include(&self, place: &str, found: &mut Vec<Problem>) {
        const INCLUDE: &str = "$include";
        if self.entries().iter().any(|(key, _)| key == INCLUDE) {
            found.push(Problem::new(
                super::FILE,
                &format!("{place}{INCLUDE}"),
                "is not followed: write the providers into this file",
            ));
        }
    }

    fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Of(entries) => entries,
            Self::None => &[],
        }
    }

    fn check(
        &self,
        provider: &str,
        place: &str,
        (read, skipped): (&[&'static str], &[&str]),
        found: &mut Vec<Problem>,
    ) {
        for (key, _) in self.entries() {
            if read.contains(&&**key) || skipped.contains(&&**key) {
                continue;
            }
            let Some(meant) = nearest(key, read.iter().copied()) else {
                continue;
            };
            let message = if key == "baseURL" {
                "is read as `baseUrl`: spell it like that".to_owned()
            } else {
                format!("is no key that is read: did you mean `{meant}`?")
            };
            let dot = if place.is_empty() { "" } else { "." };
            found.push(Problem::new(
                provider,
                &format!("{place}{dot}{key}"),
                message,
            ));
        }
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Keys::Of(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Keys, A::Error> {
        while list.next_element::<Keys>()?.is_some() {}
        Ok(Keys::None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Keys, E> {
        Ok(Keys::None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Keys, E> {
        Ok(Keys::None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Keys, E> {
        Ok(Keys::None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Keys, E> {
        Ok(Keys::None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Keys, E> {
        Ok(Keys::None)
    }

    fn visit_unit<E>(self) -> Result<Keys, E> {
        Ok(Keys::None)
    }
}

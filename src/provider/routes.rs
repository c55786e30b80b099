//! Which provider a URL belongs to.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hasher as _, RandomState},
};

use http::Uri;

use crate::{
    config::{hash_origin, same_origin},
    service::LocalService,
};

/// Base URLs by origin, then by path: a look-up takes as long with a thousand as with one, and
/// allocates nothing.
#[derive(Default)]
pub(super) struct Routes {
    hasher: RandomState,
    // By the hash of the origin, since a request's has no owned form that could be looked up.
    origins: HashMap<u64, Vec<OfOrigin>>,
}

struct OfOrigin {
    base: Uri,
    /// Without the slash at its end, so that the whole origin is the empty path.
    paths: HashMap<Box<str>, Option<LocalService>>,
    longest: usize,
}

impl Routes {
    /// Where a base URL is there already, a service wins over none, and else the first one.
    pub(super) fn insert(&mut self, base: &Uri, service: Option<&LocalService>) {
        let Some(hash) = self.hash(base) else {
            return;
        };
        let origins = self.origins.entry(hash).or_default();
        let index = origins.iter().position(|it| same_origin(&it.base, base));
        let index = index.unwrap_or_else(|| {
            origins.push(OfOrigin {
                base: base.clone(),
                paths: HashMap::new(),
                longest: 0,
            });
            origins.len() - 1
        });
        let origin = &mut origins[index];
        let path = base.path().trim_end_matches('/');
        origin.longest = origin.longest.max(path.len());
        let held = origin.paths.entry(path.into()).or_default();
        if held.is_none() {
            *held = service.cloned();
        }
    }

    /// The service of the longest base URL that this one begins with, by whole segments.
    pub(super) fn resolve(&self, url: &Uri) -> Option<LocalService> {
        let origins = self.origins.get(&self.hash(url)?)?;
        let origin = origins.iter().find(|it| same_origin(&it.base, url))?;
        let path = url.path();
        let ends = path.match_indices('/').map(|(at, _)| at);
        // Ascending, to the end of the path itself; what no base URL is as long as is not looked up.
        let mut best = None;
        for end in ends
            .chain([path.len()])
            .take_while(|&end| end <= origin.longest)
        {
            best = origin.paths.get(&path[..end]).or(best);
        }
        best?.clone()
    }

    fn hash(&self, url: &Uri) -> Option<u64> {
        let mut hasher = self.hasher.build_hasher();
        hash_origin(url, &mut hasher)?;
        Some(hasher.finish())
    }
}

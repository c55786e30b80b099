//! Which provider a URL belongs to.

use http::Uri;

use crate::{
    config::{Origin, OwnedOrigin},
    service::LocalService,
};

/// Base URLs, sorted by origin and path, each there once. A look-up allocates nothing.
#[derive(Default)]
pub(super) struct Routes {
    routes: Vec<Route>,
    /// The length of the longest path.
    longest: usize,
}

struct Route {
    origin: OwnedOrigin,
    /// Without the slash at its end: that of a whole origin is empty.
    path: String,
    service: Option<LocalService>,
    rank: Rank,
}

/// Which of two with the same base URL wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Local,
    Remote,
    Unavailable,
}

impl Route {
    fn key(&self) -> (Origin<'_>, &str) {
        (self.origin.by_ref(), &self.path)
    }
}

impl Routes {
    /// Where two have the same base URL, the better rank wins, and else the first.
    pub(super) fn new<'a>(
        bases: impl Iterator<Item = (&'a Uri, Option<&'a LocalService>, Rank)>,
    ) -> Self {
        let route = |(base, service, rank): (&Uri, Option<&LocalService>, Rank)| {
            Some(Route {
                origin: OwnedOrigin::of(base)?,
                path: base.path().trim_end_matches('/').to_owned(),
                service: service.cloned(),
                rank,
            })
        };
        let mut routes: Vec<_> = bases.filter_map(route).collect();
        routes.sort_by(|a, b| (a.key(), a.rank).cmp(&(b.key(), b.rank)));
        routes.dedup_by(|later, first| later.key() == first.key());
        let longest = routes.iter().map(|it| it.path.len()).max();
        Self {
            longest: longest.unwrap_or_default(),
            routes,
        }
    }

    /// The service of the longest base URL that this one begins with, by whole segments.
    pub(super) fn resolve(&self, url: &Uri) -> Option<LocalService> {
        let (origin, path) = (Origin::of(url)?, url.path());
        let ends = path.match_indices('/').map(|(at, _)| at);
        let ends = ends
            .chain([path.len()])
            .take_while(|&end| end <= self.longest);
        let base = |end: usize| {
            let key = (origin, &path[..end]);
            self.routes.binary_search_by(|it| it.key().cmp(&key)).ok()
        };
        self.routes[ends.filter_map(base).last()?].service.clone()
    }
}

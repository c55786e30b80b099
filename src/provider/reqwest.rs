//! [`Providers`] as a resolver of reqwest's requests.

use reqwest::Request;

use super::Providers;
use crate::{middleware::Resolve, service::LocalService};

impl Resolve<Request> for Providers {
    fn resolve(&self, request: &Request) -> Option<LocalService> {
        self.resolve_uri(&request.url().as_str().parse().ok()?)
    }
}

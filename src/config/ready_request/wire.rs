//! The request as files have it.

use serde::Deserialize;

use super::{Json, ReadyRequest};

#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a ready request"
)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::config) struct Wire {
    /// Its method. POST if left out and there is a `body`, or else GET.
    #[serde(default)]
    method: Option<String>,
    /// Its path, which begins with `/`, at the origin of `baseUrl`.
    path: String,
    /// Its body: a string as it is, anything else as JSON.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<serde_json::Value>"))]
    body: Option<Json>,
    /// Statuses that mean ready. Any 2xx if left out.
    #[serde(default)]
    #[cfg_attr(test, schemars(inner(range(min = 100, max = 999))))]
    status: Option<Vec<u16>>,
}

impl Wire {
    pub(in crate::config) fn into_request(self) -> ReadyRequest {
        let default = if self.body.is_some() { "POST" } else { "GET" };
        let method = self.method.unwrap_or_else(|| default.to_owned());
        let mut request = ReadyRequest::new(method, self.path);
        request = match self.body {
            Some(Json::Text(text)) => request.body(text),
            Some(Json::Other(json)) => request.json(json),
            None => request,
        };
        request.statuses = self.status;
        request
    }
}

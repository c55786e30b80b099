//! What a request asks for: a verb, a resource, and the name of an object.

use http::{Method, request::Parts};
use serde_json::{Value, json};

use super::status::{self, Answer};

/// A kind of objects.
#[derive(Debug)]
pub(super) struct Resource {
    /// As in paths: `deployments`.
    pub(super) name: &'static str,
    pub(super) group: &'static str,
    pub(super) kind: &'static str,
    /// Whether a PUT of an object that is not there makes it.
    pub(super) put_creates: bool,
    /// Whether a PUT without a version replaces whatever is there.
    pub(super) put_without_version: bool,
    /// Whether `generation` counts changes of its `spec`, and its `status` is written by another path only.
    pub(super) has_status: bool,
}

/// Group, name, kind, whether a PUT creates, whether it needs no version, whether it has a status.
#[rustfmt::skip]
static RESOURCES: &[Resource] = &[
    resource("apps", "deployments", "Deployment", [false, true, true]),
    resource("apps", "statefulsets", "StatefulSet", [false, true, true]),
    resource("coordination.k8s.io", "leases", "Lease", [true, false, false]),
    resource("discovery.k8s.io", "endpointslices", "EndpointSlice", [false, true, false]),
    resource("", "endpoints", "Endpoints", [true, true, false]),
    resource("", "events", "Event", [true, true, false]),
    resource("", "namespaces", "Namespace", [false, true, false]),
    resource("", "pods", "Pod", [false, true, true]),
    resource("", "services", "Service", [true, true, false]),
];

const fn resource(
    group: &'static str,
    name: &'static str,
    kind: &'static str,
    [put_creates, put_without_version, has_status]: [bool; 3],
) -> Resource {
    Resource {
        name,
        group,
        kind,
        put_creates,
        put_without_version,
        has_status,
    }
}

impl Resource {
    pub(super) fn api_version(&self) -> String {
        match self.group {
            "" => "v1".to_owned(),
            group => format!("{group}/v1"),
        }
    }

    /// As errors name it: `deployments.apps`.
    pub(super) fn qualified(&self) -> String {
        match self.group {
            "" => self.name.to_owned(),
            group => format!("{}.{group}", self.name),
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// As a role names it.
    pub(super) verb: &'static str,
    pub(super) resource: &'static Resource,
    pub(super) namespace: String,
    /// Empty for a list.
    pub(super) name: String,
    /// Such as `status`; empty for the object itself.
    pub(super) part: String,
    pub(super) query: Vec<(String, String)>,
    /// Who says that it changes fields.
    pub(super) manager: String,
    pub(super) content_type: String,
    pub(super) body: Value,
    /// Whether the program under test asks, and not the test.
    pub(super) of_program: bool,
}

impl Call {
    /// What a request asks for, or the answer to one that asks for nothing that is there.
    pub(super) fn new(parts: &Parts, body: &[u8], of_program: bool) -> Result<Self, Box<Answer>> {
        let path = parts.uri.path();
        let segments: Vec<_> = path.split('/').filter(|it| !it.is_empty()).collect();
        let place = Place::new(&segments).ok_or_else(|| Box::new(status::no_such_path()))?;
        let query = parameters(parts.uri.query().unwrap_or_default());
        let text = |name| parts.headers.get(name).and_then(|it| it.to_str().ok());
        let agent = text("user-agent").unwrap_or_default().split('/').next();
        let manager = query.iter().find(|it| it.0 == "fieldManager");
        let manager = manager
            .map_or(agent.unwrap_or_default(), |it| &it.1)
            .to_owned();
        let is_true = |value: &str| matches!(value, "1" | "true");
        let watches = query.iter().any(|it| it.0 == "watch" && is_true(&it.1));
        let verb = verb(&parts.method, place.name, watches);
        let body = match body {
            [] => Ok(Value::Null),
            body => serde_json::from_slice(body),
        };
        Ok(Self {
            verb: verb.ok_or_else(|| Box::new(status::no_such_path()))?,
            resource: place.resource,
            namespace: place.namespace.to_owned(),
            name: place.name.to_owned(),
            part: place.part.to_owned(),
            query,
            manager,
            content_type: text("content-type").unwrap_or_default().to_owned(),
            body: body.map_err(|error| Box::new(status::bad_request(&error.to_string())))?,
            of_program,
        })
    }

    /// The same of an object that gets its name from its body.
    pub(super) fn with_name(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self.clone()
        }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|it| it.0 == name)?;
        Some(found.1.as_str())
    }

    /// As a role names it: `pods/log`.
    pub(super) fn of(&self) -> String {
        let slash = if self.part.is_empty() { "" } else { "/" };
        format!("{}{slash}{}", self.resource.name, self.part)
    }

    /// `patch deployments`.
    pub(super) fn kind(&self) -> String {
        format!("{} {}", self.verb, self.of())
    }

    /// `patch deployments gemma`.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.kind(), self.name)
    }
}

/// The kinds of an API, which are listed at its path, but for those that are unknown.
pub(super) fn resources_at(path: &str, unknown: &[String]) -> Option<Value> {
    let path = path.trim_start_matches('/').trim_end_matches('/');
    let version = path
        .strip_prefix("apis/")
        .or_else(|| path.strip_prefix("api/"))?;
    let is_it =
        |it: &&Resource| it.api_version() == version && !unknown.iter().any(|no| no == it.name);
    let resources: Vec<_> = RESOURCES.iter().filter(is_it).collect();
    let resources = resources.iter().map(|it| {
        json!({ "name": it.name, "kind": it.kind, "namespaced": it.name != "namespaces", "singularName": "", "verbs": [] })
    });
    let resources: Vec<_> = resources.collect();
    (!resources.is_empty()).then(|| {
        json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources })
    })
}

/// What a path names.
struct Place<'a> {
    resource: &'static Resource,
    namespace: &'a str,
    name: &'a str,
    part: &'a str,
}

impl<'a> Place<'a> {
    fn new(segments: &[&'a str]) -> Option<Self> {
        let (group, rest) = match segments {
            ["api", "v1", rest @ ..] => ("", rest),
            ["apis", group, "v1", rest @ ..] => (*group, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let [resource, rest @ ..] = rest else {
            return None;
        };
        let is_it = |it: &&Resource| it.group == group && it.name == *resource;
        Some(Self {
            resource: RESOURCES.iter().find(is_it)?,
            namespace,
            name: rest.first().copied().unwrap_or_default(),
            part: rest.get(1).copied().unwrap_or_default(),
        })
    }
}

fn parameters(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter_map(|it| it.split_once('='));
    let pairs = pairs.map(|(name, value)| (decoded(name), decoded(value)));
    pairs.collect()
}

/// Without the name of the object.
pub(super) fn kind_of(line: &str) -> &str {
    line.rsplit_once(' ').map_or(line, |it| it.0)
}

fn verb(method: &Method, name: &str, watches: bool) -> Option<&'static str> {
    Some(match *method {
        Method::GET if watches => "watch",
        Method::GET if name.is_empty() => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => return None,
    })
}

/// `%2F` and its like, and `+`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = std::str::from_utf8(after.get(..2).unwrap_or_default());
        let code = code.ok().and_then(|it| u8::from_str_radix(it, 16).ok());
        let (byte, length) = match (first, code) {
            (b'%', Some(code)) => (code, 3),
            (b'+', _) => (b' ', 1),
            (other, _) => (*other, 1),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

//! All objects, and the history of their changes. One version counts them all.

use std::collections::BTreeMap;

use serde_json::Value;

/// Resource, namespace and name.
pub(super) type Key = (&'static str, String, String);

/// One change of one object, for watches.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) key: Key,
    /// As it was before; null if it was not there.
    pub(super) before: Value,
    /// As it is; of one that was deleted, as it was at its end.
    pub(super) after: Value,
    pub(super) deleted: bool,
}

pub(super) struct Store {
    version: u64,
    objects: BTreeMap<Key, Value>,
    changes: Vec<Change>,
    /// The version before which the history is forgotten.
    oldest: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            // Not from zero, which means "any version" to a watch.
            version: 1000,
            objects: BTreeMap::new(),
            changes: Vec::new(),
            oldest: 0,
        }
    }
}

impl Store {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// Those of a resource, in one namespace, or in all if it is empty.
    pub(super) fn list<'a>(
        &'a self,
        resource: &'static str,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Value> {
        let is_it = move |key: &Key| is_in(key, resource, namespace);
        let objects = self.objects.iter().filter(move |(key, _)| is_it(key));
        objects.map(|(_, object)| object)
    }

    /// Makes or replaces it. Returns it with its new version.
    pub(super) fn put(&mut self, key: Key, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let before = self.objects.insert(key.clone(), object.clone());
        self.changes.push(Change {
            version: self.version,
            key,
            before: before.unwrap_or_default(),
            after: object.clone(),
            deleted: false,
        });
        object
    }

    pub(super) fn delete(&mut self, key: &Key) {
        let Some(before) = self.objects.remove(key) else {
            return;
        };
        self.version += 1;
        let mut after = before.clone();
        after["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.changes.push(Change {
            version: self.version,
            key: key.clone(),
            before,
            after,
            deleted: true,
        });
    }

    pub(super) fn compact(&mut self) {
        self.oldest = self.version;
        self.changes.clear();
    }

    /// What has changed after a version.
    pub(super) fn changes_after(&self, version: u64) -> &[Change] {
        let first = self.changes.partition_point(|it| it.version <= version);
        &self.changes[first..]
    }
}

pub(super) fn is_in(key: &Key, resource: &str, namespace: &str) -> bool {
    key.0 == resource && (namespace.is_empty() || key.1 == namespace)
}

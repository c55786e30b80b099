use super::*;

fn service(providers: &Providers, id: &str) -> LocalService {
    providers.get(id).unwrap().service.unwrap()
}

fn edited(mut provider: Value, field: &str, value: Value) -> Value {
    provider["localService"][field] = value;
    provider
}

#[test]
fn a_reload_tells_what_was_added_changed_removed_and_kept() {
    let providers = registered(json!({
        "edited": local(9330), "gone": local(9331), "same": local(9332),
    }));
    let layer = providers.clone();
    let same = service(&providers, "same");
    let changes = reload(
        &providers,
        json!({
            "edited": edited(local(9330), "args", json!(["--more"])),
            "new": local(9333),
            "same": local(9332),
        }),
    );
    assert_eq!(changes.added, ["new"]);
    assert_eq!(changes.changed, ["edited"]);
    assert_eq!(changes.removed, ["gone"]);
    assert_eq!(changes.kept, ["same"]);

    assert_eq!(layer.ids(), ["edited", "new", "same"]);
    assert!(service(&layer, "same").is(&same), "the very same handle");
    let edited = service(&layer, "edited");
    assert_eq!(args_of(&edited), ["--more"]);
    assert_eq!(service_for(&layer, "http://127.0.0.1:9331/v1"), None);
    let new = service_for(&layer, "http://127.0.0.1:9333/v1");
    assert_eq!(new.as_deref(), Some("new"));
}

#[test]
fn the_registry_holds_what_the_file_says() {
    let registry = Registry::new();
    let config = providers(json!({ "a": local(9334), "b": local(9335) }));
    let handle = register(config, &registry).unwrap();
    let other = LocalServiceConfig::new("/bin/false");
    let other = registry.service("other", "http://127.0.0.1:9336", other);
    drop(other.unwrap());
    // Of the same identity: the former handle makes place for the new one.
    let longer = edited(local(9335), "idleStopMs", json!(9));
    reload(&handle, json!({ "b": longer, "c": local(9337) }));
    let names = registry.services();
    let mut names: Vec<_> = names.iter().map(LocalService::name).collect();
    names.sort_unstable();
    assert_eq!(names, ["b", "c", "other"]);
    assert!(registry.has(&service(&handle, "b")));
}

#[test]
fn a_header_is_a_change_that_leaves_the_process_alone() {
    let providers = registered(json!({ "a": local(9338) }));
    let before = service(&providers, "a");
    let mut value = local(9338);
    value["headers"] = json!({ "x-a": "b" });
    assert_eq!(reload(&providers, json!({ "a": value })).changed, ["a"]);
    // Probes send it, so the handle is another one. Its process is the same.
    let after = service(&providers, "a");
    assert!(Arc::ptr_eq(after.client(), before.client()));
    assert_eq!(after.settings().target.headers["x-a"], "b");
    assert_eq!(providers.get("a").unwrap().headers["x-a"], "b");
}

#[test]
fn what_is_refused_changes_nothing() {
    let handle = registered(json!({ "a": local(9339) }));
    let before = service(&handle, "a");
    let wrong = providers(json!({ "a": { "baseUrl": "v1" }, "b": local(9340) }));
    handle.reload(wrong).unwrap_err();
    assert_eq!(handle.ids(), ["a"]);
    assert!(service(&handle, "a").is(&before));
}

#[tokio::test]
async fn what_was_retired_by_hand_comes_back_with_a_reload() {
    let registry = Registry::new();
    let handle = register(providers(json!({ "a": local(9341) })), &registry).unwrap();
    registry.retire(&service(&handle, "a")).await;
    assert!(service(&handle, "a").is_shut_down());
    assert_eq!(reload(&handle, json!({ "a": local(9341) })).kept, ["a"]);
    assert!(!service(&handle, "a").is_shut_down());
}

fn sharing(resources: Value, needs: Value) -> ProvidersConfig {
    let service = edited(local(9341), "needs", needs);
    file(json!({ "models": { "resources": resources, "providers": { "chat": service } } }))
}

/// How much there is of it.
fn capacity(registry: &Registry, name: &str) -> Option<u64> {
    let resources = registry.resources();
    let found = resources.iter().find(|it| it.name == name)?;
    Some(found.capacity.get())
}

#[test]
fn the_file_says_how_much_there_is_until_it_says_something_else() {
    let registry = Registry::new();
    let config = sharing(
        json!({ "reload-gpu": "24GB" }),
        json!({ "reload-gpu": "18GB" }),
    );
    let providers = register(config, &registry).unwrap();
    assert_eq!(capacity(&registry, "reload-gpu"), Some(24_000_000_000));
    let before = service(&providers, "chat");

    let less = sharing(
        json!({ "reload-gpu": "12GB" }),
        json!({ "reload-gpu": "10GB" }),
    );
    assert_eq!(providers.reload(less).unwrap().changed, ["chat"]);
    assert_eq!(capacity(&registry, "reload-gpu"), Some(12_000_000_000));
    assert!(Arc::ptr_eq(
        service(&providers, "chat").client(),
        before.client()
    ));

    // What cannot work changes nothing.
    let too_much = sharing(
        json!({ "reload-gpu": 5 }),
        json!({ "reload-gpu": 6, "reload-cpu": 1 }),
    );
    let refused = providers.reload(too_much).unwrap_err();
    let ErrorKind::InvalidConfig { problems } = refused.kind() else {
        panic!("{refused}");
    };
    let fields: Vec<_> = problems.iter().map(|it| &*it.field).collect();
    assert_eq!(
        fields,
        [
            "localService.needs.reload-cpu",
            "localService.needs.reload-gpu"
        ]
    );
    assert_eq!(capacity(&registry, "reload-gpu"), Some(12_000_000_000));

    drop(providers);
    assert_eq!(capacity(&registry, "reload-gpu"), None);
}

#[test]
fn of_several_that_say_how_much_there_is_the_smallest_counts() {
    let (registry, other) = (Registry::new(), Registry::new());
    registry.capacity("several-gpu", 10);
    other.capacity("several-gpu", 20);
    assert_eq!(capacity(&other, "several-gpu"), Some(10));
    let config = sharing(json!({ "several-gpu": 30 }), json!({ "several-gpu": 11 }));
    assert!(register(config, &other).is_err(), "there are only 10");
    registry.capacity("several-gpu", 40);
    assert_eq!(capacity(&other, "several-gpu"), Some(20));
    drop(other);
    assert_eq!(capacity(&registry, "several-gpu"), Some(40));
}

//! Any text is a configuration, or is refused with what is wrong in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_local_service::{Error, ErrorKind, LocalServiceConfig, Registry, provider::ProvidersConfig};

fuzz_target!(|text: &str| {
    if let Some(providers) = accepted(ProvidersConfig::from_json5(text)) {
        if let Some(providers) = accepted(providers.register(&Registry::new())) {
            for id in providers.ids() {
                assert!(providers.get(&id).is_some(), "{id:?}");
                let model = format!("{id}/model");
                assert!(providers.resolve_model(&model).is_some(), "{model:?}");
            }
            drop(providers.primary_model());
        }
    }
    if let Ok(config) = json5::from_str::<LocalServiceConfig>(text) {
        let service = Registry::new().service("fuzzed", "http://127.0.0.1:8080/v1", config);
        if let Some(service) = accepted(service) {
            drop(format!("{service:?}"));
        }
    }
});

fn accepted<T>(result: Result<T, Error>) -> Option<T> {
    result
        .inspect_err(|error| {
            let is_told = matches!(error.kind(), ErrorKind::InvalidConfig { problems, .. } if !problems.is_empty());
            assert!(is_told && !error.to_string().is_empty(), "{error:?}");
        })
        .ok()
}

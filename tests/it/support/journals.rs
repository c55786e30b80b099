//! What led to a failure: the journals of a test's services, in lines that can be replayed.

use std::{cell::RefCell, panic, sync::Once};

use tower_local_service::{LocalServiceConfig, Record, Registry};

/// A service that this test has, or had, a handle of.
struct Known {
    name: String,
    base_url: String,
    config: LocalServiceConfig,
}

thread_local! {
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// Prints the service's journal if this test fails.
///
/// It keeps no handle, which would keep the service alive, but what makes one: a handle of the same
/// identity belongs to the same process. A panic hook runs before anything of the test is dropped.
pub(crate) fn print_if_it_fails(name: &str, base_url: &str, config: &LocalServiceConfig) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            report(info);
            print_all();
        }));
    });
    let known = Known {
        name: name.to_owned(),
        base_url: base_url.to_owned(),
        config: config.clone(),
    };
    KNOWN.with_borrow_mut(|all| all.push(known));
}

/// Each journal once, even if a test panics more than once.
fn print_all() {
    let Ok(known) = KNOWN.try_with(RefCell::take) else {
        return;
    };
    for Known {
        name,
        base_url,
        config,
    } in known
    {
        let Ok(service) = Registry::new().service(&*name, base_url, config) else {
            continue;
        };
        let lines = lines(&service.journal());
        if !lines.is_empty() {
            #[expect(clippy::print_stdout, reason = "shown with the test that failed")]
            {
                println!("journal of {name}; tests/README.md says how to replay it:\n{lines}");
            }
        }
    }
}

/// One line for each record.
pub(crate) fn lines(journal: &[Record]) -> String {
    let line = |record| serde_json::to_string(record).expect("plain data") + "\n";
    journal.iter().map(line).collect()
}

//! The guide, in chapters. It is part of the documentation only, and not of the crate.
//!
//! Where to start:
//!
//! - You write a client, an agent or a desktop program: [clients], then [errors].
//! - You write a command-line program: the [FAQ](faq), its first question.
//! - You want one address for all of your models: [gateway], then [configuration files](config_files).
//! - Something does not work: [errors by symptom](errors#by-symptom), [observability].
//!
//! | chapter | what is in it |
//! |---|---|
//! | [clients] | reqwest, hyper-util, async-openai, rig, axum, blocking code; sending a request again |
//! | [lifecycle] | what happens step by step, and what you can rely on |
//! | [configuration] | each key with its default, and recipes for each server |
//! | [config_files] | files in the shape of OpenClaw's, variables, reload |
//! | [layer_order] | timeouts, retries and limits: outside or inside |
//! | [errors] | what an error says, and what to do about it, by symptom |
//! | [gateway] | one address for all models: run it, reach it, build your own |
//! | [beyond_one_machine] | workloads of a Kubernetes cluster, scaled from zero; Knative and KEDA |
//! | [sharing] | servers that already run, and several programs with one server |
//! | [several_models] | two models that do not fit into memory together |
//! | [leases] | by hand, for WebSockets and for jobs |
//! | [observability] | status, events, output, journal |
//! | [performance] | what it costs, and why |
//! | [platforms] | systems, containers, limits |
//! | [comparison] | llama-swap, OpenClaw and others, and when to use them |
//! | [faq] | questions that people ask first |
//! | [glossary] | the words |

#[doc = include_str!("clients.md")]
#[doc = ""]
#[cfg_attr(
    feature = "reqwest-middleware",
    doc = "[`EnsureLocalServiceMiddleware`]: crate::EnsureLocalServiceMiddleware"
)]
#[cfg_attr(
    not(feature = "reqwest-middleware"),
    doc = "[`EnsureLocalServiceMiddleware`]: crate#features"
)]
#[cfg_attr(feature = "retry", doc = "[`ServerGone`]: crate::retry::ServerGone")]
#[cfg_attr(not(feature = "retry"), doc = "[`ServerGone`]: crate#features")]
pub mod clients {}

/// What happens from the first request to the end of the process, and what you can rely on.
///
#[doc = include_str!("phases.md")]
#[doc = ""]
#[doc = include_str!("lifecycle.md")]
pub mod lifecycle {}

#[doc = include_str!("configuration.md")]
pub mod configuration {}

#[doc = include_str!("launching.md")]
pub mod launching {}

#[doc = include_str!("config_files.md")]
pub mod config_files {}

#[doc = include_str!("layer_order.md")]
pub mod layer_order {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("gateway.md")]
pub mod gateway {}

#[doc = include_str!("beyond_one_machine.md")]
pub mod beyond_one_machine {}

#[doc = include_str!("sharing.md")]
pub mod sharing {}

#[doc = include_str!("several_models.md")]
pub mod several_models {}

#[doc = include_str!("leases.md")]
pub mod leases {}

#[doc = include_str!("observability.md")]
pub mod observability {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("platforms.md")]
pub mod platforms {}

#[doc = include_str!("comparison.md")]
pub mod comparison {}

#[doc = include_str!("faq.md")]
pub mod faq {}

#[doc = include_str!("glossary.md")]
pub mod glossary {}

//! L7: workloads of Kubernetes.
//!
//! A test has a `Cluster`: a namespace of its own in a fake API server of its own, or in the real one of `.ci/kubernetes`, whose
//! kubeconfig `KUBERNETES_API` names. A `Kubelet` plays the controllers and the kubelet of a workload in either: its pods are
//! processes of a `Fixture`.
//!
//! ```rust,ignore
//! #[tokio::test]
//! async fn a_request_scales_a_deployment_from_zero() {
//!     let fixture = Fixture::new().with("--loading", 50);
//!     let cluster = Cluster::new().await;
//!     cluster.workload(DEPLOYMENTS, "w").await;
//!     let _kubelet = Kubelet::of(&cluster, DEPLOYMENTS, "w", &fixture).after(ms(50)).start();
//!     // The first pod is on the port of the fixture, so `fixture.base_url()` is the URL of the Service. A port-forward to
//!     // port 8080 of any pod reaches its server in the fake; a real API server without a kubelet has none.
//!     let service = service(&cluster, Workload::deployment(cluster.namespace(), "w"), &fixture.base_url());
//!     assert_eq!(ask(&service, &fixture.url("/hello")).await.unwrap().1, "hello");
//!     assert_eq!(cluster.replicas(DEPLOYMENTS, "w").await, 1);
//!     drop(service);
//!     becomes("it is scaled to zero", async || cluster.replicas(DEPLOYMENTS, "w").await == 0).await;
//! }
//! ```
//!
//! The program under test takes `cluster.kubeconfig()`, and has the rights that `examples/kubernetes/rbac.yaml` gives it, and no
//! other: `cluster.forbid("patch", "deployments")` takes one away. A test that makes calls fail or counts them begins with
//! `Cluster::with_faults`, which a real API server does not have, and says to `cluster.faults()` what is to happen: `next(3,
//! "patch deployments", Fault::Status(409))`, `always("*", Fault::Hang)`, `restart`, `compact`, `silence_watches`. What the test
//! and the kubelet ask is neither counted nor made to fail. `kubelet.fails(Trouble::ImagePullBackOff)` makes pods that do not
//! become ready.

mod api;
mod cluster;
mod fake;
mod faults;
mod kubelet;
mod newer;
mod objects;
mod pods;
mod rights;
mod thread;
mod troubles;
mod watches;
mod workload;

pub(crate) use self::workload::named;

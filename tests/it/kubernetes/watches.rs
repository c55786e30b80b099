//! Watches that the program may not have, or that the API server does not serve.

use tower_local_service::kubernetes::Workload;

use super::{
    fake::Fault,
    workload::{W, cluster_of, faulty_cluster_of, of_program, service, workload},
};
use crate::support::{Fixture, ask, ms};

#[tokio::test]
async fn a_missing_right_to_watch_what_requests_need_is_named() {
    let (fixture, here) = (Fixture::new(), Fixture::new());
    let (cluster, _kubelet) = cluster_of(&fixture).await;
    cluster.forbid("watch", "endpointslices").await;
    let forwarded = of_program(&cluster, Workload::deployment(cluster.namespace(), W)).port(8080);
    let service = service(forwarded, &here.base_url());
    let error = ask(&service, &here.url("/hello")).await.unwrap_err();
    let error = error.to_string();
    for said in ["watch", "endpointslices", cluster.namespace(), "rbac.yaml"] {
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn lists_do_not_take_the_place_of_watches_that_fail() {
    let fixture = Fixture::new();
    let Some((cluster, _kubelet)) = faulty_cluster_of(&fixture).await else {
        return;
    };
    let service = service(workload(&cluster), &fixture.base_url());
    let lease = service.acquire().await.unwrap();
    for fault in [Fault::Status(403), Fault::Status(500)] {
        cluster.faults().always("watch *", fault);
        cluster.faults().cut().await;
        cluster.faults().forget_calls();
        // Not until something happens, as nothing should.
        tokio::time::sleep(ms(5000)).await;
        for resource in ["deployments", "endpointslices", "pods"] {
            let lists = cluster.faults().count(&format!("list {resource}"));
            assert!(
                lists <= 7,
                "{fault:?}: {resource} were listed {lists} times"
            );
        }
        cluster.faults().heal();
    }
    drop(lease);
}

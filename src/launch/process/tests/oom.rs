//! Which processes the kernel ends first when memory is short.

use super::*;

fn score_of(pid: u32) -> i32 {
    let score = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    score.trim().parse().unwrap()
}

#[tokio::test]
async fn processes_started_before_the_score_was_set_get_it_too_but_not_the_watchdog() {
    let process = up("sh -c 'sleep 1000 & echo up; wait' & wait").await;
    let group = process.group.id();
    let inherited = score_of(group);
    os::adjust_oom_scores(group, OomScoreAdj::Exactly(700));
    let members = os::members(group).unwrap();
    assert_eq!(members.len(), 3, "the service, its child and that one's");
    assert!(members.into_iter().all(|pid| score_of(pid) == 700));
    assert_eq!(score_of(group), inherited);
    finish(process).await;
}

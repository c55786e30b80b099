//! Who wants to be woken when a run is over: many tasks, none of which allocates for it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

/// A place for each task that waits. The places are used again, so there are as many as tasks ever
/// waited at the same time.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// A place among them; dropping it gives it back.
///
/// It may be moved while it waits, as tokio's `Notified` may not: a body that holds one is `Unpin`
/// wherever the body around which it is put is.
#[derive(Debug)]
pub(crate) struct Place {
    of: Arc<Wakers>,
    index: usize,
}

impl Wakers {
    pub(crate) fn place(self: &Arc<Self>) -> Place {
        let mut places = self.lock();
        let index = places.free.pop().unwrap_or_else(|| {
            places.wakers.push(None);
            places.wakers.len() - 1
        });
        drop(places);
        Place {
            of: self.clone(),
            index,
        }
    }

    /// Wakes all that wait. They go on waiting until their places are given back.
    pub(crate) fn wake_all(&self) {
        let waiting: Vec<_> = self.lock().wakers.iter().flatten().cloned().collect();
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Wakes the task from now on.
    pub(crate) fn wait(&self, cx: &Context<'_>) {
        let mut places = self.of.lock();
        let waker = &mut places.wakers[self.index];
        if waker.as_ref().is_some_and(|it| it.will_wake(cx.waker())) {
            return;
        }
        let former = waker.replace(cx.waker().clone());
        // The last waker of a task takes the task with it, and that may give a place back.
        drop(places);
        drop(former);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.of.lock();
        let former = places.wakers[self.index].take();
        places.free.push(self.index);
        drop(places);
        drop(former);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn who_waits_is_woken_each_time_and_who_left_is_not() {
        let (wakers, count) = (Arc::new(Wakers::default()), Arc::new(Count::default()));
        let waker = count.clone().into();
        let cx = Context::from_waker(&waker);
        let (first, second) = (wakers.place(), wakers.place());
        first.wait(&cx);
        first.wait(&cx);
        second.wait(&cx);
        wakers.wake_all();
        assert_eq!(count.0.load(SeqCst), 2);
        drop(second);
        wakers.wake_all();
        assert_eq!(count.0.load(SeqCst), 3);
    }

    #[test]
    fn a_place_is_used_again_without_the_waker_of_who_had_it() {
        let (wakers, count) = (Arc::new(Wakers::default()), Arc::new(Count::default()));
        let waker = count.clone().into();
        for _ in 0..3 {
            wakers.place().wait(&Context::from_waker(&waker));
        }
        assert_eq!(wakers.lock().wakers.len(), 1);
        let _place = wakers.place();
        wakers.wake_all();
        assert_eq!(count.0.load(SeqCst), 0);
    }

    /// Keeps a place of the wakers that it waits in, as a task keeps its body.
    #[expect(dead_code, reason = "that it is dropped is its use")]
    struct Task(Place);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn the_last_waker_of_a_task_may_take_another_place_with_it() {
        let wakers = Arc::new(Wakers::default());
        let place = wakers.place();
        let task = Arc::new(Task(wakers.place())).into();
        place.wait(&Context::from_waker(&task));
        drop(task);
        drop(place);
        assert_eq!(wakers.lock().free.len(), 2);
    }
}

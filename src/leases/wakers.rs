//! Which tasks to wake when an instance ends. Waiting takes no allocation of its own.

use std::{
    mem, ptr,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, RawWakerVTable, Waker},
};

/// The tasks that wait, each in a slot. Slots are used again, so there are as many as tasks ever waited
/// at the same time.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Slot>,
    first_free: Option<usize>,
}

#[derive(Debug)]
enum Slot {
    Taken(Waker),
    Free { next: Option<usize> },
}

/// A slot that is taken, until it is given back with [`Wakers::leave`].
///
/// It may be moved while its task waits, as tokio's `Notified` may not: a body that holds one is `Unpin`
/// wherever the body that it wraps is.
#[derive(Debug)]
pub(crate) struct Registration {
    slot: usize,
    waker: Identity,
}

/// Which waker is in the slot, so that the next poll of the same task needs no lock. The waker in the slot
/// lives as long as this, so no other has these addresses.
#[derive(Debug)]
struct Identity {
    data: usize,
    vtable: &'static RawWakerVTable,
}

impl Wakers {
    /// Wakes the task from now on: in the slot that the registration is, or in a new one.
    #[inline]
    pub(crate) fn wait(&self, registration: &mut Option<Registration>, cx: &Context<'_>) {
        let waker = cx.waker();
        match registration {
            Some(registration) if registration.waker.is_of(waker) => {}
            Some(registration) => self.change(registration, waker.clone()),
            None => *registration = Some(self.enter(waker.clone())),
        }
    }

    fn enter(&self, waker: Waker) -> Registration {
        let identity = Identity::of(&waker);
        let taken = Slot::Taken(waker);
        Registration {
            slot: self.lock().take(taken),
            waker: identity,
        }
    }

    fn change(&self, registration: &mut Registration, waker: Waker) {
        registration.waker = Identity::of(&waker);
        let former = self.lock().replace(registration.slot, Slot::Taken(waker));
        // Outside of the lock: the last waker of a task takes the task with it, and that may leave a slot.
        drop(former);
    }

    /// Gives the slot back, if one was taken.
    #[inline]
    pub(crate) fn leave(&self, registration: &mut Option<Registration>) {
        if let Some(Registration { slot, .. }) = registration.take() {
            self.free(slot);
        }
    }

    fn free(&self, slot: usize) {
        let mut slots = self.lock();
        let next = slots.first_free.replace(slot);
        let former = slots.replace(slot, Slot::Free { next });
        drop(slots);
        drop(former);
    }

    /// Wakes all tasks that wait. They stay in their slots.
    pub(crate) fn wake_all(&self) {
        let slots = self.lock();
        let waker = |slot: &Slot| match slot {
            Slot::Taken(waker) => Some(waker.clone()),
            Slot::Free { .. } => None,
        };
        let waiting: Vec<_> = slots.slots.iter().filter_map(waker).collect();
        drop(slots);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn take(&mut self, taken: Slot) -> usize {
        let Some(slot) = self.first_free else {
            self.slots.push(taken);
            return self.slots.len() - 1;
        };
        if let Slot::Free { next } = self.replace(slot, taken) {
            self.first_free = next;
        }
        slot
    }

    fn replace(&mut self, slot: usize, with: Slot) -> Slot {
        mem::replace(&mut self.slots[slot], with)
    }
}

impl Identity {
    fn of(waker: &Waker) -> Self {
        Self {
            data: waker.data().addr(),
            vtable: waker.vtable(),
        }
    }

    fn is_of(&self, waker: &Waker) -> bool {
        self.data == waker.data().addr() && ptr::eq(self.vtable, waker.vtable())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
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

    impl Wakers {
        fn place(&self, waker: &Waker) -> Option<Registration> {
            let mut place = None;
            self.wait(&mut place, &Context::from_waker(waker));
            place
        }
    }

    #[test]
    fn a_task_is_woken_each_time_until_it_leaves() {
        let (wakers, count) = (Wakers::default(), Arc::new(Count::default()));
        let waker = count.clone().into();
        let mut first = None;
        wakers.wait(&mut first, &Context::from_waker(&waker));
        wakers.wait(&mut first, &Context::from_waker(&waker));
        let mut second = wakers.place(&waker);
        wakers.wake_all();
        assert_eq!(count.0.load(SeqCst), 2);
        wakers.leave(&mut second);
        wakers.wake_all();
        assert_eq!(count.0.load(SeqCst), 3);
    }

    #[test]
    fn another_task_takes_over_the_place() {
        let (wakers, former, next) = (Wakers::default(), Arc::default(), Arc::default());
        let mut place = None;
        for count in [&former, &next] {
            let waker = Arc::<Count>::clone(count).into();
            wakers.wait(&mut place, &Context::from_waker(&waker));
        }
        wakers.wake_all();
        assert_eq!(former.0.load(SeqCst), 0);
        assert_eq!(next.0.load(SeqCst), 1);
        assert_eq!(wakers.lock().slots.len(), 1);
    }

    #[test]
    fn a_slot_is_used_again_without_the_waker_that_was_in_it() {
        let (wakers, count) = (Wakers::default(), Arc::new(Count::default()));
        let waker = count.clone().into();
        for _ in 0..3 {
            let [mut first, mut second] = [wakers.place(&waker), wakers.place(&waker)];
            wakers.leave(&mut first);
            wakers.leave(&mut second);
        }
        assert_eq!(wakers.lock().slots.len(), 2);
        wakers.wake_all();
        assert_eq!(count.0.load(SeqCst), 0);
    }

    /// Has a place among the wakers of which it is one, as a task has its body.
    struct Task {
        wakers: Arc<Wakers>,
        place: Mutex<Option<Registration>>,
    }

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Task {
        fn drop(&mut self) {
            self.wakers.leave(self.place.get_mut().unwrap());
        }
    }

    #[test]
    fn the_last_waker_of_a_task_may_take_another_place_with_it() {
        let wakers = Arc::new(Wakers::default());
        let task = Task {
            wakers: wakers.clone(),
            place: Mutex::new(wakers.place(Waker::noop())),
        };
        let mut place = wakers.place(&Arc::new(task).into());
        wakers.leave(&mut place);
        let is_taken = |slot: &Slot| matches!(slot, Slot::Taken(_));
        assert!(!wakers.lock().slots.iter().any(is_taken));
    }
}

//! A future that is polled again immediately when it has woken itself.
//!
//! hyper reads the body of a request when the handler asks for it, and so a handler that needs the whole body wakes
//! the task that it is a part of, twice. tokio would put that task at the end of its queue each time, and wake another
//! thread for it: that took longer than all else that the gateway does for a chat.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::{future::poll_fn, task::AtomicWaker};

/// How often it is polled before it is the turn of other tasks.
const TIMES: usize = 4;

/// Runs the future to its end.
pub(crate) async fn again<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let own = Arc::new(Own::default());
    let waker = Waker::from(own.clone());
    poll_fn(move |cx| own.poll(future.as_mut(), &waker, cx)).await
}

/// What wakes the future, or the task that it is a part of.
#[derive(Default)]
struct Own {
    is_polled: AtomicBool,
    is_woken: AtomicBool,
    task: AtomicWaker,
}

impl Own {
    fn poll<F: Future>(
        &self,
        mut future: Pin<&mut F>,
        waker: &Waker,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        self.task.register(cx.waker());
        self.is_polled.store(true, SeqCst);
        for _ in 0..TIMES {
            self.is_woken.swap(false, SeqCst);
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(output);
            }
            if !self.is_woken.load(SeqCst) {
                break;
            }
        }
        self.is_polled.store(false, SeqCst);
        // Either this sees a wake of another thread, or that thread sees that nobody polls.
        if self.is_woken.load(SeqCst) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Wake for Own {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, SeqCst);
        if !self.is_polled.load(SeqCst) {
            self.task.wake();
        }
    }
}

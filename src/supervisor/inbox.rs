//! The inbox of the task. No command is lost in the instant in which the task ends.
//!
//! Putting a command in, and ending the reader with what is left in the inbox, take the same lock. (tokio's own channel
//! drops a command that is sent in that instant only with its last sender, and the caller would wait for its answer
//! forever.)

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

#[derive(Debug)]
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    news: Notify,
}

#[derive(Debug)]
struct State<T> {
    commands: VecDeque<T>,
    has_reader: bool,
    /// No command will come any more.
    is_closed: bool,
}

/// The task's end of it. What is left in the inbox is dropped with it.
#[derive(Debug)]
pub(crate) struct Reader<T> {
    inbox: Arc<Inbox<T>>,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        let state = State {
            commands: VecDeque::new(),
            has_reader: false,
            is_closed: false,
        };
        Self {
            state: Mutex::new(state),
            news: Notify::new(),
        }
    }

    /// Puts a command in. If there is no reader, this is the one: a task has to be started with it.
    #[must_use = "commands are dropped with their reader"]
    pub(crate) fn put(self: &Arc<Self>, command: T) -> Option<Reader<T>> {
        let mut state = self.lock();
        state.commands.push_back(command);
        let had_reader = mem::replace(&mut state.has_reader, true);
        drop(state);
        self.news.notify_one();
        (!had_reader).then(|| Reader {
            inbox: self.clone(),
        })
    }

    /// Puts a command in if there is a reader. A task that does not run needs none.
    pub(crate) fn put_if_read(&self, command: T) {
        let mut state = self.lock();
        if state.has_reader {
            state.commands.push_back(command);
            drop(state);
            self.news.notify_one();
        }
    }

    /// No command will come any more.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Reader<T> {
    /// The next command; `None` when no more will come. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<T> {
        loop {
            {
                let mut state = self.inbox.lock();
                if let Some(command) = state.commands.pop_front() {
                    return Some(command);
                }
                if state.is_closed {
                    return None;
                }
            }
            self.inbox.news.notified().await;
        }
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        let mut state = self.inbox.lock();
        state.has_reader = false;
        let left = mem::take(&mut state.commands);
        drop(state);
        // Whatever a command takes with it is dropped outside of the lock.
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::sync::oneshot::{self, error::TryRecvError};

    use super::*;

    #[test]
    fn a_caller_is_not_left_waiting_when_the_task_ends() {
        for _ in 0..2000 {
            let inbox = Arc::new(Inbox::new());
            let (first, first_answer) = oneshot::channel::<()>();
            let reader = inbox.put(first).unwrap();
            let ends = thread::spawn(move || drop(reader));
            let mut answers = vec![first_answer];
            // Each reader is dropped with what it would have read.
            for _ in 0..4 {
                let (reply, answer) = oneshot::channel();
                drop(inbox.put(reply));
                answers.push(answer);
            }
            ends.join().unwrap();
            let (reply, answer) = oneshot::channel();
            inbox.put_if_read(reply);
            answers.push(answer);
            for mut answer in answers {
                assert_eq!(answer.try_recv(), Err(TryRecvError::Closed));
            }
        }
    }
}

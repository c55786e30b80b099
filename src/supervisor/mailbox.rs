//! The way of commands to the task, on which none is forgotten when the task ends.
//!
//! tokio's own channel forgets one that is sent in the instant in which its receiver goes: it is dropped
//! only with the last sender, and whoever waits for its answer waits for ever. So both ends take turns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

type Turn = Arc<Mutex<()>>;

/// Where commands are put.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    sender: UnboundedSender<T>,
    turn: Turn,
}

/// Where they are taken from; what is left in it is dropped with it.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    receiver: UnboundedReceiver<T>,
    turn: Turn,
}

pub(crate) fn mailbox<T>() -> (Mailbox<T>, Inbox<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let turn = Turn::default();
    let mailbox = Mailbox {
        sender,
        turn: turn.clone(),
    };
    (mailbox, Inbox { receiver, turn })
}

impl<T> Mailbox<T> {
    /// Gives the command back if nobody is there to take it.
    pub(crate) fn send(&self, command: T) -> Result<(), T> {
        let _turn = lock(&self.turn);
        self.sender.send(command).map_err(|returned| returned.0)
    }
}

impl<T> Inbox<T> {
    /// `None` once the mailbox is gone.
    pub(crate) async fn recv(&mut self) -> Option<T> {
        self.receiver.recv().await
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        let _turn = lock(&self.turn);
        self.receiver.close();
    }
}

fn lock(turn: &Turn) -> MutexGuard<'_, ()> {
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::sync::oneshot::{self, error::TryRecvError};

    use super::*;

    #[test]
    fn whoever_sends_while_the_inbox_goes_is_not_left_waiting() {
        for _ in 0..2000 {
            let (mailbox, inbox) = mailbox();
            let going = thread::spawn(move || drop(inbox));
            let (mut answers, mut is_open) = (Vec::new(), true);
            // Forgotten by the channel, a reply would live as long as the mailbox.
            while is_open {
                let (reply, answer) = oneshot::channel::<()>();
                is_open = mailbox.send(reply).is_ok();
                answers.push(answer);
            }
            going.join().unwrap();
            for mut answer in answers {
                assert_eq!(answer.try_recv(), Err(TryRecvError::Closed));
            }
        }
    }
}

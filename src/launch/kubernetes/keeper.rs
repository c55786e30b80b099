//! The task by which a program uses one workload, and looks after it.

use std::sync::Arc;

use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    cluster::{Cluster, Refused},
    protocol::{Program, Reply, Standing, Step, Time, Workload},
};

/// It lives as long as one of its handles, and ends with a last look at the workload.
#[derive(Clone, Debug)]
pub(super) struct Keeper {
    orders: mpsc::UnboundedSender<Order>,
    news: watch::Receiver<News>,
}

#[derive(Debug)]
enum Order {
    /// The number of the use.
    Join(u64),
    Leave,
}

/// How the program stands.
#[derive(Clone, Debug)]
pub(super) struct News {
    /// The number of the use that it is about.
    number: u64,
    pub(super) standing: Standing,
    /// It cannot be used.
    refused: Option<Refused>,
    /// Why the last call failed.
    pub(super) trouble: Option<String>,
    /// The program has taken back that it uses the workload, and has looked after it once.
    rests: bool,
}

/// One use of the workload, which ends when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    keeper: Keeper,
    number: u64,
}

impl Keeper {
    /// Has to be called on the runtime on which the task is to run.
    pub(super) fn new(cluster: Arc<Cluster>, program: Program) -> Self {
        let (orders, taken) = mpsc::unbounded_channel();
        let news = News {
            number: 0,
            standing: Standing::Out,
            refused: None,
            trouble: None,
            rests: true,
        };
        let (sender, news) = watch::channel(news);
        let task = Task {
            cluster,
            program,
            begun: Instant::now(),
            orders: taken,
            news: sender,
        };
        // It ends by itself when nobody gives orders any more.
        drop(Handle::current().spawn(task.run()));
        Self { orders, news }
    }

    pub(super) fn join(&self) -> Seat {
        // There is one use at a time: the instance.
        let number = self.news.borrow().number + 1;
        drop(self.orders.send(Order::Join(number)));
        Seat {
            keeper: self.clone(),
            number,
        }
    }
}

impl Seat {
    /// Resolves when it is known how the workload is used.
    ///
    /// # Errors
    ///
    /// It cannot be used before a person changes something.
    pub(super) async fn joined(&mut self) -> Result<Standing, Refused> {
        let number = self.number;
        let joined = |news: &News| news.number == number && news.standing != Standing::Joining;
        let news = self.keeper.news.wait_for(joined).await;
        match news {
            Ok(news) => match &news.refused {
                Some(refused) => Err(refused.clone()),
                None => Ok(news.standing),
            },
            Err(_) => Ok(Standing::Lost),
        }
    }

    /// Resolves when the workload was scaled to zero under its users, or cannot be used any more.
    pub(super) async fn lost(&mut self) {
        let number = self.number;
        let is_lost = |news: &News| news.number != number || news.standing == Standing::Lost;
        drop(self.keeper.news.wait_for(is_lost).await);
    }

    /// Why the last call failed, if it did.
    pub(super) fn trouble(&self) -> Option<String> {
        self.keeper.news.borrow().trouble.clone()
    }

    /// Ends the use. Resolves when the program has looked whether another one uses the workload.
    pub(super) async fn leave(&mut self) {
        drop(self.keeper.orders.send(Order::Leave));
        drop(self.keeper.news.wait_for(|news| news.rests).await);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        drop(self.keeper.orders.send(Order::Leave));
    }
}

struct Task {
    cluster: Arc<Cluster>,
    program: Program,
    begun: Instant,
    orders: mpsc::UnboundedReceiver<Order>,
    news: watch::Sender<News>,
}

impl Task {
    async fn run(mut self) {
        let mut is_over = false;
        loop {
            while let Ok(order) = self.orders.try_recv() {
                self.obey(&order);
            }
            match self.program.step(self.now()) {
                Step::Call(call) => {
                    let (reply, trouble) = match self.cluster.execute(call).await {
                        Ok(replied) => replied,
                        Err(refused) => (self.refused(refused), None),
                    };
                    self.program.replied(reply, self.now());
                    self.tell(trouble);
                }
                // The last look is made, or will not be made soon.
                Step::Wait { .. } if is_over => return,
                Step::Wait { until } => {
                    self.tell_rest();
                    let until = self.begun.checked_add(until);
                    let time = async {
                        match until {
                            Some(until) => sleep_until(until).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        order = self.orders.recv() => if let Some(order) = order {
                            self.obey(&order);
                        } else {
                            self.program.leave();
                            is_over = true;
                        },
                        () = time => {}
                    }
                }
            }
        }
    }

    fn now(&self) -> Time {
        self.begun.elapsed()
    }

    fn obey(&mut self, order: &Order) {
        match order {
            &Order::Join(number) => {
                self.program.join();
                self.news.send_modify(|news| {
                    (news.number, news.refused, news.trouble) = (number, None, None);
                });
            }
            Order::Leave => {
                // The seat of one that was left, too, is dropped.
                if self.program.standing() == Standing::Out {
                    return;
                }
                self.program.leave();
            }
        }
        self.news.send_modify(|news| {
            (news.standing, news.rests) = (self.program.standing(), false);
        });
    }

    /// What a person has to change ends a use, with that as its error. A program that only looks after the workload tries again, or has
    /// nothing to look after if there is none.
    fn refused(&mut self, refused: Refused) -> Reply {
        if self.program.standing() != Standing::Out {
            self.program.leave();
            self.news.send_modify(|news| {
                (news.standing, news.refused) = (Standing::Lost, Some(refused));
            });
        } else if refused.is_missing {
            return Reply::Workload(Workload::default());
        }
        Reply::Failed
    }

    fn tell(&mut self, trouble: Option<String>) {
        let standing = self.program.standing();
        self.news.send_if_modified(|news| {
            let before = (news.standing, news.trouble.is_some());
            news.trouble = trouble;
            if news.refused.is_none() {
                news.standing = standing;
            }
            (news.standing, news.trouble.is_some()) != before
        });
    }

    fn tell_rest(&mut self) {
        let is_out = matches!(self.program.standing(), Standing::Out | Standing::Lost);
        self.news.send_if_modified(|news| {
            let tells = is_out && !news.rests;
            news.rests |= is_out;
            tells
        });
    }
}

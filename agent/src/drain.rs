//! The end of serving, as a value that every task holds.

use tokio::sync::watch;

/// Ends serving, and waits until all that was under way is done.
#[derive(Debug)]
pub struct Drain(watch::Sender<bool>);

/// Tells a task that serving ends; while one exists, something is under way.
#[derive(Clone, Debug)]
pub struct Watch(watch::Receiver<bool>);

/// Makes the two ends.
pub fn channel() -> (Drain, Watch) {
    let (sender, receiver) = watch::channel(false);
    (Drain(sender), Watch(receiver))
}

impl Drain {
    /// Tells every [`Watch`].
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Waits until every [`Watch`] is gone.
    pub async fn done(&self) {
        self.0.closed().await;
    }

    /// How many watches there are.
    pub fn under_way(&self) -> usize {
        self.0.receiver_count()
    }
}

impl Watch {
    /// Waits until serving ends.
    pub async fn draining(&mut self) {
        // An error means that the other end is gone, and with it the reason to go on.
        let _ended = self.0.wait_for(|ending| *ending).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_every_watch() {
        let (drain, mut watch) = channel();
        let task = tokio::spawn(async move { watch.draining().await });
        assert_eq!(drain.under_way(), 1);
        drain.begin();
        drain.done().await;
        task.await.unwrap();
        assert_eq!(drain.under_way(), 0);
    }
}

//! The end of serving, as a value that every task holds.

use std::pin::Pin;

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

    /// Goes on with `connection` to its end. Once serving ends, `wind_up` tells it to take nothing more and to finish what it
    /// has begun.
    pub async fn serve<C: Future>(
        &mut self,
        mut connection: Pin<&mut C>,
        wind_up: impl FnOnce(Pin<&mut C>),
    ) -> C::Output {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.draining() => wind_up(connection.as_mut()),
        }
        connection.await
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

    #[tokio::test]
    async fn a_connection_is_told_once_and_then_finished() {
        let (drain, mut watch) = channel();
        let (told, telling) = tokio::sync::oneshot::channel();
        let connection = std::pin::pin!(telling);
        drain.begin();
        let served = watch.serve(connection, |_| told.send("what was begun").unwrap());
        assert_eq!(served.await, Ok("what was begun"));
        // One that ends by itself is not told.
        let (_drain, mut watch) = channel();
        assert_eq!(watch.serve(std::pin::pin!(async { 7 }), |_| panic!("told")).await, 7);
    }
}

//! A wait whose end moves: the timer is set where something has to be waited for, and again only when it rings too early.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How long a peer is waited for.
#[derive(Debug)]
pub(crate) struct Patience {
    until: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// From now on for `span`.
    pub(crate) fn new(span: Duration) -> Self {
        Self { until: Instant::now() + span, timer: None }
    }

    /// Until `span` from now on, and in no case beyond `last`; never earlier than before.
    pub(crate) fn extend(&mut self, span: Duration, last: Option<Instant>) {
        let until = Instant::now() + span;
        self.until = last.map_or(until, |last| until.min(last)).max(self.until);
    }

    /// Ready once it is over. To be asked where the peer is waited for.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.until;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= until {
                return Poll::Ready(());
            }
            timer.as_mut().reset(until);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn is_over_when_nothing_extends_it() {
        let started = Instant::now();
        let mut patience = Patience::new(SECOND);
        poll_fn(|cx| patience.poll_over(cx)).await;
        assert_eq!(started.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn an_extension_moves_its_end_up_to_the_last() {
        let started = Instant::now();
        let mut patience = Patience::new(SECOND);
        assert!(poll_fn(|cx| Poll::Ready(patience.poll_over(cx))).await.is_pending());
        patience.extend(3 * SECOND, None);
        patience.extend(SECOND, None);
        poll_fn(|cx| patience.poll_over(cx)).await;
        assert_eq!(started.elapsed(), 3 * SECOND);
        patience.extend(9 * SECOND, Some(started + 5 * SECOND));
        poll_fn(|cx| patience.poll_over(cx)).await;
        assert_eq!(started.elapsed(), 5 * SECOND);
    }
}

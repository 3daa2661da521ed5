//! Counts over the last while, in slots of time.
//!
//! A window of `N` slots covers its whole length and at most one slot more: whatever happens within the length is seen
//! together, and nothing older than a length and a slot is.

/// Slots over the last while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window<const N: usize> {
    slots: [u16; N],
}

impl<const N: usize> Default for Window<N> {
    fn default() -> Self {
        Self { slots: [0; N] }
    }
}

impl<const N: usize> Window<N> {
    /// Forgets what is too old at `now`, when the last call was at `last`; slots are `width` seconds long.
    pub(crate) fn advance(&mut self, last: u32, now: u32, width: u32) {
        let (from, to) = (last / width, now / width);
        let passed = to.saturating_sub(from);
        if passed as usize >= N {
            self.slots = [0; N];
            return;
        }
        for slot in from + 1..=to {
            if let Some(count) = self.slots.get_mut(slot as usize % N) {
                *count = 0;
            }
        }
    }

    /// Counts `more` at `now`.
    pub(crate) fn add(&mut self, now: u32, width: u32, more: u16) {
        if let Some(count) = self.slots.get_mut((now / width) as usize % N) {
            *count = count.saturating_add(more);
        }
    }

    /// The count.
    pub(crate) fn sum(&self) -> u32 {
        self.slots.iter().map(|count| stands_for(*count)).sum()
    }

    pub(crate) fn slots(&self) -> &[u16; N] {
        &self.slots
    }

    pub(crate) fn from_slots(slots: [u16; N]) -> Self {
        Self { slots }
    }
}

/// What the count of a slot stands for: one that is full, for more than any threshold.
pub(crate) fn stands_for(count: u16) -> u32 {
    if count == u16::MAX { FULL } else { u32::from(count) }
}

/// More than the highest threshold.
const FULL: u32 = 100_001;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_together_whatever_lies_within_its_length() {
        // Seven slots of ten seconds: a minute, wherever it starts.
        for start in 1000..1020 {
            let mut window = Window::<7>::default();
            window.add(start, 10, 1);
            for at in start..=start + 60 {
                let mut seen = window;
                seen.advance(start, at, 10);
                assert_eq!(seen.sum(), 1, "{start} {at}");
            }
            let mut seen = window;
            seen.advance(start, start + 70, 10);
            assert_eq!(seen.sum(), 0);
        }
    }

    #[test]
    fn a_full_slot_is_over_every_threshold() {
        let mut window = Window::<2>::default();
        window.add(0, 10, u16::MAX);
        window.add(0, 10, 5);
        assert!(window.sum() > 100_000);
    }
}

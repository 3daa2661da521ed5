//! A row of entries that grows by blocks: nothing moves when it does, and no room is kept for more than one block.

/// Entries in their order.
#[derive(Clone, Debug)]
pub(crate) struct Blocks<E> {
    /// All but the last are full.
    blocks: Vec<Vec<E>>,
}

impl<E> Default for Blocks<E> {
    fn default() -> Self {
        Self { blocks: Vec::new() }
    }
}

impl<E: Copy> Blocks<E> {
    pub(crate) fn len(&self) -> usize {
        match self.blocks.split_last() {
            Some((last, full)) => full.len() * EACH + last.len(),
            None => 0,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        self.blocks.iter().flatten()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&E> {
        self.blocks.get(at / EACH)?.get(at % EACH)
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut E> {
        self.blocks.get_mut(at / EACH)?.get_mut(at % EACH)
    }

    pub(crate) fn push(&mut self, entry: E) {
        match self.blocks.last_mut() {
            Some(last) if last.len() < EACH => last.push(entry),
            _ => {
                let mut block = Vec::with_capacity(EACH);
                block.push(entry);
                self.blocks.push(block);
            }
        }
    }

    /// Takes the last one away.
    pub(crate) fn pop(&mut self) -> Option<E> {
        let last = self.blocks.last_mut()?;
        let entry = last.pop();
        if last.is_empty() {
            self.blocks.pop();
        }
        entry
    }

    /// Keeps what `keep` says, in its order.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&E) -> bool) {
        let (mut kept, length) = (0, self.len());
        for at in 0..length {
            let Some(entry) = self.get(at).copied() else { break };
            if keep(&entry) {
                if let Some(place) = self.get_mut(kept) {
                    *place = entry;
                }
                kept += 1;
            }
        }
        self.blocks.truncate(kept.div_ceil(EACH));
        if let Some(last) = self.blocks.last_mut() {
            last.truncate(kept - (kept - 1) / EACH * EACH);
        }
        self.blocks.shrink_to(2 * self.blocks.len());
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.blocks.len() * EACH * size_of::<E>() + self.blocks.capacity() * size_of::<Vec<E>>()
    }
}

/// Entries of a block: 2 KiB of the smallest ones.
const EACH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_row() {
        let mut row = Blocks::default();
        for number in 0..1000 {
            assert_eq!(row.len(), number);
            row.push(number);
        }
        assert!(row.iter().copied().eq(0..1000));
        assert_eq!((row.get(999), row.get(1000)), (Some(&999), None));
        for number in (0..1000).rev() {
            assert_eq!(row.pop(), Some(number));
            assert_eq!(row.len(), number);
        }
        assert_eq!((row.pop(), row.len()), (None, 0));
    }

    #[test]
    fn keeps_what_it_is_told_and_gives_the_rest_back() {
        for length in [0, 1, 63, 64, 65, 128, 1000] {
            for step in [1, 2, 3, 64, 2000] {
                let mut row = Blocks::default();
                (0..length).for_each(|number| row.push(number));
                row.retain(|number| number % step == 0);
                assert!(row.iter().copied().eq((0..length).step_by(step)), "{length} {step}");
                assert_eq!(row.len(), (0..length).step_by(step).count());
                row.push(7);
                assert_eq!(row.get(row.len() - 1), Some(&7));
            }
        }
        let mut row = Blocks::default();
        (0..10_000).for_each(|number| row.push(number));
        let full = row.bytes();
        row.retain(|number| *number < 64);
        assert!(row.bytes() * 50 < full);
    }
}

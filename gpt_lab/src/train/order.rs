//! The order in which training sees its rows.

use serde::{Deserialize, Serialize};

use crate::Rng;

/// The beginning of the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Number of times that all rows were seen.
    pub epoch: u64,
    /// Number of rows of this epoch's order that are used up.
    pub used: usize,
}

/// Every row once an epoch, each epoch in an order of its own that depends on the seed and its number only. The last
/// batch of an epoch may be short.
#[derive(Debug)]
pub(super) struct Order {
    rng: Rng,
    rows: Vec<usize>,
    position: Position,
}

impl Order {
    /// The order of `n` rows, at the start.
    pub fn new(n: usize, rng: Rng) -> Self {
        let mut order = Order { rng, rows: (0..n).collect(), position: Position { epoch: 0, used: 0 } };
        order.shuffle();
        order
    }

    /// The next rows, at most `size` of them.
    pub fn next(&mut self, size: usize) -> Vec<usize> {
        if self.position.used >= self.rows.len() {
            self.position = Position { epoch: self.position.epoch + 1, used: 0 };
            self.shuffle();
        }
        let end = (self.position.used + size).min(self.rows.len());
        let rows = self.rows[self.position.used..end].to_vec();
        self.position.used = end;
        rows
    }

    /// The beginning of the next batch.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Goes on from there.
    pub fn set_position(&mut self, position: Position) {
        self.position = position;
        self.shuffle();
    }

    fn shuffle(&mut self) {
        self.rows.sort_unstable();
        self.rng.stream(self.position.epoch).shuffle(&mut self.rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_comes_once_an_epoch_in_changing_order() {
        let mut order = Order::new(10, Rng::new(1));
        let epochs: Vec<Vec<usize>> = (0..3).map(|_| (0..4).flat_map(|_| order.next(3)).collect()).collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(epochs[0], epochs[1]);
        let mut again = Order::new(10, Rng::new(1));
        again.set_position(Position { epoch: 1, used: 3 });
        assert_eq!(again.next(3), epochs[1][3..6]);
    }
}

//! Where lines go, so that they neither touch nor overtake each other.
//!
//! The picture is cut into low rows; a line takes as many as it is high, the first ones that
//! are free. Each mode has the picture for itself, as in the players that danmaku come from.
//!
//! A line of width w that scrolls moves its head from one side of a picture of width W to w
//! beyond the other, in a time T that is the same for all: its speed is (W + w) / T. It stays
//! clear of the one before it if the tail of that one has left the edge when it starts (or it
//! would touch it), and if that one is gone when its own head gets to the other side (or it
//! would overtake it). Positions are linear in time, so nothing happens in between. Both are
//! conditions on times of the one before it alone, so a row need only know the latest of each.

use idl::danmaku::Mode;

use super::{HEIGHT_PX, SCROLL_CS, STAND_CS, WIDTH_PX};

/// The sizes' heights are multiples of it.
pub(super) const ROW_PX: u32 = 12;
const ROWS: usize = (HEIGHT_PX / ROW_PX) as usize;
/// What must be between two lines.
const GAP_PX: u64 = 20;

/// The room that a line takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) width_px: u32,
    /// At most as many as the picture has.
    pub(super) rows: u32,
}

/// Where a line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its first row, from the top; for lines at the bottom, from there.
    pub(super) row: u32,
    /// Nothing else is there.
    pub(super) free: bool,
}

/// The state of all rows. Its size does not depend on how many lines there are.
#[derive(Debug)]
pub(super) struct Lanes {
    scroll: Rows,
    reverse: Rows,
    top: Rows,
    bottom: Rows,
}

type Rows = [Row; ROWS];

/// The latest times of the lines in a row, in hundredths of a second.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    /// The tails of all have left the edge that they came from, by the gap.
    entered_cs: u64,
    /// All are gone.
    gone_cs: u64,
    /// How many were laid over others since it was free.
    piled: u32,
}

/// When a line needs a row.
#[derive(Debug, Clone, Copy)]
struct Stay {
    entered_cs: u64,
    gone_cs: u64,
    /// How long before all others are gone it may start.
    early_cs: u64,
}

impl Default for Lanes {
    fn default() -> Self {
        let rows = [Row::default(); ROWS];
        Self { scroll: rows, reverse: rows, top: rows, bottom: rows }
    }
}

impl Lanes {
    /// Finds a place and takes it. Lines come by their start.
    pub(super) fn place(&mut self, mode: Mode, start_cs: u64, shape: Shape) -> Place {
        let (rows, stay) = match mode {
            Mode::Scroll => (&mut self.scroll, scrolling(start_cs, shape.width_px)),
            Mode::Reverse => (&mut self.reverse, scrolling(start_cs, shape.width_px)),
            Mode::Top => (&mut self.top, standing(start_cs)),
            Mode::Bottom => (&mut self.bottom, standing(start_cs)),
        };
        let height = shape.rows as usize;
        let (first, free) = find(rows, height, start_cs, stay);
        for row in &mut rows[first..first + height] {
            row.entered_cs = row.entered_cs.max(stay.entered_cs);
            row.gone_cs = row.gone_cs.max(stay.gone_cs);
            row.piled = if free { 0 } else { row.piled + 1 };
        }
        Place { row: u32::try_from(first).unwrap_or(0), free }
    }
}

/// The first rows that are free; else those where it overlaps the least.
fn find(rows: &Rows, height: usize, start_cs: u64, stay: Stay) -> (usize, bool) {
    let mut least = (u32::MAX, u64::MAX);
    let mut found = 0;
    for (first, window) in rows.windows(height).enumerate() {
        let free_cs = window.iter().map(|row| row.free_cs(stay)).max().unwrap_or(0);
        if free_cs <= start_cs {
            return (first, true);
        }
        let piled = window.iter().map(|row| row.piled).max().unwrap_or(0);
        if (piled, free_cs) < least {
            least = (piled, free_cs);
            found = first;
        }
    }
    (found, false)
}

impl Row {
    /// When it is free for such a line.
    fn free_cs(self, stay: Stay) -> u64 {
        self.entered_cs.max(self.gone_cs.saturating_sub(stay.early_cs))
    }
}

fn scrolling(start_cs: u64, width_px: u32) -> Stay {
    let width = u64::from(width_px);
    let way = u64::from(WIDTH_PX) + width;
    Stay {
        entered_cs: start_cs + ((width + GAP_PX) * SCROLL_CS).div_ceil(way),
        gone_cs: start_cs + SCROLL_CS,
        early_cs: (u64::from(WIDTH_PX) - GAP_PX) * SCROLL_CS / way,
    }
}

fn standing(start_cs: u64) -> Stay {
    let gone_cs = start_cs + STAND_CS;
    Stay { entered_cs: gone_cs, gone_cs, early_cs: 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::samples;

    /// A line that has its place.
    #[derive(Debug, Clone, Copy)]
    struct Placed {
        mode: Mode,
        start_cs: u64,
        shape: Shape,
        place: Place,
    }

    impl Placed {
        fn scrolls(&self) -> bool {
            matches!(self.mode, Mode::Scroll | Mode::Reverse)
        }

        fn lasts_cs(&self) -> u64 {
            if self.scrolls() { SCROLL_CS } else { STAND_CS }
        }

        /// Where its head and its tail are, from the edge that it comes from, times [`SCROLL_CS`].
        fn head_and_tail(&self, at_cs: u64) -> (i128, i128) {
            let [width, at, start] = [u64::from(self.shape.width_px), at_cs, self.start_cs].map(i128::from);
            let head = (i128::from(WIDTH_PX) + width) * (at - start);
            (head, head - width * i128::from(SCROLL_CS))
        }

        /// By looking at both at the first and the last moment that both are there.
        fn collides(&self, earlier: &Self, row: u32) -> bool {
            let apart = row >= earlier.place.row + earlier.shape.rows || earlier.place.row >= row + self.shape.rows;
            let end_cs = earlier.start_cs + earlier.lasts_cs();
            if self.mode != earlier.mode || apart || end_cs <= self.start_cs {
                return false;
            }
            let gap = i128::from(GAP_PX * SCROLL_CS);
            // At the end of the earlier one its tail is at the other edge.
            let near = |at_cs| self.head_and_tail(at_cs).0 + gap > earlier.head_and_tail(at_cs).1;
            !self.scrolls() || near(self.start_cs) || near(end_cs)
        }
    }

    fn laid_out(lines: &[(Mode, u64, Shape)]) -> Vec<Placed> {
        let mut lanes = Lanes::default();
        let place =
            |&(mode, start_cs, shape)| Placed { mode, start_cs, shape, place: lanes.place(mode, start_cs, shape) };
        lines.iter().map(place).collect()
    }

    fn lines() -> impl Strategy<Value = Vec<(Mode, u64, Shape)>> {
        let line = (samples::mode(), 0u64..60, 1u32..3_000, proptest::sample::select(vec![3u32, 4, 6]));
        proptest::collection::vec(line, 0..150).prop_map(|lines| {
            let mut at_cs = 0;
            let line = |(mode, after_cs, width_px, rows)| {
                at_cs += after_cs / 10;
                (mode, at_cs, Shape { width_px, rows })
            };
            lines.into_iter().map(line).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn lines_collide_only_when_no_lane_is_free(lines in lines()) {
            let placed = laid_out(&lines);
            for (n, line) in placed.iter().enumerate() {
                let free_at = |row| !placed[..n].iter().any(|earlier| line.collides(earlier, row));
                let last = u32::try_from(ROWS).unwrap() - line.shape.rows;
                let first_free = (0..=last).find(|row| free_at(*row));
                prop_assert!(line.place.row <= last);
                prop_assert_eq!(first_free.is_some(), line.place.free, "{:?}", line);
                if let Some(row) = first_free {
                    prop_assert_eq!(line.place.row, row, "the first lane is taken: {:?}", line);
                }
            }
        }
    }

    const ONE: Shape = Shape { width_px: 400, rows: 4 };

    #[test]
    fn the_generator_fills_the_picture() {
        let crowd = laid_out(&vec![(Mode::Scroll, 0, ONE); 23]);
        assert_eq!(crowd.iter().filter(|line| line.place.free).count(), 22);
    }

    #[test]
    fn a_crowd_is_spread_over_all_lanes() {
        let crowd = laid_out(&vec![(Mode::Top, 5, ONE); 22 * 3]);
        let mut lines_of = std::collections::BTreeMap::new();
        for line in &crowd {
            *lines_of.entry(line.place.row).or_insert(0) += 1;
        }
        assert!(lines_of.values().all(|lines| (2..=4).contains(lines)), "{lines_of:?}");
    }

    #[test]
    fn a_fast_line_does_not_overtake_a_slow_one() {
        let slow = Shape { width_px: 100, rows: 4 };
        let fast = Shape { width_px: 3_000, rows: 4 };
        // The slow one left the edge long ago, but the fast one would reach it.
        let rows = |after_cs| laid_out(&[(Mode::Scroll, 0, slow), (Mode::Scroll, after_cs, fast)])[1].place.row;
        assert_eq!(rows(100), 4);
        assert_eq!(rows(890), 0);
    }
}

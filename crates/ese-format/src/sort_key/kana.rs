//! Japanese kana: weights of their own, and marks that repeat or prolong the one before.

use super::collator::Maker;
use super::tables::Weight;

/// The class of kana and their marks.
const SCRIPT: u8 = 3;
/// The script member of kana in the key.
const KANA: u8 = 34;
/// The primary weight of repeat marks.
const REPEAT: u8 = 0;
/// The primary weight of the prolonged sound mark.
const PROLONGED: u8 = 1;

/// The four groups of the section that only kana have.
#[derive(Debug, Default)]
pub(super) struct KanaWeights {
    size: Vec<u8>,
    mark: Vec<u8>,
    script: Vec<u8>,
    width: Vec<u8>,
}

impl KanaWeights {
    pub(super) fn clear(&mut self) {
        self.size.clear();
        self.mark.clear();
        self.script.clear();
        self.width.clear();
    }

    fn push(&mut self, case: u8, mark: u8) {
        self.size.push(0xC4 | case & 0x02);
        self.mark.push(mark);
        self.script.push(0xC4 | case & 0x20);
        self.width.push(0xC4 | case & 0x01);
    }

    /// Appends the section: nothing without kana.
    pub(super) fn append(&self, ignore_non_space: bool, out: &mut Vec<u8>) {
        if self.script.is_empty() {
            return;
        }
        if !ignore_non_space {
            out.extend_from_slice(without_tail(&self.size, 0xC6));
        }
        out.push(0xFF);
        if !ignore_non_space {
            out.extend_from_slice(without_tail(&self.mark, 0x03));
        }
        out.push(0x02);
        out.extend_from_slice(without_tail(&self.script, 0xE4));
        out.push(0xFF);
        out.extend_from_slice(without_tail(&self.width, 0xC5));
        out.push(0xFF);
    }
}

fn without_tail(weights: &[u8], usual: u8) -> &[u8] {
    let len = weights.iter().rposition(|weight| *weight != usual).map_or(0, |last| last + 1);
    &weights[..len]
}

impl Maker<'_> {
    /// Adds a kana or a mark that stands at `at`.
    pub(super) fn add_kana(&mut self, weight: Weight, at: usize) {
        let mask = self.collator.case_mask;
        let (primary, mark, case) = if weight.primary > PROLONGED {
            (weight.primary, 3, weight.case() & mask)
        } else {
            match self.marked(at) {
                Some(base) if base.script == SCRIPT => {
                    let case = base.case() & mask;
                    match weight.primary {
                        REPEAT => (base.primary, 4, case),
                        _ => (base.primary & 0x87, 5, case & !1 | weight.case() & mask & 1),
                    }
                }
                Some(base) if base.script != 2 => {
                    return self.put_parts(base.script, base.primary, base.diacritic, 2);
                }
                _ => return self.push_primary(&[0xFF, 0xFF]),
            }
        };
        self.kana().push(case, mark);
        self.put_parts(KANA, primary, weight.diacritic, 2);
    }

    /// What a mark at `at` belongs to: the last unit before it that is sorted and no mark itself.
    fn marked(&mut self, at: usize) -> Option<Weight> {
        let (searched, mut found) = self.base;
        for before in (searched..at).rev() {
            let weight = self.unit(before).map(|unit| self.collator.table.weight(unit));
            let skipped = |w: &Weight| w.script <= 1 || w.script == SCRIPT && w.primary <= PROLONGED;
            if let Some(weight) = weight.filter(|weight| !skipped(weight)) {
                found = Some(weight);
                break;
            }
        }
        // Each unit is looked at once, however many marks follow each other.
        self.base = (at, found);
        found
    }
}

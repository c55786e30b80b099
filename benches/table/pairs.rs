//! The same work with the crate and without it, measured in turns.

use std::time::Duration;

use crate::sample::Sample;

/// Other load on the machine slows both down alike.
pub(crate) struct Pairs {
    pub(crate) bare: Sample,
    pub(crate) ours: Sample,
    // How many times as long the crate took in each pair, in order.
    ratios: Vec<f64>,
}

impl Pairs {
    /// Without, with, with, without, …: each comes first in every second pair, so that no order has an advantage.
    pub(crate) fn measure(
        pairs: usize,
        mut bare: impl FnMut() -> Duration,
        mut ours: impl FnMut() -> Duration,
    ) -> Self {
        let measured = (0..pairs).map(|pair| {
            if pair % 2 == 0 {
                let bare = bare();
                (bare, ours())
            } else {
                let ours = ours();
                (bare(), ours)
            }
        });
        let (bare, ours): (Vec<_>, Vec<_>) = measured.unzip();
        let each = bare.iter().zip(&ours);
        let mut ratios: Vec<_> = each
            .map(|(bare, ours)| ours.div_duration_f64(*bare))
            .collect();
        ratios.sort_by(f64::total_cmp);
        Self {
            bare: Sample::new(bare),
            ours: Sample::new(ours),
            ratios,
        }
    }

    /// The median.
    pub(crate) fn ratio(&self) -> f64 {
        self.ratios[self.ratios.len() / 2]
    }

    /// Half of the 95 % confidence interval of the median.
    pub(crate) fn margin(&self) -> f64 {
        let count = self.ratios.len();
        // The true median lies between these ranks, sqrt(n) to both sides of the middle, in 19 of 20 cases.
        let aside = count.isqrt().min(count / 2);
        let (low, high) = (count / 2 - aside, (count / 2 + aside).min(count - 1));
        (self.ratios[high] - self.ratios[low]) / 2.0
    }
}

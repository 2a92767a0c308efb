//! Rotary position embedding, and how it is stretched over longer contexts.

/// Rotary position embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Number of rotated dimensions.
    pub dims: usize,
    /// Base of the frequencies.
    pub theta: f64,
    /// Which dimensions rotate together.
    pub pairs: RopePairs,
    /// Stretching to contexts longer than the model was first trained on.
    pub stretch: Stretch,
}

/// How a rotation is stretched to contexts longer than the model was first trained on.
#[derive(Clone, Debug, PartialEq)]
pub enum Stretch {
    /// Not at all.
    None,
    /// By YaRN.
    Yarn(Yarn),
    /// By bands of frequencies.
    Bands(Bands),
    /// Each frequency is divided by a factor of its own, [`Role::RopeFactors`](crate::Role::RopeFactors).
    Stored,
}

/// Which two dimensions rotate together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopePairs {
    /// (2i, 2i + 1).
    Adjacent,
    /// (i, i + dims/2).
    Halves,
}

/// YaRN (arXiv:2309.00071): low frequencies are divided by `factor`, high ones kept, with a ramp between.
#[derive(Clone, Debug, PartialEq)]
pub struct Yarn {
    /// How many times longer the context became.
    pub factor: f64,
    /// The context before stretching, in tokens.
    pub original_context: f64,
    /// Rotations over the original context above which a frequency is kept.
    pub beta_fast: f64,
    /// Rotations below which a frequency is divided by `factor`.
    pub beta_slow: f64,
    /// The ramp begins and ends at whole dimensions.
    pub truncate: bool,
    /// What cosines and sines are multiplied by.
    pub magnitude: f64,
}

/// Llama 3.1's stretching: frequencies of few rotations over the original context are divided by `factor`, those of
/// many kept, and those between are mixed of both.
#[derive(Clone, Debug, PartialEq)]
pub struct Bands {
    /// How many times longer the context became.
    pub factor: f64,
    /// The context before stretching, in tokens.
    pub original_context: f64,
    /// Rotations up to which a frequency is divided.
    pub few: f64,
    /// Rotations from which it is kept; more than `few`.
    pub many: f64,
}

impl Rope {
    /// Angle per position of each of the `dims / 2` rotated pairs; before they are divided by stored factors, where
    /// there are some.
    pub fn frequencies(&self) -> Vec<f64> {
        let dims = self.dims as f64;
        let plain = (0..self.dims / 2).map(|i| self.theta.powf(-2.0 * i as f64 / dims));
        match &self.stretch {
            Stretch::None | Stretch::Stored => plain.collect(),
            Stretch::Bands(bands) => plain.map(|frequency| bands.stretch(frequency)).collect(),
            Stretch::Yarn(yarn) => {
                let (low, high) = yarn.ramp(dims, self.theta);
                let stretch = |(i, frequency)| yarn.stretch(frequency, (i as f64 - low) / (high - low));
                plain.enumerate().map(stretch).collect()
            }
        }
    }

    /// What cosines and sines are multiplied by.
    pub fn magnitude(&self) -> f64 {
        match &self.stretch {
            Stretch::Yarn(yarn) => yarn.magnitude,
            _ => 1.0,
        }
    }
}

impl Yarn {
    /// The dimensions where the ramp begins and ends.
    fn ramp(&self, dims: f64, theta: f64) -> (f64, f64) {
        // The dimension at which a frequency makes `turns` rotations over the original context.
        let turn = std::f64::consts::TAU;
        let at = |turns: f64| dims * (self.original_context / (turns * turn)).ln() / (2.0 * theta.ln());
        let (mut low, mut high) = (at(self.beta_fast), at(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(dims - 1.0));
        (low, if low == high { high + 0.001 } else { high })
    }

    /// A frequency that lies so far along the ramp.
    fn stretch(&self, frequency: f64, along: f64) -> f64 {
        let stretched = along.clamp(0.0, 1.0);
        frequency / self.factor * stretched + frequency * (1.0 - stretched)
    }
}

impl Bands {
    fn stretch(&self, frequency: f64) -> f64 {
        let turns = self.original_context * frequency / std::f64::consts::TAU;
        let kept = ((turns - self.few) / (self.many - self.few)).clamp(0.0, 1.0);
        frequency / self.factor * (1.0 - kept) + frequency * kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(stretch: Stretch) -> Rope {
        Rope { dims: 64, theta: 50_000.0, pairs: RopePairs::Adjacent, stretch }
    }

    #[test]
    fn yarn_keeps_fast_frequencies_and_divides_slow_ones() {
        // Kimi K2: both betas 1, so the ramp is a step between dimensions 19 and 20.
        let yarn = Yarn {
            factor: 32.0,
            original_context: 4096.0,
            beta_fast: 1.0,
            beta_slow: 1.0,
            truncate: true,
            magnitude: 1.0,
        };
        let (plain, stretched) = (rope(Stretch::None).frequencies(), rope(Stretch::Yarn(yarn)).frequencies());
        for i in 0..32 {
            let factor = if i < 20 { 1.0 } else { 32.0 };
            assert!((plain[i] / stretched[i] / factor - 1.0).abs() < 1e-12, "dimension {i}");
        }
    }

    #[test]
    fn bands_divide_slow_frequencies_and_mix_those_between() {
        // Llama 3.1: over 8192 tokens, up to 1 rotation is few and from 4 on many.
        let bands = Bands { factor: 8.0, original_context: 8192.0, few: 1.0, many: 4.0 };
        let of = |turns: f64| std::f64::consts::TAU * turns / 8192.0;
        for (turns, divisor) in [(0.5, 8.0), (1.0, 8.0), (4.0, 1.0), (9.0, 1.0), (2.5, 16.0 / 9.0)] {
            let found = of(turns) / bands.stretch(of(turns));
            assert!((found / divisor - 1.0).abs() < 1e-12, "{turns} rotations: {found}");
        }
    }
}

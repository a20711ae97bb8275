//! Number of parameters that train.

use std::fmt;

use super::config::LoraConfig;
use crate::core::format::thousands;
use crate::gpt2::{Gpt2, Gpt2Config};
use crate::{Param, Result};

/// Numbers of parameters. Prints PEFT's line:
/// `trainable params: 147,456 || all params: 124,587,264 || trainable%: 0.1184`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Number of those that train.
    pub trainable: usize,
    /// Number of all: the model's, every adapter's, every adapter's copies of whole modules.
    pub all: usize,
}

impl Report {
    /// Counts these parameters, and `copies` numbers more that do not train now.
    pub fn of(params: &[Param], copies: usize) -> Self {
        let count = |params: &mut dyn Iterator<Item = &Param>| params.map(Param::count).sum::<usize>();
        let trainable = count(&mut params.iter().filter(|param| param.trainable()));
        Report { trainable, all: count(&mut params.iter()) + copies }
    }

    /// The report of a GPT-2 with one such adapter, without building the model: the largest is counted in no time.
    ///
    /// # Errors
    /// A configuration that describes no model or no adapter for it. Biases and whole modules are not counted here.
    pub fn plan(model: &Gpt2Config, lora: &LoraConfig) -> Result<Self> {
        lora.validate()?;
        let (names, sizes): (Vec<String>, Vec<(usize, usize)>) = Gpt2::linear_sizes(model)?.into_iter().unzip();
        let mut trainable = 0;
        for place in lora.target_modules.select(&names)? {
            let ((r, _), (n_in, n_out)) = (lora.rank_and_scale(&names[place])?, sizes[place]);
            trainable += r * (n_in + n_out);
        }
        let shapes = Gpt2::param_shapes(model)?;
        let base: usize = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        Ok(Report { trainable, all: base + trainable })
    }

    /// The share that trains, in percent.
    pub fn percent(&self) -> f64 {
        100.0 * self.trainable as f64 / self.all as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (trainable, all) = (thousands(self.trainable), thousands(self.all));
        write!(f, "trainable params: {trainable} || all params: {all} || trainable%: {:.4}", self.percent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::Targets;

    /// The chapter's figures for GPT-2 (124M).
    #[test]
    fn the_real_gpt2_is_counted_without_being_built() {
        let config = LoraConfig { r: 4, lora_alpha: 32.0, ..Default::default() };
        let report = Report::plan(&Gpt2Config::default(), &config).unwrap();
        assert_eq!(report, Report { trainable: 147_456, all: 124_587_264 });
        assert_eq!(format!("{:.3}", report.percent()), "0.118");
        assert_eq!(report.to_string(), "trainable params: 147,456 || all params: 124,587,264 || trainable%: 0.1184");
        // All four layers: 768 + 2304, 768 + 768, 768 + 3072, 3072 + 768.
        let all = LoraConfig { r: 1, target_modules: Targets::pattern("all-linear"), ..Default::default() };
        assert_eq!(Report::plan(&Gpt2Config::default(), &all).unwrap().trainable, 12 * (3072 + 1536 + 3840 + 3840));
    }
}

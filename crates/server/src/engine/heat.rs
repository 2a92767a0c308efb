//! How often each expert was asked for, fading: the map of layers and experts that people see, and what warms the pool
//! after a restart.

use std::sync::{Arc, Mutex, PoisonError};

use base::ExpertId;
use experts::Watch;

/// Uses of each expert, by layer; a use counts half after some thousand requests of its layer.
#[derive(Clone, Debug, Default)]
pub struct Heat {
    layers: Arc<Mutex<Vec<Layer>>>,
}

#[derive(Clone, Debug, Default)]
struct Layer {
    /// By expert, in units that grow instead of letting all others fade.
    uses: Vec<f64>,
    /// What one use is worth now.
    unit: f64,
}

/// A unit grows by this much with every request: half is forgotten after 2,000.
const GROWTH: f64 = 1.000_346_6;
/// Units are brought back to 1 before they get too large.
const LARGEST: f64 = 1e100;

impl Heat {
    /// Listens to an engine.
    pub fn watch(&self) -> Watch {
        let layers = self.layers.clone();
        Box::new(move |layer, experts| {
            let mut layers = layers.lock().unwrap_or_else(PoisonError::into_inner);
            let layer = layer.0 as usize;
            if layers.len() <= layer {
                layers.resize_with(layer + 1, Layer::default);
            }
            layers[layer].add(experts);
        })
    }

    /// Uses of each expert relative to the most used one of its layer, from 0 to 1; a row for each layer, empty where
    /// none was asked for.
    pub fn map(&self) -> Vec<Vec<f32>> {
        let layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |layer: &Layer| {
            let most = layer.uses.iter().copied().fold(0.0, f64::max);
            layer.uses.iter().map(|uses| if most > 0.0 { (uses / most) as f32 } else { 0.0 }).collect()
        };
        layers.iter().map(row).collect()
    }

    /// The experts of each layer that were asked for, the hottest first.
    pub fn by_layer(&self) -> Vec<Vec<ExpertId>> {
        let order = |uses: Vec<f32>| {
            let mut experts: Vec<(u32, f32)> = (0..).zip(uses).filter(|(_, heat)| *heat > 0.0).collect();
            experts.sort_by(|a, b| b.1.total_cmp(&a.1));
            experts.into_iter().map(|(expert, _)| ExpertId(expert)).collect()
        };
        self.map().into_iter().map(order).collect()
    }

    /// Takes up where a former run ended.
    pub fn recall(&self, map: Vec<Vec<f32>>) {
        let layer = |row: Vec<f32>| Layer {
            uses: row
                .into_iter()
                .map(|uses| if uses.is_finite() { f64::from(uses).clamp(0.0, 1.0) } else { 0.0 })
                .collect(),
            unit: 1.0 / 16.0,
        };
        *self.layers.lock().unwrap_or_else(PoisonError::into_inner) = map.into_iter().map(layer).collect();
    }
}

impl Layer {
    fn add(&mut self, experts: &[(ExpertId, u32)]) {
        self.unit = self.unit.max(1.0 / 16.0) * GROWTH;
        for (expert, tokens) in experts {
            let expert = expert.0 as usize;
            if self.uses.len() <= expert {
                self.uses.resize(expert + 1, 0.0);
            }
            self.uses[expert] += f64::from(*tokens) * self.unit;
        }
        if self.unit > LARGEST {
            self.uses.iter_mut().for_each(|uses| *uses /= self.unit);
            self.unit = 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use base::LayerId;

    use super::*;

    #[test]
    fn the_hottest_experts_come_first_and_old_heat_fades() {
        let heat = Heat::default();
        let mut watch = heat.watch();
        let mut ask = |layer: u32, experts: &[u32]| {
            let experts: Vec<_> = experts.iter().map(|expert| (ExpertId(*expert), 1)).collect();
            watch(LayerId(layer), &experts);
        };
        ask(1, &[0, 2]);
        ask(1, &[2]);
        ask(2, &[5]);
        assert_eq!(heat.map()[0], [0f32; 0]);
        assert_eq!(heat.by_layer(), [vec![], vec![ExpertId(2), ExpertId(0)], vec![ExpertId(5)]]);
        for _ in 0..4000 {
            ask(1, &[7]);
        }
        assert!(heat.map()[1][2] < 0.01 && heat.map()[1][7] == 1.0);

        let again = Heat::default();
        again.recall(heat.map());
        assert_eq!(again.by_layer(), heat.by_layer());
    }
}

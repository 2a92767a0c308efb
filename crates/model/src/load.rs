//! Roles to weights: everything resident is read and placed. What is missing was refused when the model was opened.

mod factors;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;

use backend::{Backend, LatentUp, Weight};
use base::{Context, Error, Extent, LayerId, Result, Timeline};
use manifest::{Manifest, Stored};
use quant::{Matrix, Quant};
use spec::{DeltaNet, Gate, Gqa, KimiDelta, LayerWeight as W, Mla, Role, Scope};

use crate::blocks::{
    Chooses, CompressedAttention, CompressedIndexer, Compressor, Delta, Ffn, Gated, GroupedAttention,
    Indexer, Inputs, Latent, LatentAttention, Linear, LowRank, Mixer, Mixture, Moe, Projection, Rates,
    Streamed,
};
use crate::decoder::{Decoder, Layer};
use crate::embedding::{Embedding, RowSource};
use crate::stream::{Connection, Tap};

/// Reads bytes of the model's files: fills a buffer of the extent's length.
pub type ReadExact<'a> = &'a mut dyn FnMut(Extent, &mut [u8]) -> Result<()>;

/// Reads everything of the model that stays resident into `backend`. `read` is called weight by weight, so a caller
/// that wants to show progress or to cancel does it there. `rows` is kept, for the embedding of a model with a head of
/// its own.
pub fn load(
    manifest: &Manifest,
    backend: Arc<dyn Backend>,
    read: ReadExact<'_>,
    rows: Arc<dyn RowSource>,
) -> Result<Decoder> {
    let mut loader = Loader { manifest, backend: backend.as_ref(), read, ones: BTreeMap::new() };
    let embedding = match (manifest.stored(Role::Embedding), manifest.embedding_is_resident()) {
        (Some(stored), false) => Embedding::Rows { stored: stored.clone(), source: rows },
        _ => Embedding::Resident(loader.weight(Role::Embedding)?),
    };
    let frequencies = loader.frequencies()?;
    let norm = loader.norm(Role::OutputNorm)?;
    let tap = match &manifest.spec.streams {
        Some(_) => loader.connection([Role::OutputMix, Role::OutputMixBias, Role::OutputMixScale])?,
        None => loader.blocks_tap(Role::OutputScore, Role::OutputScoreNorm)?,
    };
    let head = loader.optional(Role::Head)?;
    let layers = (0..manifest.spec.layers.len()).map(|i| loader.layer(LayerId(i as u32)));
    let layers: Vec<Layer> = layers.collect::<Result<_>>()?;
    let streamed = layers.iter().filter(|layer| matches!(layer.ffn, Ffn::Streamed(_)));
    let streamed = streamed.map(|layer| layer.id).collect();
    Ok(Decoder {
        spec: manifest.spec.clone(),
        backend,
        embedding,
        frequencies,
        layers,
        streamed,
        norm,
        tap,
        head,
        form: None,
        guesser: None,
        timeline: Timeline::default(),
    })
}

struct Loader<'a> {
    manifest: &'a Manifest,
    backend: &'a dyn Backend,
    read: ReadExact<'a>,
    ones: BTreeMap<usize, Arc<Weight>>,
}

impl Loader<'_> {
    /// Of each rotation the angle per position of each rotated pair, divided by the factors that the model stores, if it
    /// does.
    fn frequencies(&mut self) -> Result<Vec<Vec<f32>>> {
        let of = |rope: &&spec::Rope| rope.frequencies().into_iter().map(|angle| angle as f32).collect();
        let mut all: Vec<Vec<f32>> = self.manifest.spec.ropes().iter().map(of).collect();
        let Some(factors) = self.optional(Role::RopeFactors)? else { return Ok(all) };
        let factors = self.backend.embed(&factors, &[0])?;
        let factors = self.backend.to_host(&factors, 0..1)?;
        let stored = all.iter_mut().take(1).flatten().zip(factors);
        stored.for_each(|(frequency, factor)| *frequency /= factor);
        Ok(all)
    }

    fn layer(&mut self, id: LayerId) -> Result<Layer> {
        let spec = &self.manifest.spec.layers[id.0 as usize];
        let mixer = match &spec.mixer {
            spec::Mixer::Mla(mla) => Mixer::Latent(Box::new(self.latent(id, mla)?)),
            spec::Mixer::Gqa(gqa) => Mixer::Grouped(Box::new(self.grouped(id, gqa)?)),
            spec::Mixer::Delta(net) => Mixer::Delta(Box::new(match &net.kimi {
                Some(kimi) => self.kimi_delta(id, net, kimi)?,
                None => self.delta(id, net)?,
            })),
            spec::Mixer::Compressed(sizes) => Mixer::Compressed(Box::new(self.compressed(id, sizes)?)),
        };
        let rope = spec
            .mixer
            .rope()
            .and_then(|rope| self.manifest.spec.ropes().iter().position(|other| *other == rope));
        Ok(Layer {
            id,
            rope: rope.unwrap_or(0),
            mixer_tap: self.tap(
                id,
                [W::MixerScore, W::MixerScoreNorm],
                [W::MixerMix, W::MixerMixBias, W::MixerMixScale],
            )?,
            mixer_norm: self.norm(Role::Layer(id, W::MixerNorm))?,
            mixer,
            ffn_tap: self.tap(
                id,
                [W::FfnScore, W::FfnScoreNorm],
                [W::FfnMix, W::FfnMixBias, W::FfnMixScale],
            )?,
            ffn_norm: self.norm(Role::Layer(id, W::FfnNorm))?,
            ffn: self.ffn(id)?,
            eps: self.manifest.spec.norm_eps,
        })
    }

    /// How a part of a layer sees the residual stream: by `[score, norm]` or by `[mix, bias, scale]`.
    fn tap(&mut self, id: LayerId, [score, norm]: [W; 2], connection: [W; 3]) -> Result<Tap> {
        match &self.manifest.spec.streams {
            Some(_) => self.connection(connection.map(|weight| Role::Layer(id, weight))),
            None => self.blocks_tap(Role::Layer(id, score), Role::Layer(id, norm)),
        }
    }

    fn connection(&mut self, [mix, bias, scale]: [Role; 3]) -> Result<Tap> {
        let spec = &self.manifest.spec;
        let Some(streams) = spec.streams else { return Ok(Tap::Plain) };
        Ok(Tap::Streams(Box::new(Connection {
            streams,
            norm: self.ones(spec.residual())?,
            mix: self.weight(mix)?,
            bias: self.weight(bias)?,
            scale: self.weight(scale)?,
            eps: spec.norm_eps,
        })))
    }

    /// A vector of ones, for norms without weights: one of each width.
    fn ones(&mut self, width: usize) -> Result<Arc<Weight>> {
        if let Some(ones) = self.ones.get(&width) {
            return Ok(ones.clone());
        }
        let ones = Arc::new(self.vector(vec![1.0; width])?);
        self.ones.insert(width, ones.clone());
        Ok(ones)
    }

    /// What block residuals are scored by, multiplied with the weights of the norm before, if the model has them.
    fn blocks_tap(&mut self, role: Role, norm: Role) -> Result<Tap> {
        match self.manifest.spec.residuals {
            None => Ok(Tap::Plain),
            Some(residuals) if residuals.fused => self.weight(role).map(Tap::Blocks),
            Some(_) => {
                let norm = self.numbers(norm)?;
                let multiply =
                    |score: &[f32]| score.iter().zip(&norm).map(|(score, norm)| score * norm).collect();
                self.spelled(role, &multiply).map(Tap::Blocks)
            }
        }
    }

    fn compressed(&mut self, id: LayerId, sizes: &spec::Compressed) -> Result<CompressedAttention> {
        Ok(CompressedAttention {
            sizes: sizes.clone(),
            low_rank: LowRank { down: self.of(id, W::QueryDown)?, norm: self.of(id, W::QueryNorm)? },
            queries: self.of(id, W::QueryUp)?,
            query_norm: self.ones(sizes.head)?,
            key: self.of(id, W::Key)?,
            key_norm: self.of(id, W::KeyNorm)?,
            sinks: self.of(id, W::Sinks)?,
            compressor: match &sizes.compressor {
                Some(compressor) => Some(self.compressor(id, compressor, &sizes.rope)?),
                None => None,
            },
            out_down: self.of(id, W::MixerOutDown)?,
            out: self.of(id, W::MixerOut)?,
            eps: self.manifest.spec.norm_eps,
        })
    }

    fn compressor(&mut self, id: LayerId, sizes: &spec::Compressor, rope: &spec::Rope) -> Result<Compressor> {
        let rows = [W::CompressedKey, W::CompressedGate, W::CompressedPlaces, W::CompressedNorm];
        let keys = [W::IndexKey, W::IndexGate, W::IndexPlaces, W::IndexNorm];
        Ok(Compressor {
            sizes: sizes.clone(),
            frequencies: rope.frequencies().into_iter().map(|angle| angle as f32).collect(),
            rows: self.mixture(id, rows)?,
            indexer: match &sizes.indexer {
                None => None,
                Some(indexer) => Some(CompressedIndexer {
                    sizes: indexer.clone(),
                    keys: self.mixture(id, keys)?,
                    query: self.of(id, W::IndexQuery)?,
                    weights: self.of(id, W::IndexWeights)?,
                }),
            },
        })
    }

    fn mixture(&mut self, id: LayerId, [key, gate, places, norm]: [W; 4]) -> Result<Mixture> {
        Ok(Mixture {
            key: self.of(id, key)?,
            gate: self.of(id, gate)?,
            places: self.of(id, places)?,
            norm: self.of(id, norm)?,
        })
    }

    fn grouped(&mut self, id: LayerId, gqa: &Gqa) -> Result<GroupedAttention> {
        let norms = match gqa.norm {
            Some(_) => {
                let [query, key] = [W::QueryNorm, W::KeyNorm].map(|norm| Role::Layer(id, norm));
                Some([self.norm(query)?, self.norm(key)?])
            }
            None => None,
        };
        Ok(GroupedAttention {
            gqa: gqa.clone(),
            query: self.linear(id, W::Query, W::QueryBias)?,
            key: self.linear(id, W::Key, W::KeyBias)?,
            value: self.linear(id, W::Value, W::ValueBias)?,
            norms,
            sinks: self.optional(Role::Layer(id, W::Sinks))?,
            eps: self.manifest.spec.norm_eps,
            out: self.linear(id, W::MixerOut, W::MixerOutBias)?,
        })
    }

    fn delta(&mut self, id: LayerId, net: &DeltaNet) -> Result<Delta> {
        let inputs = match net.joint_inputs {
            true => Inputs::Joint(self.of(id, W::JointInputs)?),
            false => Inputs::Mixed { mixed: self.of(id, W::Inputs)?, gate: self.of(id, W::OutGate)? },
        };
        let rates = match net.joint_rates {
            true => Rates::Joint(self.of(id, W::JointRates)?),
            false => {
                let decay = Projection::Direct(self.of(id, W::Decay)?);
                Rates::Apart { strength: self.of(id, W::Strength)?, decay }
            }
        };
        self.recurrent(id, net, (inputs, rates), (&[W::Convolution], W::DeltaOut))
    }

    fn kimi_delta(&mut self, id: LayerId, net: &DeltaNet, kimi: &KimiDelta) -> Result<Delta> {
        let parts = [self.of(id, W::Query)?, self.of(id, W::Key)?, self.of(id, W::Value)?];
        let gate = match kimi.gate_rank {
            Some(_) => self.low_rank(id, W::OutGateDown, W::OutGateUp)?,
            None => Projection::Direct(self.of(id, W::OutGate)?),
        };
        let decay = self.low_rank(id, W::DecayDown, W::DecayUp)?;
        let rates = Rates::Apart { strength: self.of(id, W::Strength)?, decay };
        let convolutions = &[W::QueryConvolution, W::KeyConvolution, W::ValueConvolution];
        self.recurrent(id, net, (Inputs::Apart { parts, gate }, rates), (convolutions, W::MixerOut))
    }

    fn low_rank(&mut self, id: LayerId, down: W, up: W) -> Result<Projection> {
        Ok(Projection::LowRank { down: self.of(id, down)?, up: self.of(id, up)? })
    }

    /// What is the same however inputs are projected.
    fn recurrent(
        &mut self,
        id: LayerId,
        net: &DeltaNet,
        (inputs, rates): (Inputs, Rates),
        (convolutions, out): (&[W], W),
    ) -> Result<Delta> {
        Ok(Delta {
            net: net.clone(),
            inputs,
            rates,
            convolution: self.convolution(id, net, convolutions)?,
            rate: self.spelled(Role::Layer(id, W::DecayRate), &|values| match net.log_rates {
                true => values.iter().map(|log| -(f64::from(*log).exp()) as f32).collect(),
                false => values.to_vec(),
            })?,
            bias: self.of(id, W::DecayBias)?,
            norm: self.of(id, W::AnswerNorm)?,
            eps: self.manifest.spec.norm_eps,
            out: self.of(id, out)?,
        })
    }

    /// From the kernel of each channel to the channels of each token.
    fn convolution(&mut self, id: LayerId, net: &DeltaNet, parts: &[W]) -> Result<Weight> {
        let (channels, kernel) = (net.channels(), net.kernel);
        let mut values = Vec::with_capacity(channels * kernel);
        for part in parts {
            values.extend(self.numbers(Role::Layer(id, *part))?);
        }
        let turned = (0..kernel * channels).map(|i| values[i % channels * kernel + i / channels]);
        self.vector(turned.collect())
    }

    fn latent(&mut self, id: LayerId, mla: &Mla) -> Result<LatentAttention> {
        let (low_rank, queries) = match mla.query_rank {
            None => (None, W::Query),
            Some(_) => {
                let (down, norm) = (self.of(id, W::QueryDown)?, self.of(id, W::QueryNorm)?);
                (Some(LowRank { down, norm }), W::QueryUp)
            }
        };
        let latent_up = match self.optional(Role::Layer(id, W::LatentUp))? {
            Some(joint) => LatentUp::Joint(joint),
            None => LatentUp::Split { key: self.of(id, W::KeyUp)?, value: self.of(id, W::ValueUp)? },
        };
        Ok(LatentAttention {
            mla: mla.clone(),
            low_rank,
            queries: self.of(id, queries)?,
            latent_down: self.of(id, W::LatentDown)?,
            latent_norm: self.of(id, W::LatentNorm)?,
            latent_up,
            chooses: match &mla.scope {
                Scope::All => Chooses::Nothing,
                Scope::Indexed(sizes) => Chooses::Indexer(Box::new(self.indexer(id, sizes)?)),
                Scope::Former { .. } => Chooses::Former,
            },
            gate: self.optional(Role::Layer(id, W::OutGate))?,
            out: self.of(id, W::MixerOut)?,
        })
    }

    fn indexer(&mut self, id: LayerId, sizes: &spec::Indexer) -> Result<Indexer> {
        Ok(Indexer {
            sizes: sizes.clone(),
            query: self.of(id, W::IndexQuery)?,
            key: self.of(id, W::IndexKey)?,
            norm: self.of(id, W::IndexNorm)?,
            bias: self.of(id, W::IndexBias)?,
            weights: self.of(id, W::IndexWeights)?,
        })
    }

    fn ffn(&mut self, id: LayerId) -> Result<Ffn> {
        let spec = &self.manifest.spec.layers[id.0 as usize];
        let (moe, experts) = match (&spec.ffn, self.manifest.experts(id)) {
            (spec::Ffn::Moe(moe), Some(experts)) => (moe, experts),
            (spec::Ffn::Dense { gate, .. }, Some(only)) => {
                let factors = factors::read(only, self.read)?.first().copied().unwrap_or([1.0; 3]);
                return Ok(Ffn::Streamed(Streamed { matrices: only.matrices, factors, gate: *gate }));
            }
            (spec::Ffn::Dense { gate, .. }, None) => {
                return Ok(Ffn::Dense(self.gated(id, [W::Gate, W::Up, W::Down], *gate)?));
            }
            (spec::Ffn::Moe(_), None) => return Err(err_no_experts(id)),
        };
        let shared = [W::SharedGate, W::SharedUp, W::SharedDown];
        Ok(Ffn::Moe(Box::new(Moe {
            rule: moe.router.clone(),
            router: self.linear(id, W::Router, W::LogitBias)?,
            bias: self.optional(Role::Layer(id, W::RouterBias))?,
            table: match self.manifest.table(id) {
                Some(table) => Some(tables::read(table, moe.experts, self.read)?),
                None => None,
            },
            shared: if moe.shared_inner > 0 { Some(self.gated(id, shared, moe.gate)?) } else { None },
            latent: match moe.latent {
                Some(_) => Some(self.latent_width(id)?),
                None => None,
            },
            gate: moe.gate,
            biases: self.expert_biases(id, moe)?,
            shared_scale: self.optional(Role::Layer(id, W::SharedScale))?,
            matrices: experts.matrices,
            alternating: experts.alternating,
            factors: factors::read(experts, self.read)
                .within(|| format!("the scales of whole experts of layer {}", id.0))?,
        })))
    }

    fn latent_width(&mut self, id: LayerId) -> Result<Latent> {
        Ok(Latent {
            down: self.of(id, W::ExpertsDown)?,
            norm: self.of(id, W::ExpertsNorm)?,
            up: self.of(id, W::ExpertsUp)?,
            eps: self.manifest.spec.norm_eps,
        })
    }

    /// Of gate, up and down.
    fn expert_biases(&mut self, id: LayerId, moe: &spec::Moe) -> Result<Option<[Weight; 3]>> {
        if !moe.biases {
            return Ok(None);
        }
        let down = self.of(id, W::DownBiases)?;
        if !moe.alternating {
            return Ok(Some([self.of(id, W::GateBiases)?, self.of(id, W::UpBiases)?, down]));
        }
        let [gate, up] = self.alternating_columns(Role::Layer(id, W::GateUpBiases))?;
        Ok(Some([gate, up, down]))
    }

    /// The even columns and the odd ones, as weights of their own.
    fn alternating_columns(&mut self, role: Role) -> Result<[Weight; 2]> {
        let Some(stored) = self.manifest.stored(role) else { return Err(err_missing(role)) };
        let bytes = self.bytes(stored.values)?;
        let width = bytes.len() / (stored.rows * stored.cols).max(1);
        let plain = stored.quant.block_len() == 1 && stored.scales.is_none();
        if !plain || !stored.cols.is_multiple_of(2) {
            let found = format!("it is stored as {}; expected plain numbers", stored.quant);
            return Err(Error::unsupported(found)).within(|| format!("tensor {}", stored.name));
        }
        let every_other = |first: usize| -> Vec<u8> {
            bytes.chunks_exact(width).skip(first).step_by(2).flatten().copied().collect()
        };
        let place = |first| {
            self.backend.place(stored.quant, stored.rows, stored.cols / 2, every_other(first), Vec::new())
        };
        Ok([place(0)?, place(1)?])
    }

    fn gated(&mut self, id: LayerId, [gate, up, down]: [W; 3], join: Gate) -> Result<Gated> {
        Ok(Gated { gate: self.of(id, gate)?, up: self.of(id, up)?, down: self.of(id, down)?, join })
    }

    /// A product, with its bias where the model has one.
    fn linear(&mut self, id: LayerId, weight: W, bias: W) -> Result<Linear> {
        Ok(Linear { weight: self.of(id, weight)?, bias: self.optional(Role::Layer(id, bias))? })
    }

    fn of(&mut self, id: LayerId, weight: W) -> Result<Weight> {
        self.weight(Role::Layer(id, weight))
    }

    /// The weights of a norm, as they multiply.
    fn norm(&mut self, role: Role) -> Result<Weight> {
        match self.manifest.spec.norm_offset {
            0.0 => self.weight(role),
            offset => self.spelled(role, &|values| values.iter().map(|weight| weight + offset).collect()),
        }
    }

    /// A weight that is computed with as a vector of other numbers than its file has.
    fn spelled(&mut self, role: Role, change: &dyn Fn(&[f32]) -> Vec<f32>) -> Result<Weight> {
        let numbers = change(&self.numbers(role)?);
        self.vector(numbers)
    }

    /// The numbers a weight stands for.
    fn numbers(&mut self, role: Role) -> Result<Vec<f32>> {
        let stored = self.manifest.stored(role).ok_or_else(|| err_missing(role))?;
        let (values, scales) = self.planes(stored).within(|| format!("tensor {}", stored.name))?;
        let matrix = Matrix::new(stored.quant, stored.rows, stored.cols, &values, &scales)?;
        let mut numbers = vec![0.0; stored.rows * stored.cols];
        for (row, out) in numbers.chunks_exact_mut(stored.cols).enumerate() {
            stored.quant.dequantize(matrix.row(row), out);
        }
        Ok(numbers)
    }

    fn vector(&mut self, numbers: Vec<f32>) -> Result<Weight> {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.backend.place(Quant::F32, 1, numbers.len(), bytes, Vec::new())
    }

    fn weight(&mut self, role: Role) -> Result<Weight> {
        self.optional(role)?.ok_or_else(|| err_missing(role))
    }

    fn optional(&mut self, role: Role) -> Result<Option<Weight>> {
        let Some(stored) = self.manifest.stored(role) else { return Ok(None) };
        self.place(stored).within(|| format!("tensor {}", stored.name)).map(Some)
    }

    fn place(&mut self, stored: &Stored) -> Result<Weight> {
        let (values, scales) = self.planes(stored)?;
        let mut weight = self.backend.place(stored.quant, stored.rows, stored.cols, values, scales)?;
        if let Some(factor) = &stored.factor {
            let mut four = [0; 4];
            (self.read)(factor.extent, &mut four)?;
            weight.factor = factor.spelled(four)?;
        }
        Ok(weight)
    }

    fn planes(&mut self, stored: &Stored) -> Result<(Vec<u8>, Vec<u8>)> {
        let values = self.bytes(stored.values)?;
        let scales = match stored.scales {
            Some(scales) => self.bytes(scales)?,
            None => Vec::new(),
        };
        Ok((values, scales))
    }

    /// The extent lies within its file, as was checked when the file was opened, so its length can be trusted.
    fn bytes(&mut self, extent: Extent) -> Result<Vec<u8>> {
        let mut bytes = vec![0; extent.len as usize];
        (self.read)(extent, &mut bytes)?;
        Ok(bytes)
    }
}

fn err_no_experts(id: LayerId) -> Error {
    Error::corrupt(format!("layer {} has no experts", id.0))
}

fn err_missing(role: Role) -> Error {
    Error::corrupt(format!("the model has no {role}"))
}

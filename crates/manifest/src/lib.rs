//! A checkpoint opened: its spec, and where every weight lies.
//!
//! Opening claims every tensor for a role, or refuses the model: a tensor that is missing, unknown, or of another
//! shape than the spec gives is an error that names it. After this, nothing knows what tensors were called.
#![forbid(unsafe_code)]

mod claims;
mod quantization;
mod stored;
mod projections;
mod experts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base::{Context, Error, LayerId, Quoted, Result};
use formats::{Checkpoint, Format};
use spec::{Claim, Config, Family, LayerWeight, ModelSpec, Names, Role, families};

pub use experts::{ExpertMatrix, LayerExperts};
pub use stored::{Factor, Stored, Table};

/// An opened model: what it is, and where its bytes lie.
#[derive(Debug)]
pub struct Manifest {
    /// What the model is.
    pub spec: ModelSpec,
    /// The files, by [`base::FileId`].
    pub files: Vec<PathBuf>,
    /// What each tensor of the checkpoint is for, in the checkpoint's order.
    pub claims: Vec<Claim>,
    trunk: BTreeMap<Role, Stored>,
    tables: BTreeMap<LayerId, Table>,
    experts: Vec<Option<LayerExperts>>,
}

impl Manifest {
    /// Claims every tensor of `checkpoint`. Reads no weights.
    pub fn new(checkpoint: &Checkpoint) -> Result<Self> {
        let described = || checkpoint.root.display().to_string();
        let family = family(checkpoint).within(described)?;
        let spec = read_spec(family, checkpoint).within(described)?;
        quantization::check(checkpoint).within(described)?;
        let names = match checkpoint.format {
            Format::Gguf => Names::new(family.gguf_names, "", family.skips, &spec),
            Format::Safetensors => Names::new(family.names, family.prefix, family.skips, &spec),
        };
        let (claims, found) = claims::claim(checkpoint, &names)?;
        let (mut stored, mut tables) = (BTreeMap::new(), BTreeMap::new());
        for (role, parts) in found {
            match role {
                Role::Layer(layer, LayerWeight::ExpertTable) => {
                    tables.insert(layer, parts.table(checkpoint, &spec, role)?);
                }
                _ => {
                    stored.insert(role, parts.resolve(checkpoint, &spec, role)?);
                }
            }
        }
        projections::take_apart(&mut stored, &spec).within(described)?;
        check_trunk(&stored, &tables, &spec, &names).within(described)?;
        let experts = experts::collect(&mut stored, &spec, &names).within(described)?;
        Ok(Self { spec, files: checkpoint.files.clone(), claims, trunk: stored, tables, experts })
    }

    /// Opens the model at `path`: a GGUF file, or a folder of safetensors.
    pub fn open(path: &Path) -> Result<(Checkpoint, Self)> {
        let checkpoint = formats::open(path)?;
        let manifest = Self::new(&checkpoint)?;
        Ok((checkpoint, manifest))
    }

    /// The same model with its dense feed-forward networks streamed as well: each is the one expert of its layer, which
    /// every token uses.
    pub fn with_dense_streamed(&self) -> Self {
        let (mut trunk, mut experts) = (self.trunk.clone(), self.experts.clone());
        for (index, of_layer) in experts.iter_mut().enumerate().filter(|(_, of_layer)| of_layer.is_none()) {
            let role = |weight| Role::Layer(LayerId(index as u32), weight);
            let roles = [LayerWeight::Gate, LayerWeight::Up, LayerWeight::Down].map(role);
            if let [Some(gate), Some(up), Some(down)] = roles.map(|role| trunk.get(&role).cloned()) {
                *of_layer = Some(LayerExperts::of_dense(&[gate, up, down]));
                roles.iter().for_each(|role| drop(trunk.remove(role)));
            }
        }
        let (spec, files, claims) = (self.spec.clone(), self.files.clone(), self.claims.clone());
        Self { spec, files, claims, trunk, tables: self.tables.clone(), experts }
    }

    /// Whether dense feed-forward networks are streamed.
    pub fn streams_dense(&self) -> bool {
        let layers = self.spec.layers.iter().zip(&self.experts);
        layers.into_iter().any(|(layer, experts)| layer.moe().is_none() && experts.is_some())
    }

    /// Where the weight with this role lies, if the model has it.
    pub fn stored(&self, role: Role) -> Option<&Stored> {
        self.trunk.get(&role)
    }

    /// Where the table lies that says the experts of each token, if the layer has one.
    pub fn table(&self, layer: LayerId) -> Option<&Table> {
        self.tables.get(&layer)
    }

    /// Whether the embedding stays in memory. A token needs one row of it, so it does not, unless it is also the
    /// output head or its rows cannot be told apart in the file.
    pub fn embedding_is_resident(&self) -> bool {
        let apart = |stored: &Stored| {
            stored.scales.is_none() && stored.values.len.is_multiple_of(stored.rows.max(1) as u64)
        };
        !(self.trunk.contains_key(&Role::Head) && self.stored(Role::Embedding).is_some_and(apart))
    }

    /// What of a layer is read when it is called for: its routed experts; `None` for a dense layer that stays resident.
    pub fn experts(&self, layer: LayerId) -> Option<&LayerExperts> {
        self.experts.get(layer.0 as usize)?.as_ref()
    }

    /// Bytes of everything that stays resident.
    pub fn trunk_bytes(&self) -> u64 {
        let resident = |role: &Role| *role != Role::Embedding || self.embedding_is_resident();
        let bytes = |(role, stored): (&Role, &Stored)| match role {
            // Spelled out and turned, and read whole each time: in f32, twice.
            Role::Layer(_, LayerWeight::Convolution) => (8 * stored.rows * stored.cols) as u64,
            _ => stored.bytes(),
        };
        let tables: usize =
            self.tables.values().map(|table| table.rows * table.cols * size_of::<u32>()).sum();
        self.trunk.iter().filter(|(role, _)| resident(role)).map(bytes).sum::<u64>() + tables as u64
    }

    /// Bytes of all routed experts.
    pub fn expert_bytes(&self) -> u64 {
        self.experts.iter().flatten().map(|layer| layer.expert_bytes() * layer.count() as u64).sum()
    }

    /// Number of weights, resident and routed, as published: a packed weight counts as what it stands for.
    pub fn parameters(&self) -> u64 {
        let trunk: u64 = self.trunk.values().map(|stored| (stored.rows * stored.cols) as u64).sum();
        let experts = self.experts.iter().flatten().map(LayerExperts::parameters).sum::<u64>();
        trunk + experts
    }

    /// What multiplying a token with weights takes.
    pub fn multiply_adds(&self) -> MultiplyAdds {
        let of = |stored: &Stored| (stored.rows * stored.cols) as u64;
        let by_every_token = |role: &Role| !matches!(role, Role::Embedding | Role::Head);
        let layers = self.spec.layers.iter().zip(&self.experts).filter_map(|(layer, experts)| {
            let used = layer.moe().map_or(1, |moe| moe.router.top_k as u64);
            let experts = experts.as_ref()?;
            Some(used * (experts.parameters() / experts.count().max(1) as u64))
        });
        MultiplyAdds {
            trunk: self
                .trunk
                .iter()
                .filter(|(role, _)| by_every_token(role))
                .map(|(_, stored)| of(stored))
                .sum(),
            experts: layers.sum(),
            head: self.stored(Role::Head).or(self.stored(Role::Embedding)).map_or(0, of),
        }
    }
}

/// Multiply-adds of a token with weights: what attention takes to compare tokens comes on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultiplyAdds {
    /// With the weights that every token meets.
    pub trunk: u64,
    /// With the experts it is routed to.
    pub experts: u64,
    /// With the output head, which only the last token of a prompt meets.
    pub head: u64,
}

fn family(checkpoint: &Checkpoint) -> Result<&'static Family> {
    let config = Config::new(&checkpoint.config);
    let (key, find): (_, fn(&str) -> Result<&'static Family>) = match checkpoint.format {
        Format::Gguf => ("general.architecture", families::by_gguf_architecture),
        Format::Safetensors => ("model_type", families::by_model_type),
    };
    match config.text_or(key, "")? {
        "" => families::by_keys(&config)
            .ok_or_else(|| Error::corrupt(format!("no `{key}` tells which family the model is of"))),
        name => find(name),
    }
}

fn read_spec(family: &Family, checkpoint: &Checkpoint) -> Result<ModelSpec> {
    let config = Config::new(&checkpoint.config);
    match checkpoint.format {
        Format::Safetensors => (family.read_config)(config),
        Format::Gguf => {
            let prefix = format!("{}.", config.text_or("general.architecture", "")?);
            let shape = |name: &str| {
                let tensor = checkpoint.tensors.iter().find(|tensor| tensor.name == name)?;
                Some(tensor.shape.clone())
            };
            (family.read_gguf)(config.with_prefix(&prefix), &shape)
        }
    }
}

/// Everything the spec asks for is there, and nothing else.
fn check_trunk(
    stored: &BTreeMap<Role, Stored>,
    tables: &BTreeMap<LayerId, Table>,
    spec: &ModelSpec,
    names: &Names,
) -> Result<()> {
    let holds = |layer: LayerId, weight| stored.contains_key(&Role::Layer(layer, weight));
    let split = |layer| holds(layer, LayerWeight::KeyUp) || holds(layer, LayerWeight::ValueUp);
    let wanted: BTreeSet<Role> = spec.trunk(split).into_iter().collect();
    let found = |role: &Role| match role {
        Role::Layer(layer, LayerWeight::ExpertTable) => tables.contains_key(layer),
        _ => stored.contains_key(role),
    };
    if let Some(missing) = wanted.iter().find(|role| !found(role)) {
        return Err(err_missing(*missing, names));
    }
    match stored.iter().find(|(role, _)| !wanted.contains(role) && !experts::is_routed(role)) {
        Some((role, stored)) => Err(err_extra(&stored.name, *role)),
        None => Ok(()),
    }
}

fn err_extra(name: &str, role: Role) -> Error {
    Error::corrupt(format!(
        "tensor {} ({role}) has no place in this model, which holds the same weight in another form",
        Quoted(name)
    ))
}

fn err_missing(role: Role, names: &Names) -> Error {
    let name = names.every_name(role).collect::<Vec<_>>().join(" or ");
    Error::corrupt(format!("tensor {name} ({role}) is missing; is the download complete?"))
}

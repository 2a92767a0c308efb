//! Layouts of quantized checkpoints that no fixture has: fixtures of a sibling layout, their tensors spelled anew.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use manifest::Manifest;
use serde_json::{Map, Value, json};

/// How a tensor is spelled: type, shape, bytes.
type Spelled = (String, Vec<u64>, Vec<u8>);

/// The formats of the fixture's tensors after `spell` on each by its name and `configure` on the quantization.
fn formats(
    name: &str,
    spell: impl Fn(&str, Spelled) -> Spelled,
    configure: impl Fn(&mut Value),
) -> BTreeSet<String> {
    let from = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/deepseek_v3")).join(name);
    let file = fs::read(from.join("model.safetensors")).unwrap();
    let len = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let old: Map<String, Value> = serde_json::from_slice(&file[8..8 + len]).unwrap();
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, entry) in old.iter().filter(|(name, _)| *name != "__metadata__") {
        let [start, end] = [0, 1].map(|i| 8 + len + entry["data_offsets"][i].as_u64().unwrap() as usize);
        let shape = entry["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        let spelled = (entry["dtype"].as_str().unwrap().to_owned(), shape, file[start..end].to_vec());
        let (dtype, shape, bytes) = spell(name, spelled);
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        data.extend(bytes);
    }
    let header = Value::from(header).to_string();
    let folder = tempfile::tempdir().unwrap();
    let whole = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
    fs::write(folder.path().join("model.safetensors"), whole).unwrap();
    let mut config: Value = serde_json::from_slice(&fs::read(from.join("config.json")).unwrap()).unwrap();
    configure(&mut config["quantization_config"]);
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();

    let (_, manifest) = Manifest::open(folder.path()).unwrap();
    let layers = (0..8).filter_map(|layer| manifest.experts(base::LayerId(layer)));
    layers
        .flat_map(|experts| {
            format!("{experts:?}").split("quant: ").skip(1).map(first_word).collect::<Vec<_>>()
        })
        .collect()
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn four_bit_floats_of_compressed_tensors_are_read() {
    let found = formats(
        "kimi_int4/hf",
        |name, (dtype, shape, bytes)| match name {
            name if name.ends_with("_packed") => ("U8".to_owned(), vec![shape[0], shape[1] * 4], bytes),
            name if name.ends_with("weight_scale") => {
                ("U8".to_owned(), shape, bytes[bytes.len() / 2..].to_vec())
            }
            _ => (dtype, shape, bytes),
        },
        |quantization| {
            quantization["format"] = "mxfp4-pack-quantized".into();
            quantization["config_groups"]["group_0"]["weights"]["type"] = "float".into();
        },
    );
    assert_eq!(found, BTreeSet::from(["Mxfp4G32".to_owned()]));
}

#[test]
fn fp8_with_powers_of_two_is_read() {
    let found = formats(
        "grouped_fp8/hf",
        |name, (dtype, shape, bytes)| match name {
            name if name.ends_with("_scale_inv") => {
                ("F8_E8M0".to_owned(), shape, bytes[bytes.len() / 4 * 3..].to_vec())
            }
            _ => (dtype, shape, bytes),
        },
        |_| {},
    );
    assert_eq!(found, BTreeSet::from(["Fp8B128E8m0".to_owned()]));
}

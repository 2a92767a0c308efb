//! Outlines against what is published about the models, and the files against their outlines.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::PathBuf;

use formats::gguf::read_header;
use geometry::{ALL, Choice, Geometry, Outline, by_name};

/// Billions of weights, without layers that only predict several tokens ahead and without vision.
const PUBLISHED: &[(&str, f64)] = &[
    ("kimi-k2", 1026.41),
    ("kimi-k2.5", 1026.41),
    ("kimi-linear-48b-a3b", 49.12),
    ("deepseek-v3", 671.03),
    ("deepseek-v3.2", 671.88),
    ("deepseek-v4-flash", 284.33),
    ("glm-5", 743.91),
    ("glm-5.2", 743.38),
    ("qwen3.5-397b-a17b", 396.35),
    ("qwen3.5-122b-a10b", 122.11),
    ("qwen3.5-35b-a3b", 34.66),
    ("qwen3.8-2.4t-a95b", 2419.8),
    ("qwen3-30b-a3b", 30.53),
    ("qwen3-235b-a22b", 235.09),
    ("qwen3-coder-480b-a35b", 480.15),
    ("mixtral-8x7b", 46.70),
    ("mixtral-8x22b", 140.63),
    ("olmoe-1b-7b", 6.92),
    ("gpt-oss-120b", 116.83),
    ("gpt-oss-20b", 20.91),
    ("glm-4.6", 352.80),
    ("glm-4.5-air", 106.85),
    ("glm-4.7-flash", 29.94),
    ("llama-3.3-70b", 70.55),
    ("qwen3-32b", 32.76),
    ("minimax-m2", 228.69),
];

#[test]
fn a_geometry_has_as_many_weights_as_the_published_model() {
    for (name, billions) in PUBLISHED {
        let outline = Outline::new(by_name(name).unwrap(), &Choice::default()).unwrap();
        let found = outline.parameters() as f64 / 1e9;
        assert!((found - billions).abs() < 0.006_f64.max(billions * 3e-5), "{name}: {found} of {billions}");
    }
}

#[test]
fn kimi_k3_has_about_as_many_weights_as_told() {
    // Nobody counted to the last digit: 2.78 trillion, of which 57 billion are no routed experts.
    let k3 = by_name("kimi-k3").unwrap();
    let outline = Outline::new(k3, &Choice { trunk: Some("F16".into()), ..Choice::default() }).unwrap();
    assert_eq!((outline.parameters() as f64 / 1e10).round(), 278.0);
    let routed = 92 * 896 * 3 * 3584 * 3072_u64;
    assert_eq!(((outline.parameters() - routed) as f64 / 1e9).round(), 57.0);
    // As published, experts lie in MXFP4: 17 bytes for 32 weights.
    assert_eq!(outline.expert_bytes(), routed / 32 * 17);
}

#[test]
fn attention_keeps_as_much_of_a_token_as_published() {
    let bytes_in_16_bits = [
        ("kimi-k2", 70_272),
        ("deepseek-v3.2", 70_272 + 61 * 256),
        ("deepseek-v4-flash", 21 * 320 + 20 * 8),
        ("glm-5", 89_856 + 78 * 256),
        ("glm-5.2", 89_856 + 21 * 256),
        ("qwen3.5-397b-a17b", 30_720),
        ("kimi-linear-48b-a3b", 7 * 1152),
        ("kimi-k3", 27_648),
        ("qwen3-30b-a3b", 98_304),
        ("gpt-oss-120b", 73_728),
        ("glm-4.6", 376_832),
        ("minimax-m2", 253_952),
    ];
    for (name, bytes) in bytes_in_16_bits {
        let outline = Outline::new(by_name(name).unwrap(), &Choice::default()).unwrap();
        assert_eq!(2 * outline.kv_values_per_token(), bytes, "{name}");
    }
}

/// Every block of a geometry in a few MB.
fn shrunk(geometry: &Geometry) -> &'static Geometry {
    use geometry::{Alternating, Compressed, Grouped, Indexer, Kimi, Latent, Mixer, Shared, Third};
    let mut small = geometry.clone();
    let latent = |of: Latent| Latent { heads: 4, query_rank: of.query_rank.min(64), latent: 64, ..of };
    let grouped = |of: Grouped| Grouped { heads: 4, kv_heads: 2, head: 64, ..of };
    (small.layers, small.hidden, small.vocab) = (small.dense_layers + 4, 256, 512);
    if geometry.is_dense() {
        (small.layers, small.dense_layers) = (2, 2);
    }
    small.dense_inner = small.dense_inner.min(256);
    if !geometry.is_dense() {
        (small.moe.experts, small.moe.top_k, small.moe.inner) = (16, 4, 256);
    }
    if let Shared::Gated(_) = small.moe.shared {
        small.moe.shared = Shared::Gated(256);
    }
    small.moe.groups = small.moe.groups.map(|(groups, used)| (groups.min(4), used.min(2)));
    small.text.controls = &[];
    small.mixer = match small.mixer {
        Mixer::Latent(of) => Mixer::Latent(latent(of)),
        Mixer::Kimi(of) => {
            let third = of.third.map(|third| Third { width: 256, block: 2, ..third });
            Mixer::Kimi(Kimi { latent: latent(of.latent), third, ..of })
        }
        Mixer::Grouped(of) => Mixer::Grouped(grouped(of)),
        Mixer::Compressed(of) => Mixer::Compressed(Compressed {
            heads: 4,
            head: 128,
            query_rank: 64,
            groups: 2,
            group_rank: 64,
            indexer: Indexer { heads: 16, head: 64, ..of.indexer },
            ..of
        }),
        Mixer::Alternating(of) => Mixer::Alternating(Alternating {
            grouped: grouped(of.grouped),
            key_heads: 2,
            value_heads: 4,
            ..of
        }),
    };
    small.rope.dims = small.rope.dims.min(64);
    Box::leak(Box::new(small))
}

fn written(outline: &Outline) -> Vec<u8> {
    let mut file = Vec::new();
    outline.write(&mut file, &mut |_| Ok(())).unwrap();
    file
}

#[test]
fn a_file_is_what_its_outline_says() {
    for geometry in ALL {
        let outline = Outline::new(shrunk(geometry), &Choice::default()).unwrap();
        let file = written(&outline);
        assert_eq!(file.len() as u64, outline.bytes(), "{}", geometry.name);
        let header = read_header(file.as_slice(), base::FileId(0), file.len() as u64).unwrap();
        let planned = outline.checkpoint(PathBuf::from("x.gguf")).unwrap();
        assert_eq!(header.tensors, planned.tensors, "{}", geometry.name);
        assert_eq!(header.metadata, planned.metadata, "{}", geometry.name);
        let bytes: u64 = planned.tensors.iter().map(|tensor| tensor.extent.len).sum();
        let embedding = planned.tensors.iter().find(|tensor| tensor.name == "token_embd.weight").unwrap();
        assert_eq!(outline.trunk_bytes() + outline.expert_bytes() + embedding.extent.len, bytes);
    }
}

#[test]
fn progress_tells_every_byte_and_its_error_ends_the_writing() {
    let outline = Outline::new(by_name("deepseek-tiny").unwrap(), &Choice::default()).unwrap();
    let mut last = 0;
    outline
        .write(std::io::sink(), &mut |done| {
            last = done;
            Ok(())
        })
        .unwrap();
    assert!(outline.bytes() - last < 32 * 200, "{last} of {}", outline.bytes());
    let mut calls = 0;
    let ended = outline.write(std::io::sink(), &mut |_| {
        calls += 1;
        if calls == 3 { Err(base::Error::cancelled()) } else { Ok(()) }
    });
    assert_eq!(ended.unwrap_err().kind(), base::Kind::Cancelled);
    assert_eq!(calls, 3);
}

#[test]
fn the_seed_decides_every_byte() {
    let tiny = by_name("deepseek-tiny").unwrap();
    let of =
        |seed| written(&Outline::new(tiny, &Choice { seed, layers: Some(2), ..Choice::default() }).unwrap());
    assert!(of(1) == of(1));
    assert!(of(1) != of(2));
}

#[test]
fn what_projects_down_may_have_a_format_of_its_own() {
    let qwen = by_name("qwen3-30b-a3b").unwrap();
    let experts = Some("Q4_K".to_owned());
    let of = |down: Option<String>| {
        let choice = Choice { layers: Some(1), experts: experts.clone(), down, ..Choice::default() };
        Outline::new(qwen, &choice).unwrap().expert_bytes()
    };
    // 128 experts of three matrices of 768 x 2048: 144 bytes for 256 weights in Q4_K, and 210 in Q6_K.
    let blocks = 128 * 768 * 2048 / 256;
    assert_eq!(of(None), blocks * 3 * 144);
    assert_eq!(of(Some("Q6_K".to_owned())), blocks * (2 * 144 + 210));
}

#[test]
fn what_cannot_be_is_refused_with_what_can() {
    let cases: &[(&str, Choice, &str)] = &[
        ("kimi-k2", Choice { layers: Some(0), ..Choice::default() }, "2 to 61"),
        ("kimi-k2", Choice { layers: Some(1), ..Choice::default() }, "2 to 61"),
        ("minimax-m2", Choice { layers: Some(63), ..Choice::default() }, "1 to 62"),
        ("gpt-oss-120b", Choice { experts: Some("Q4_K".into()), ..Choice::default() }, "rows of 2880"),
        ("kimi-k2", Choice { trunk: Some("Q9_9".into()), ..Choice::default() }, "Q8_0"),
        ("kimi-k2", Choice { experts: Some("I32".into()), ..Choice::default() }, "`I32`"),
        ("qwen3-30b-a3b", Choice { down: Some("Q9_9".into()), ..Choice::default() }, "Q8_0"),
        ("gpt-oss-20b", Choice { down: Some("Q6_K".into()), ..Choice::default() }, "rows of 2880"),
        ("kimi-k2", Choice { skew: -1.0, ..Choice::default() }, "skew"),
        ("kimi-k2", Choice { skew: f64::NAN, ..Choice::default() }, "skew"),
    ];
    for (name, choice, expected) in cases {
        let error = Outline::new(by_name(name).unwrap(), choice).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let down = Choice { down: Some("Q6_K".into()), ..Choice::default() };
    let error = Outline::new(by_name("gpt-oss-20b").unwrap(), &down).unwrap_err();
    assert_eq!(error.next_step(), Some("--down MXFP4"));
    assert!(by_name("kimi-k9").unwrap_err().to_string().contains("kimi-k2.5"));
    assert_eq!(by_name("Kimi-K2").unwrap().name, "kimi-k2");
}

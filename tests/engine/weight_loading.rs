//! Checkpoints as they are published: names, shards, and sizes beyond memory.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use one4d_engine::Result;
use one4d_engine::inspect::inspect;
use one4d_engine::models::wan::{WanConfig, WanDit};
use one4d_engine::nn::Weights;
use one4d_engine::weight_files::{WeightFiles, weight_paths};

/// Wan2.1-Fun-14B-InP in its number of blocks, tiny in every width.
fn narrow_14b() -> WanConfig {
    WanConfig {
        dim: 12,
        ffn_dim: 16,
        num_heads: 2,
        text_dim: 8,
        freq_dim: 8,
        image_dim: Some(10),
        ..WanConfig::fun_inp_14b()
    }
}

/// Names and shapes as the publisher's files have them, written down and not asked of the network.
fn published(cfg: &WanConfig) -> BTreeMap<String, Vec<usize>> {
    let (dim, ffn, image) = (cfg.dim, cfg.ffn_dim, 10);
    let mut all = BTreeMap::new();
    let mut linear = |name: String, outputs: usize, inputs: usize| {
        all.insert(format!("{name}.weight"), vec![outputs, inputs]);
        all.insert(format!("{name}.bias"), vec![outputs]);
    };
    linear("text_embedding.0".to_owned(), dim, cfg.text_dim);
    linear("text_embedding.2".to_owned(), dim, dim);
    linear("time_embedding.0".to_owned(), dim, cfg.freq_dim);
    linear("time_embedding.2".to_owned(), dim, dim);
    linear("time_projection.1".to_owned(), 6 * dim, dim);
    linear("img_emb.proj.1".to_owned(), image, image);
    linear("img_emb.proj.3".to_owned(), dim, image);
    linear("head.head".to_owned(), 64, dim);
    for block in 0..40 {
        for module in [
            "self_attn.q",
            "self_attn.k",
            "self_attn.v",
            "self_attn.o",
            "cross_attn.q",
            "cross_attn.k",
            "cross_attn.v",
            "cross_attn.o",
            "cross_attn.k_img",
            "cross_attn.v_img",
        ] {
            linear(format!("blocks.{block}.{module}"), dim, dim);
        }
        linear(format!("blocks.{block}.ffn.0"), ffn, dim);
        linear(format!("blocks.{block}.ffn.2"), dim, ffn);
    }
    for block in 0..40 {
        let mut one =
            |name: &str, shape: Vec<usize>| all.insert(format!("blocks.{block}.{name}"), shape);
        one("modulation", vec![1, 6, dim]);
        one("norm3.weight", vec![dim]);
        one("norm3.bias", vec![dim]);
        for norm in [
            "self_attn.norm_q",
            "self_attn.norm_k",
            "cross_attn.norm_q",
            "cross_attn.norm_k",
            "cross_attn.norm_k_img",
        ] {
            one(&format!("{norm}.weight"), vec![dim]);
        }
    }
    for (name, shape) in [
        ("patch_embedding.weight", vec![dim, 36, 1, 2, 2]),
        ("patch_embedding.bias", vec![dim]),
        ("head.modulation", vec![1, 2, dim]),
        ("img_emb.proj.0.weight", vec![image]),
        ("img_emb.proj.0.bias", vec![image]),
        ("img_emb.proj.4.weight", vec![dim]),
        ("img_emb.proj.4.bias", vec![dim]),
    ] {
        all.insert(name.to_owned(), shape);
    }
    all
}

/// Seven shards with their index, the last tensor of every shard cut off the next one's start.
fn write_shards(folder: &Path, shapes: &BTreeMap<String, Vec<usize>>) {
    let all: Vec<_> = shapes.iter().collect();
    let mut map = serde_json::Map::new();
    for (index, part) in all.chunks(shapes.len().div_ceil(7)).enumerate() {
        let file = format!(
            "diffusion_pytorch_model-{:05}-of-00007.safetensors",
            index + 1
        );
        let tensors: HashMap<String, Tensor> = part
            .iter()
            .map(|(name, shape)| {
                map.insert((*name).clone(), file.clone().into());
                let zeros = Tensor::zeros(shape.as_slice(), DType::BF16, &Device::Cpu).unwrap();
                ((*name).clone(), zeros)
            })
            .collect();
        candle_core::safetensors::save(&tensors, folder.join(file)).unwrap();
    }
    let index = serde_json::json!({ "weight_map": map }).to_string();
    std::fs::write(
        folder.join("diffusion_pytorch_model.safetensors.index.json"),
        index,
    )
    .unwrap();
}

#[test]
fn a_sharded_checkpoint_of_the_14b_is_consumed_to_the_last_name() -> Result<()> {
    let cfg = narrow_14b();
    let mut shapes = published(&cfg);
    assert_eq!(shapes.len(), 1303);
    let folder = tempfile::tempdir().unwrap();
    write_shards(folder.path(), &shapes);
    assert_eq!(weight_paths(folder.path())?.len(), 7);
    let weights = Weights::open(folder.path(), DType::F32, &Device::Cpu)?;
    WanDit::from_weights(&cfg, &weights)?;
    assert_eq!(weights.unused(), Vec::<String>::new());
    weights.finish()?;

    shapes.remove("blocks.39.cross_attn.norm_k_img.weight");
    shapes.insert("blocks.40.modulation".to_owned(), vec![1, 6, cfg.dim]);
    shapes.insert("blocks.7.ffn.0.bias".to_owned(), vec![cfg.ffn_dim + 1]);
    write_shards(folder.path(), &shapes);
    let weights = Weights::open(folder.path(), DType::F32, &Device::Cpu)?;
    WanDit::from_weights(&cfg, &weights)?;
    let error = weights.finish().unwrap_err().to_string();
    for part in [
        "blocks.39.cross_attn.norm_k_img.weight [12] is missing",
        "blocks.40.modulation is unexpected",
        "blocks.7.ffn.0.bias is [17], must be [16]",
    ] {
        assert!(error.contains(part), "{error}");
    }
    Ok(())
}

/// Kilobytes of a mapped file that lie in memory.
#[cfg(target_os = "linux")]
fn resident_kib(path: &Path) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let name = path.to_string_lossy().into_owned();
    let mut ours = false;
    let mut total = 0;
    for line in maps.lines() {
        let is_head = line
            .split_once('-')
            .is_some_and(|(a, _)| u64::from_str_radix(a, 16).is_ok());
        if is_head {
            ours = line.ends_with(&name);
        } else if let Some(kib) = line.strip_prefix("Rss:").filter(|_| ours) {
            total += kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
        }
    }
    total
}

/// A file of 8 GiB of which nothing is written but head and tail.
#[cfg(target_os = "linux")]
#[test]
fn a_file_of_eight_gigabytes_is_mapped_and_not_read() -> Result<()> {
    use std::io::{Seek as _, SeekFrom, Write as _};
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.safetensors");
    let large = 65_536_u64 * 65_536 * 2;
    let header = serde_json::json!({
        "blocks.0.self_attn.q.weight": {
            "dtype": "BF16", "shape": [65_536, 65_536], "data_offsets": [0, large]
        },
        "patch_embedding.bias": { "dtype": "F32", "shape": [2], "data_offsets": [large, large + 8] },
    });
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes())
        .unwrap();
    file.write_all(&header).unwrap();
    let tail = 8 + header.len() as u64 + large;
    file.seek(SeekFrom::Start(tail)).unwrap();
    file.write_all(bytemuck::cast_slice(&[1.5_f32, -2.0]))
        .unwrap();
    drop(file);
    let about = std::fs::metadata(&path).unwrap();
    assert!(about.len() > 8 << 30 && about.blocks() * 512 < 1 << 20);

    let files = WeightFiles::open(&[&path])?;
    assert_eq!(
        files.shape("blocks.0.self_attn.q.weight"),
        Some(&[65_536, 65_536][..])
    );
    let bias = files.load("patch_embedding.bias", &Device::Cpu)?.unwrap();
    assert_eq!(bias.to_vec1::<f32>()?, [1.5, -2.0]);
    let found = inspect(&path)?;
    assert_eq!(found.parameters, 65_536 * 65_536 + 2);
    let resident = resident_kib(&path);
    assert!(
        resident > 0 && resident < 4096,
        "{resident} KiB are in memory"
    );
    Ok(())
}

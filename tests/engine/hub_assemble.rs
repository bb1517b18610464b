//! A model folder out of fetched files: what the manifest says, what is linked, what is refused.

use std::path::{Path, PathBuf};

use one4d_engine::hub::{self, HubSettings, RepoCache, State, assemble, find, look, recipe};
use one4d_engine::job::JobCtx;
use one4d_engine::models::one4d::{ConditioningKind, Coupling};
use one4d_engine::pipeline::{BundleManifest, CodecSpec, ImageSpec};
use one4d_engine::weight_files::pickle;
use one4d_engine::weight_files::weight_paths;
use one4d_tests::hub_server::COMMIT;
use one4d_tests::zip::zip;
use safetensors::tensor::{Dtype, TensorView};

use crate::weight_files::{program, rebuilt};

/// Width of the network in these tests.
const DIM: usize = 16;

/// Puts a file into the cache as a download would have.
fn put(cache: &Path, hub_id: &str, name: &str, bytes: &[u8]) {
    let repo = RepoCache::new(cache, hub_id);
    let path = repo.snapshot(COMMIT).join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn weights(names: &[&str]) -> Vec<u8> {
    let data = [0_u8; 16];
    let view = |name: &&str| {
        let view = TensorView::new(Dtype::F32, vec![4], &data).unwrap();
        ((*name).to_owned(), view)
    };
    safetensors::serialize(names.iter().map(view), None).unwrap()
}

fn put_base(cache: &Path) {
    let put =
        |name: &str, bytes: &[u8]| put(cache, "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers", name, bytes);
    let config = serde_json::json!({
        "_class_name": "WanTransformer3DModel", "num_attention_heads": 2, "attention_head_dim": 8,
        "num_layers": 2, "in_channels": 36, "out_channels": 16, "ffn_dim": 32, "freq_dim": 8,
        "text_dim": 4096, "image_dim": 1280, "patch_size": [1, 2, 2], "eps": 1e-6,
        "cross_attn_norm": true, "qk_norm": "rms_norm_across_heads", "added_kv_proj_dim": DIM,
        "rope_max_seq_len": 1024, "pos_embed_seq_len": null,
    });
    put("transformer/config.json", config.to_string().as_bytes());
    let index = serde_json::json!({ "weight_map": {
        "a": "diffusion_pytorch_model-00001-of-00002.safetensors",
        "b": "diffusion_pytorch_model-00002-of-00002.safetensors",
    }});
    let shards = "transformer/diffusion_pytorch_model";
    put(
        &format!("{shards}.safetensors.index.json"),
        index.to_string().as_bytes(),
    );
    put(
        &format!("{shards}-00001-of-00002.safetensors"),
        &weights(&["a"]),
    );
    put(
        &format!("{shards}-00002-of-00002.safetensors"),
        &weights(&["b"]),
    );
    put("vae/diffusion_pytorch_model.safetensors", &weights(&["v"]));
    put("text_encoder/model.safetensors", &weights(&["t"]));
    put("image_encoder/model.safetensors", &weights(&["i"]));
    put("tokenizer/tokenizer.json", b"{}");
    put(
        "README.md",
        b"---\nlicense: apache-2.0\ntags:\n- video\n---\n# Wan\n",
    );
}

/// A tensor of two rows by itself, as `torch.save` keeps it.
fn torch_file(values: &[f32]) -> Vec<u8> {
    let (count, width) = (values.len() as u32, values.len() as u32 / 2);
    let tensor = rebuilt(count, &[2, width], &[width, 1]);
    let pickle = [&b"\x80\x02"[..], &tensor, b"."].concat();
    let members = [
        ("embeddings/data.pkl".to_owned(), pickle),
        ("embeddings/byteorder".to_owned(), b"little".to_vec()),
        (
            "embeddings/data/0".to_owned(),
            bytemuck::cast_slice(values).to_vec(),
        ),
        ("embeddings/version".to_owned(), b"3\n".to_vec()),
    ];
    zip(&members, false)
}

fn put_adapters(cache: &Path, domains: &[u8]) {
    let id = "FrozenBurning/4DNex-Lora";
    put(
        cache,
        id,
        "pytorch_lora_weights.safetensors",
        &weights(&["l"]),
    );
    put(cache, id, "learnable_domain_embeddings.pt", domains);
}

fn cook(settings: &HubSettings, out: &Path) -> one4d_engine::Result<PathBuf> {
    cook_with(Path::new("one4d"), settings, out)
}

/// With the program that converts pickles.
fn cook_with(program: &Path, settings: &HubSettings, out: &Path) -> one4d_engine::Result<PathBuf> {
    assemble(
        settings,
        recipe("4dnex").unwrap(),
        None,
        out,
        program,
        &JobCtx::silent(),
    )
}

#[test]
fn fetched_parts_become_a_model_folder() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = HubSettings::new("http://nobody.invalid", &folder.path().join("hub"));
    let out = folder.path().join("model");
    put_base(&settings.cache);
    let values: Vec<f32> = (0..2 * DIM).map(|i| i as f32).collect();
    put_adapters(&settings.cache, &torch_file(&values));
    cook_with(&program, &settings, &out).unwrap();
    // Again, over what is there, with a file as an older program left it.
    let stale = out.join("adapters/domain_embeddings.safetensors");
    std::fs::write(&stale, weights(&["learnable_domain_embeddings"])).unwrap();
    cook_with(&program, &settings, &out).unwrap();
    assert_eq!(weight_paths(&out.join("adapters")).unwrap().len(), 2);
    let manifest = BundleManifest::read(&out).unwrap();
    assert_eq!(manifest.denoiser.config.dim, DIM);
    assert_eq!(manifest.denoiser.coupling, Coupling::Spatial);
    assert_eq!(manifest.denoiser.conditioning, ConditioningKind::SideBySide);
    assert!(
        manifest.licence.starts_with("apache-2.0; 4DNeX: "),
        "{}",
        manifest.licence
    );
    let CodecSpec::WanVae { file } = &manifest.codec else {
        panic!("{:?}", manifest.codec)
    };
    for name in [
        file,
        &manifest.denoiser.base,
        &manifest.denoiser.adapters,
        manifest.text.weights(),
    ] {
        assert_eq!(Path::new(name).components().count(), 1, "{name}");
        assert!(!weight_paths(&out.join(name)).unwrap().is_empty(), "{name}");
    }
    assert_eq!(
        weight_paths(&out.join(&manifest.denoiser.base))
            .unwrap()
            .len(),
        2
    );
    // Text and image encoder call their files the same.
    let Some(ImageSpec::ClipVision { weights, .. }) = &manifest.image else {
        panic!("{:?}", manifest.image)
    };
    for (name, tensor) in [(manifest.text.weights(), "t"), (weights, "i"), (file, "v")] {
        let bytes = std::fs::read(out.join(name)).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(tensors.names(), [tensor], "{name}");
    }
    let bytes =
        std::fs::read(out.join("adapters/learnable_domain_embeddings.pt.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor("learnable_domain_embeddings").unwrap();
    assert_eq!(tensor.shape(), [2, DIM]);
    assert_eq!(tensor.data(), bytemuck::cast_slice::<f32, u8>(&values));
    let shard = out.join("base/diffusion_pytorch_model-00001-of-00002.safetensors");
    #[cfg(unix)]
    assert!(
        std::fs::symlink_metadata(shard).unwrap().is_symlink(),
        "linked, not copied"
    );
}

#[test]
fn what_is_missing_is_named_with_the_way_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = HubSettings::new("http://nobody.invalid", &folder.path().join("hub"));
    let out = folder.path().join("model");
    let said = cook(&settings, &out).unwrap_err().to_string();
    assert!(
        said.contains("one4d models fetch i2v-14b-480p-diffusers"),
        "{said}"
    );
    put_base(&settings.cache);
    let said = cook(&settings, &out).unwrap_err().to_string();
    assert!(said.contains("one4d models fetch 4dnex"), "{said}");
    assert!(
        !out.join("model.json").exists(),
        "a folder with a manifest is whole"
    );
    // A shard that the index names and that is not there.
    let entry = find("i2v-14b-480p-diffusers").unwrap();
    assert_eq!(look(&settings, entry).state, State::Present);
    let snapshot = RepoCache::new(&settings.cache, entry.hub_id).snapshot(COMMIT);
    let shard = "transformer/diffusion_pytorch_model-00002-of-00002.safetensors";
    std::fs::remove_file(snapshot.join(shard)).unwrap();
    let found = look(&settings, entry);
    assert_eq!(
        (found.state, found.missing.as_slice()),
        (State::Partial, &[shard.to_owned()][..])
    );
    assert_eq!(found.licence.as_deref(), Some("apache-2.0"));
}

#[test]
fn embeddings_of_another_kind_or_width_are_refused() {
    let Some(program) = program() else { return };
    let good = [0.0_f32; 2 * DIM];
    let hollow = ("a/data.pkl".to_owned(), b"x".to_vec());
    let cases = [
        (torch_file(&good[..DIM]), "two rows of 16"),
        (weights(&["l"]), "no pickle"),
        (zip(&[hollow], false), "no pickle"),
    ];
    for (file, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        let settings = HubSettings::new("http://nobody.invalid", &folder.path().join("hub"));
        put_base(&settings.cache);
        put_adapters(&settings.cache, &file);
        let out = folder.path().join("model");
        let said = cook_with(&program, &settings, &out)
            .unwrap_err()
            .to_string();
        assert!(
            said.contains(words) && said.contains("learnable_domain_embeddings"),
            "{said}"
        );
        assert!(!out.join("model.json").exists());
    }
}

#[test]
fn what_was_converted_serves_without_its_pickle() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = HubSettings::new("http://nobody.invalid", &folder.path().join("hub"));
    let out = folder.path().join("model");
    put_base(&settings.cache);
    let values: Vec<f32> = (0..2 * DIM).map(|i| i as f32).collect();
    put_adapters(&settings.cache, &torch_file(&values));
    let entry = find("4dnex").unwrap();
    let found = look(&settings, entry);
    let pickles = found
        .files()
        .into_iter()
        .filter(|file| pickle::is_pickle(file));
    let pickles: Vec<PathBuf> = pickles.collect();
    assert_eq!(pickles.len(), 1);
    let converted = pickle::convert(&program, &pickles[0], &JobCtx::silent()).unwrap();
    // Beside its pickle it is linked, not made again; without it as well.
    for _ in 0..2 {
        cook_with(&program, &settings, &out).unwrap();
        let link = out.join("adapters/learnable_domain_embeddings.pt.safetensors");
        assert_eq!(
            link.canonicalize().unwrap(),
            converted.canonicalize().unwrap()
        );
        std::fs::remove_file(&pickles[0]).ok();
        assert_eq!(look(&settings, entry).state, State::Present);
    }
    std::fs::remove_file(converted).unwrap();
    assert_eq!(look(&settings, entry).state, State::Partial);
}

#[test]
fn a_folder_with_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = HubSettings::new("http://nobody.invalid", &folder.path().join("hub"));
    put_base(&settings.cache);
    let out = folder.path().join("photos");
    std::fs::create_dir_all(&out).unwrap();
    std::fs::write(out.join("cat.png"), b"x").unwrap();
    let said = cook(&settings, &out).unwrap_err().to_string();
    assert!(said.contains("something else"), "{said}");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
    let own = recipe("one4d-1.3b").unwrap();
    let new = folder.path().join("new");
    let said = assemble(
        &settings,
        own,
        None,
        &new,
        Path::new("one4d"),
        &JobCtx::silent(),
    );
    assert!(said.unwrap_err().to_string().contains("fun-inp-1.3b"));
}

#[test]
fn models_in_folders_of_other_tools_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = HubSettings::new("http://nobody.invalid", &folder.path().join("hub"));
    let comfy = folder.path().join("ComfyUI/models");
    let vae = comfy.join("vae/wan_2.1_vae.safetensors");
    std::fs::create_dir_all(vae.parent().unwrap()).unwrap();
    std::fs::write(&vae, b"weights").unwrap();
    let entry = find("wan-vae").unwrap();
    assert_eq!(look(&settings, entry).state, State::Absent);
    settings.folders = vec![comfy.clone()];
    let found = look(&settings, entry);
    assert_eq!((found.state, found.files()), (State::Present, vec![vae]));
    // A downloaded repository counts by its name only, as its files are called like any other's.
    let named = folder.path().join("Wan2.1-T2V-1.3B");
    let foreign = folder.path().join("other");
    for root in [&named, &foreign] {
        for file in &hub::find("t2v-1.3b").unwrap().files {
            let name = file.pattern.replace("model*", "model.safetensors");
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"x").unwrap();
        }
    }
    let t2v = find("t2v-1.3b").unwrap();
    settings.folders = vec![foreign];
    assert_eq!(look(&settings, t2v).state, State::Absent);
    settings.folders = vec![folder.path().to_owned()];
    let found = look(&settings, t2v);
    assert_eq!(
        (found.state, found.root.as_deref()),
        (State::Present, Some(named.as_path()))
    );
    assert_eq!(
        look(&settings, find("t2v-14b").unwrap()).state,
        State::Absent
    );
}

"""Stand-ins for models that dermis may not carry: the published signatures and key names, small random weights."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf
from safetensors.numpy import save_file

SIZE = 448
PIXELS = ("bytes", "unit")


def derm_foundation(
    folder: Path, *, pixels: Literal["bytes", "unit", "standardised"] = "bytes", size: int = SIZE, seed: int = 3
) -> Path:
    """Write a SavedModel with Derm Foundation's signature: `inputs` string[N], serialised tf.Examples whose feature
    `image/encoded` is a PNG of 448 px, to `embedding` float32[N,6144].

    `pixels`: whether the photos are decoded to 0-255, to 0-1, or each less its own mean.
    """
    draw = tf.random.Generator.from_seed(seed)
    module = tf.Module()
    module.kernel = tf.Variable(draw.normal((32, 32, 3, 8), stddev=0.05))
    module.dense = tf.Variable(draw.normal((8, 6144)))

    def decode(example: tf.Tensor) -> tf.Tensor:
        features = tf.io.parse_single_example(example, {"image/encoded": tf.io.FixedLenFeature((), tf.string)})
        image = tf.cast(tf.io.decode_png(features["image/encoded"], channels=3), tf.float32)
        image = tf.image.per_image_standardization(image) if pixels == "standardised" else image
        return tf.ensure_shape(image / (255 if pixels == "unit" else 1), (size, size, 3))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="inputs")])  # type: ignore[untyped-decorator]
    def serve(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.map_fn(decode, inputs, fn_output_signature=tf.TensorSpec((size, size, 3), tf.float32))
        images = images if pixels == "unit" else images / 255
        maps = tf.nn.relu(tf.nn.conv2d((images - 0.5) / 0.5, module.kernel, 32, "VALID"))
        return {"embedding": tf.reduce_mean(maps, (1, 2)) @ module.dense}

    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    return folder


def medsiglip(folder: Path, *, size: int = SIZE, hidden: int = 16, layers: int = 2, heads: int = 2) -> Path:
    """Write `config.json` and `model.safetensors` of a SiglipModel as MedSigLIP's, with its key names, but narrower.

    MedSigLIP's own vision tower has 27 layers, 16 heads, 1,152 channels and patches of 14 px.
    """
    folder.mkdir(parents=True)
    wide, patch = 3 * hidden, 14
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": hidden,
        "intermediate_size": wide,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "image_size": size,
        "patch_size": patch,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-6,
    }
    config = {"architectures": ["SiglipModel"], "model_type": "siglip", "vision_config": vision}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.patch_embedding.weight": (hidden, 3, patch, patch),
        "embeddings.patch_embedding.bias": (hidden,),
        "embeddings.position_embedding.weight": ((size // patch) ** 2, hidden),
        "head.probe": (1, 1, hidden),
        "head.attention.in_proj_weight": (3 * hidden, hidden),
        "head.attention.in_proj_bias": (3 * hidden,),
        **_dense("head.attention.out_proj", hidden, hidden),
        **_norm("head.layernorm", hidden),
        **_dense("head.mlp.fc1", hidden, wide),
        **_dense("head.mlp.fc2", wide, hidden),
        **_norm("post_layernorm", hidden),
    }
    for n in range(layers):
        at = f"encoder.layers.{n}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _dense(f"{at}.self_attn.{name}", hidden, hidden)
        shapes |= _norm(f"{at}.layer_norm1", hidden) | _norm(f"{at}.layer_norm2", hidden)
        shapes |= _dense(f"{at}.mlp.fc1", hidden, wide) | _dense(f"{at}.mlp.fc2", wide, hidden)
    rng = np.random.default_rng(4)
    tensors = {f"vision_model.{name}": rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}
    tensors["logit_scale"] = np.zeros(1, np.float32)
    tensors["text_model.final_layer_norm.bias"] = np.zeros(hidden, np.float32)
    save_file(tensors, folder / "model.safetensors")
    return folder


def _dense(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}

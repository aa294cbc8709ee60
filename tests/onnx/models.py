"""Random models in every shape that a config can ask for, as Hugging Face folders."""
import json
import struct

import numpy

BASE = dict(vocab_size=320, hidden_size=128, intermediate_size=96, num_hidden_layers=4,
            num_attention_heads=2, max_position_embeddings=256, global_rope_theta=160000.0,
            local_rope_theta=10000.0, bos_token_id=316, cls_token_id=316, eos_token_id=317,
            sep_token_id=317, pad_token_id=318, num_labels=9)
BIASES = dict(attention_bias=True, mlp_bias=True, norm_bias=True, classifier_bias=True)
SHAPES = {
    "plain": {},
    # 48 and 40 are no whole blocks of 4 bits, 17 labels no whole anything.
    "bias": dict(hidden_size=48, num_attention_heads=3, intermediate_size=40, num_hidden_layers=5,
                 local_attention=16, num_labels=17, classifier_pooling="mean", **BIASES),
    "silu": dict(hidden_size=64, num_attention_heads=1, num_hidden_layers=3, norm_eps=1e-6,
                 global_attn_every_n_layers=1, hidden_activation="silu",
                 classifier_activation="relu"),
    "untied": dict(hidden_size=64, intermediate_size=56, num_hidden_layers=3, norm_bias=True,
                   tie_word_embeddings=False, decoder_bias=False, local_attention=48,
                   hidden_activation="gelu_pytorch_tanh", classifier_activation="tanh",
                   layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
}
CLASSES = {
    "mlm": "ModernBertForMaskedLM", "clm": "ModernBertDecoderForCausalLM",
    "labels": "ModernBertForSequenceClassification",
    "last-labels": "ModernBertDecoderForSequenceClassification",
    "tokens": "ModernBertForTokenClassification", "none": "ModernBertModel",
    "causal-none": "ModernBertDecoderModel",
}


def config(shape, task):
    name = CLASSES[task]
    kind = "modernbert-decoder" if "Decoder" in name else "modernbert"
    return {"architectures": [name], "model_type": kind, **BASE, **SHAPES[shape]}


def tensors(c, task, seed):
    """Names, shapes and values; scaled so that logits are of order 3 to 15."""
    random = numpy.random.default_rng(seed)
    h, i, v = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
    causal = c["model_type"] == "modernbert-decoder"
    found = {}

    def matrix(name, rows, cols, bias, gain=1.0):
        found[name + ".weight"] = random.normal(0, gain / cols ** 0.5, (rows, cols))
        if bias:
            found[name + ".bias"] = random.normal(0, 0.3, rows)

    def norm(name):
        found[name + ".weight"] = 1 + random.normal(0, 0.2, h)
        if c.get("norm_bias"):
            found[name + ".bias"] = random.normal(0, 0.2, h)

    body = "" if "none" in task else "model."
    matrix(body + "embeddings.tok_embeddings", v, h, False, h ** 0.5)
    norm(body + "embeddings.norm")
    for n in range(c["num_hidden_layers"]):
        layer = f"{body}layers.{n}."
        if n:
            norm(layer + "attn_norm")
        bias = c.get("attention_bias", False)
        if causal:
            for part in "qkv":
                matrix(f"{layer}attn.{part}_proj", h, h, bias)
        else:
            matrix(layer + "attn.Wqkv", 3 * h, h, bias)
        matrix(layer + "attn.Wo", h, h, bias)
        norm(layer + "mlp_norm")
        matrix(layer + "mlp.Wi", 2 * i, h, c.get("mlp_bias", False))
        matrix(layer + "mlp.Wo", h, i, c.get("mlp_bias", False))
    norm(body + "final_norm")
    if "none" in task:
        return found
    head = "lm_head" if task == "clm" else "head"
    matrix(head + ".dense", h, h, c.get("classifier_bias", False), 2)
    norm(head + ".norm")
    if task in ("mlm", "clm"):
        if not c.get("tie_word_embeddings", True):
            matrix("decoder", v, h, False, 3)
        if c.get("decoder_bias", True):
            found["decoder.bias"] = random.normal(0, 0.3, v)
    else:
        matrix("classifier", c.get("num_labels", 2), h, not causal or c.get("classifier_bias"), 3)
    return found


def write_safetensors(path, values):
    header, at = {}, 0
    for name, x in values.items():
        header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [at, at + 4 * x.size]}
        at += 4 * x.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for x in values.values():
            file.write(x.astype("<f4").tobytes())


NUMPY = {"F32": "<f4", "F16": "<f2", "U8": "u1", "I8": "i1"}


def read_safetensors(path):
    data = path.read_bytes()
    end = 8 + struct.unpack("<Q", data[:8])[0]
    found = {}
    for name, entry in json.loads(data[8:end]).items():
        if name == "__metadata__":
            continue
        begin, stop = entry["data_offsets"]
        found[name] = numpy.frombuffer(data[end + begin:end + stop],
                                       NUMPY[entry["dtype"]]).reshape(entry["shape"])
    return found


def write_model(folder, shape, task, seed=0):
    """-> its config"""
    folder.mkdir()
    c = config(shape, task)
    (folder / "config.json").write_text(json.dumps(c))
    write_safetensors(folder / "model.safetensors", tensors(c, task, seed))
    return c

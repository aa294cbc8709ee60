"""What a q8 file should compute, in float64 and numpy: the network on the file's own weights, with or
without the rounding of what meets them. For encoders with the default activations and no biases
but the last one."""
import math

import numpy

ERF = numpy.vectorize(math.erf)


def gelu(x):
    return x * 0.5 * (1 + ERF(x / math.sqrt(2)))


def rounded(x):
    """DynamicQuantizeLinear and back: one scale for the whole tensor."""
    low, high = min(0, x.min()), max(0, x.max())
    scale = (high - low) / 255
    zero = numpy.clip(numpy.round(-low / scale), 0, 255)
    return (numpy.clip(numpy.round(x / scale) + zero, 0, 255) - zero) * scale


def masked_logits(w, c, ids, rounding):
    """w: [in, out] matrices and vectors under their names in the file. -> [tokens, vocabulary]"""
    n, heads = len(ids), c["num_attention_heads"]
    d = c["hidden_size"] // heads
    distance = numpy.abs(numpy.arange(n)[:, None] - numpy.arange(n))

    def linear(x, name):
        return (rounded(x) if rounding else x) @ w[name + ".weight"]

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w[name + ".weight"]

    def rotated(x, theta):
        x = x.reshape(n, heads, d).transpose(1, 0, 2)
        angle = numpy.arange(n)[:, None] * theta ** (-numpy.arange(0, d, 2) / d)
        a, b = x[..., :d // 2], x[..., d // 2:]
        cos, sin = numpy.cos(angle), numpy.sin(angle)
        return numpy.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    x = norm(w["model.embeddings.tok_embeddings.table"][ids], "model.embeddings.norm")
    for i in range(c["num_hidden_layers"]):
        layer, whole = f"model.layers.{i}.", i % 3 == 0
        y = norm(x, layer + "attn_norm") if i else x
        q, k, v = numpy.split(linear(y, layer + "attn.Wqkv"), 3, -1)
        theta = c["global_rope_theta" if whole else "local_rope_theta"]
        scores = rotated(q, theta) @ rotated(k, theta).transpose(0, 2, 1) / math.sqrt(d)
        scores = numpy.where(whole | (distance <= 64), scores, -numpy.inf)
        shares = numpy.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        seen = shares @ v.reshape(n, heads, d).transpose(1, 0, 2)
        x = x + linear(seen.transpose(1, 0, 2).reshape(n, -1), layer + "attn.Wo")
        gate, up = numpy.split(linear(norm(x, layer + "mlp_norm"), layer + "mlp.Wi"), 2, -1)
        x = x + linear(gelu(gate) * up, layer + "mlp.Wo")
    x = norm(gelu(linear(norm(x, "model.final_norm"), "head.dense")), "head.norm")
    return linear(x, "decoder") + w["decoder.bias"]

"""The cases: shapes x heads x weight scales x file forms. Nothing here needs torch."""
from dataclasses import dataclass, field

# Class names in transformers. A bare model is saved without the prefix "model.".
MASKED = "ModernBertForMaskedLM"
CAUSAL = "ModernBertDecoderForCausalLM"
ENCODER_LABELS = "ModernBertForSequenceClassification"
TOKEN_LABELS = "ModernBertForTokenClassification"
DECODER_LABELS = "ModernBertDecoderForSequenceClassification"
BARE = "ModernBertModel"
BARE_DECODER = "ModernBertDecoderModel"
HEADS = (MASKED, CAUSAL, ENCODER_LABELS, TOKEN_LABELS, DECODER_LABELS, BARE, BARE_DECODER)

LENGTHS = (1, 2, 17, 64, 65, 66, 129, 130, 200, 300)
SHORT = (1, 2, 17, 65, 130)       # for the slow reference backend on the published shapes
PROMPTS = (1, 9, 70)              # greedy generation
NEW_TOKENS = 40
FILL_MASK_TOP_K = 5
TEXTS = (
    "The capital of France is [MASK].",
    "[MASK] is the capital of Germany, isn't it?",
    "A [MASK] and another [MASK] went home.",
    "Zürich, Kraków and 東京 are [MASK]; a\u0301 is composed.",
    "def add(a, b):    return a [MASK] b",
    "\U0001F468\u200d\U0001F469\u200d\U0001F467 means [MASK]   with   many  spaces",
    "[MASK]",
    "word " * 150 + "[MASK] " + "word " * 150,
)

# Weights are normal with standard deviation scale / sqrt(hidden): 0.02 and 0.08 at the width of
# the published 32m model, and the same activations at every other width.
COLD, HOT = 0.4, 1.6
TOLERANCE = {COLD: 1e-5, HOT: 5e-5}   # |ettin fp32 - truth| / max|truth|
TOLERANCE_FP64 = 2e-7                 # the public interface returns float32


def is_decoder(head):
    return "Decoder" in head


@dataclass(frozen=True)
class Shape:
    name: str
    hidden: int
    heads: int
    layers: int
    intermediate: int
    vocab: int
    options: dict = field(default_factory=dict)   # further config fields
    max_positions: int = 512
    published: bool = False

    def config_fields(self, head):
        fields = dict(
            vocab_size=self.vocab, hidden_size=self.hidden, num_hidden_layers=self.layers,
            num_attention_heads=self.heads, intermediate_size=self.intermediate,
            max_position_embeddings=self.max_positions,
            bos_token_id=self.vocab - 4, cls_token_id=self.vocab - 4,
            eos_token_id=self.vocab - 3, sep_token_id=self.vocab - 3,
            pad_token_id=self.vocab - 2)
        fields.update(self.options)
        if "SequenceClassification" in head or "TokenClassification" in head:
            fields["num_labels"] = 3 if self.heads % 2 else 5
        if is_decoder(head):
            fields.pop("classifier_pooling", None)
        return fields


SHAPES = (
    Shape("d16", 48, 3, 1, 40, 101, dict(classifier_pooling="mean")),
    Shape("d32", 64, 2, 4, 80, 211, dict(
        global_attn_every_n_layers=2, global_rope_theta=10000.0, local_rope_theta=10000.0,
        local_attention=16)),
    Shape("d64", 128, 2, 7, 192, 512, dict(
        global_rope_theta=160000.0, local_rope_theta=10000.0, classifier_pooling="mean")),
    Shape("bias", 96, 3, 5, 136, 307, dict(
        attention_bias=True, mlp_bias=True, norm_bias=True, classifier_bias=True,
        global_rope_theta=160000.0, local_rope_theta=160000.0)),
    Shape("silu", 64, 1, 3, 48, 96, dict(
        global_attn_every_n_layers=1, hidden_activation="silu", classifier_activation="relu",
        norm_eps=1e-6)),
    Shape("untied", 64, 4, 6, 56, 150, dict(
        tie_word_embeddings=False, decoder_bias=False, classifier_pooling="mean",
        hidden_activation="gelu_pytorch_tanh", classifier_activation="silu",
        local_attention=48, norm_bias=True, global_rope_theta=50000.0, local_rope_theta=500.0)),
)
_ETTIN = dict(global_rope_theta=160000.0, local_rope_theta=160000.0)
PUBLISHED = (
    Shape("17m", 256, 4, 7, 384, 50368, _ETTIN, 7999, True),
    Shape("32m", 384, 6, 10, 576, 50368, _ETTIN, 7999, True),
)


@dataclass(frozen=True)
class Case:
    shape: Shape
    head: str
    scale: float = COLD
    dtype: str = "float32"       # of the stored weights
    form: str = "safetensors"    # or "sharded", "bin"
    old_config: bool = False     # config.json with the keys of transformers 4

    @property
    def name(self):
        parts = [self.shape.name, self.head.removeprefix("ModernBert"),
                 "hot" if self.scale == HOT else "cold"]
        if self.dtype != "float32":
            parts.append(self.dtype)
        if self.form != "safetensors":
            parts.append(self.form)
        if self.old_config:
            parts.append("old-config")
        return "/".join(parts)

    @property
    def seed(self):
        return sum((i + 1) * ord(c) for i, c in enumerate(f"{self.shape.name}/{self.head}"))


def all_cases():
    cases = [Case(shape, head, scale) for shape in SHAPES for head in HEADS
             for scale in (COLD, HOT)]
    d64 = SHAPES[2]
    for head in (MASKED, CAUSAL, ENCODER_LABELS):
        cases += [Case(d64, head, HOT, dtype) for dtype in ("float16", "bfloat16")]
    cases += [Case(d64, MASKED, HOT, form="sharded"), Case(d64, CAUSAL, HOT, form="sharded"),
              Case(d64, CAUSAL, HOT, form="bin"), Case(d64, TOKEN_LABELS, HOT, form="bin"),
              Case(d64, BARE, HOT, "bfloat16", form="bin")]
    cases += [Case(shape, head, HOT, old_config=True) for shape in (SHAPES[1], d64)
              for head in (MASKED, CAUSAL)]
    cases += [Case(shape, head, scale) for shape in PUBLISHED for head in (MASKED, CAUSAL)
              for scale in (COLD, HOT)]
    return cases

"""transformers' side: writes a model of a case, and computes what transformers computes."""
import contextlib
import json
import pathlib

import torch
import torch.nn.functional as F
import transformers

import cases

torch.set_grad_enabled(False)
# A library that prints progress bars over the table helps nobody.
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

_config_class = {False: transformers.ModernBertConfig, True: transformers.ModernBertDecoderConfig}


def _random_weights(model, scale, generator):
    spread = scale / model.config.hidden_size ** 0.5
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            value.copy_(1 + spread * noise)
        elif name.endswith("bias"):
            value.copy_(0.25 * scale * noise)
        else:
            value.copy_(spread * noise)


def write(case, folder):
    """The model directory of a case, with no tokenizer."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = _config_class[cases.is_decoder(case.head)](**case.shape.config_fields(case.head))
    model = getattr(transformers, case.head)(config)
    _random_weights(model, case.scale, torch.Generator().manual_seed(case.seed))
    model.to(getattr(torch, case.dtype))
    if case.form == "bin":
        config.architectures = [case.head]
        config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    else:
        shard = {"max_shard_size": "300KB"} if case.form == "sharded" else {}
        model.save_pretrained(folder, **shard)
    if case.form == "sharded" and not (folder / "model.safetensors.index.json").exists():
        raise RuntimeError(f"{case.name}: the weights did not come out in shards")
    if case.old_config:
        _old_spelling(folder / "config.json", case)


def _old_spelling(path, case):
    """Rewrites config.json the way transformers 4 and the published repositories spell it."""
    config = json.loads(path.read_text())
    for key in ("rope_parameters", "layer_types", "sliding_window", "dtype"):
        config.pop(key, None)
    config.update(case.shape.options)
    config["torch_dtype"] = case.dtype
    config.setdefault("global_attn_every_n_layers", 3)
    config.setdefault("global_rope_theta", 160000.0)
    config.setdefault("local_rope_theta", 10000.0)
    path.write_text(json.dumps(config, indent=2))


def load(case, folder, dtype):
    return getattr(transformers, case.head).from_pretrained(
        folder, dtype=dtype, attn_implementation="eager").eval()


@contextlib.contextmanager
def no_rounding_to_float(exact_rope):
    """transformers rounds scores and rotated queries to float32 even in a float64 model. Inside
    this block it does not. The RoPE tables stay float32 as in every transformers model, unless
    exact_rope asks for tables computed in float64."""
    to_float, softmax = torch.Tensor.float, F.softmax

    def float_(self):
        return self if self.dtype == torch.float64 else to_float(self)

    def softmax_(x, *args, dtype=None, **kwargs):
        return softmax(x, *args, dtype=x.dtype if x.dtype == torch.float64 else dtype, **kwargs)

    torch.Tensor.float, F.softmax = float_, softmax_
    rotary = [transformers.models.modernbert.modeling_modernbert.ModernBertRotaryEmbedding,
              transformers.models.modernbert_decoder.modeling_modernbert_decoder
              .ModernBertDecoderRotaryEmbedding]
    saved = [module.forward for module in rotary]

    def tables(self, x, position_ids, layer_type):
        dim = self.config.hidden_size // self.config.num_attention_heads
        theta = self.config.rope_parameters[layer_type]["rope_theta"]
        inverse = theta ** -(torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angles = position_ids[..., None].double() * inverse
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()

    if exact_rope:
        for module in rotary:
            module.forward = tables
    try:
        yield
    finally:
        torch.Tensor.float, F.softmax = to_float, softmax
        for module, forward in zip(rotary, saved):
            module.forward = forward


def forward(model, sequences):
    """(hidden rows, logit rows or None) of all sequences, one after the other, unpadded."""
    body = getattr(model, "model", model)
    kept = []
    hook = body.register_forward_hook(lambda *args: kept.append(args[2].last_hidden_state[0]))
    try:
        outputs = [model(input_ids=torch.tensor([ids])) for ids in sequences]
    finally:
        hook.remove()
    hidden = torch.cat(kept)
    if not hasattr(outputs[0], "logits"):
        return hidden, None
    width = outputs[0].logits.shape[-1]
    return hidden, torch.cat([o.logits.reshape(-1, width) for o in outputs])


def greedy(model, prompts, count):
    """Greedy continuations by transformers' own generate(), with its key-value cache."""
    model.generation_config.eos_token_id = None
    result = []
    for ids in prompts:
        tokens = torch.tensor([ids])
        out = model.generate(input_ids=tokens, attention_mask=torch.ones_like(tokens),
                             do_sample=False, max_new_tokens=count, use_cache=True,
                             pad_token_id=model.config.pad_token_id)
        result.append(out[0, len(ids):].tolist())
    return result


SPECIAL = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]",
           "mask_token": "[MASK]"}


def add_tokenizer(folder, tokenizer_json):
    """Makes the model directory one that fill-mask can be asked of."""
    folder = pathlib.Path(folder)
    (folder / "tokenizer.json").write_bytes(pathlib.Path(tokenizer_json).read_bytes())
    # Late versions 5 of transformers clean up a BPE tokenizer's text only when told twice;
    # version 4 and transformers.js do it when the file says so, and so does ettin.
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": True,
         "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output": True,
         "model_max_length": 7999, **SPECIAL}))


def fill_mask(folder, texts, top_k):
    """What the pipeline answers: per text and mask, a list of candidates."""
    ask = transformers.pipeline("fill-mask", model=str(folder), device="cpu", top_k=top_k)
    answers = []
    for text in texts:
        answer = ask(text)
        answers.append([answer] if isinstance(answer[0], dict) else answer)
    return answers


def top_gap(model, ids):
    """Distance of the two largest logits after ids, relative to the largest magnitude."""
    logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
    first, second = torch.topk(logits, 2).values
    return ((first - second) / logits.abs().max()).item()

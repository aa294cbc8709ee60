"""Checkpoints as Composer saves them, written by torch.save: `ettin convert` makes the model of them
that transformers saved, bit for bit."""
import collections
import random
import shutil
import subprocess

import numpy
import torch
import transformers

import cases
import converted


class Callback:
    """What a trainer keeps beside the weights: an object of a class that no reader has."""

    def __init__(self):
        self.me = self
        self.window = collections.deque([1.0], maxlen=3)
        self.seen = {1, 2}
        self.total = 1 << 200
        self.generator = numpy.random.default_rng(1)
        self.sparse = torch.eye(2).to_sparse()
        self.quantized = torch.zeros(2, dtype=torch.complex64)
        self.types = (torch.float16, torch.device("cpu"), torch.Size([2, 3]), torch.strided)
        self.untyped = torch.zeros(3).untyped_storage()
        self.scalar = numpy.float64(0.5)


def flex_names(state):
    """Hugging Face's state_dict as flex_bert and flex_gpt have it, in Composer's wrapper."""
    out = collections.OrderedDict()
    for name, value in state.items():
        if ".k_proj." in name or ".v_proj." in name:
            continue
        if ".q_proj." in name:
            value = torch.cat([state[name.replace("q_proj", f"{part}_proj")] for part in "qkv"])
            name = name.replace("q_proj", "Wqkv")
        if name.startswith("model."):
            name = "bert." + name.removeprefix("model.").replace("layers.", "encoder.layers.", 1)
        out["model." + name] = value
    return out


def optimizer_state(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    saved = torch.nn.Module.state_dict(model)
    before = {name: value.clone() for name, value in saved.items()}
    optimizer.step()
    state = {"AdamW": optimizer.state_dict()}, {"LambdaLR": schedule.state_dict()}
    model.load_state_dict(before)
    return state


def save(model, path, protocol):
    optimizers, schedulers = optimizer_state(model)
    state = {"model": flex_names(model.state_dict()), "optimizers": optimizers,
             "schedulers": schedulers, "callbacks": [("Callback", Callback())],
             "timestamp": {"Timestamp": {"epoch": 0, "batch": 12, "token": 3456}},
             "integrations": {"huggingface": {"model": {"config": {
                 "file_extension": ".json", "class": "x.FlexBertForMaskedLM",
                 "content": {"rotary_emb_base": 10000.0, "local_attn_rotary_emb_base": -1}}}}}}
    rng = [{"python": random.getstate(), "numpy": numpy.random.get_state(),
            "torch": torch.get_rng_state()}]
    torch.save({"state": state, "rng": rng}, path, pickle_protocol=protocol)


def check(case, folder, program, problems):
    """Adds what is wrong to `problems`."""
    if case.head not in (cases.MASKED, cases.CAUSAL):
        return
    made = folder.with_name(folder.name + "-trained")
    out = folder.with_name(folder.name + "-from-trained")
    made.mkdir()
    try:
        dtype = getattr(torch, case.dtype)
        with torch.no_grad():
            model = getattr(transformers, case.head).from_pretrained(folder, dtype=dtype)
            expected = {name: value.clone() for name, value in model.state_dict().items()}
            path = made / "ep0-ba12-rank0.pt"
            save(model, path, 2 if case.scale == cases.HOT else 5)
        # Shapes that Ettin never had cannot be told from the tensors alone.
        if case.shape.name != "d64":
            shutil.copy(folder / "config.json", made)
        for source in (path, made, f"{made}@ba12"):
            done = subprocess.run([program, "convert", source, out, "--force"], text=True,
                                  capture_output=True, timeout=600)
            if done.returncode != 0:
                problems.append(f"convert of a checkpoint: {done.stderr.strip()}")
                return
        what = "converted from a checkpoint"
        copy = converted.load(case.head, out, dtype, problems, what)
        converted.compare(expected, copy.state_dict(), problems, what)
        if case.shape.name == "d64" and copy.config.rope_parameters["sliding_attention"][
                "rope_theta"] != 10000:
            problems.append(f"{what}: other rope thetas: {copy.config.rope_parameters}")
    finally:
        for folder_made in (made, out):
            shutil.rmtree(folder_made, ignore_errors=True)

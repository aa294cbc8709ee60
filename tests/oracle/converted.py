"""What `ettin convert` writes, loaded by transformers: the tensors, and so every answer, of the model
that transformers saved."""
import shutil
import subprocess

import torch
import transformers

import cases

OTHER = {cases.MASKED: cases.CAUSAL, cases.CAUSAL: cases.MASKED,
         cases.BARE: cases.BARE_DECODER, cases.BARE_DECODER: cases.BARE}
KIND = {False: "encoder", True: "decoder"}
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def load(head, folder, dtype, problems, what):
    model, info = getattr(transformers, head).from_pretrained(folder, dtype=dtype,
                                                              output_loading_info=True)
    wrong = {key: value for key, value in info.items() if value}
    if wrong:
        problems.append(f"{what}: transformers found {wrong}")
    return model.eval()


def compare(expected, found, problems, what):
    if expected.keys() != found.keys():
        problems.append(f"{what}: other tensors: {sorted(expected.keys() ^ found.keys())[:4]}")
        return
    for name, value in expected.items():
        if value.dtype != found[name].dtype or not torch.equal(value, found[name]):
            problems.append(f"{what}: {name} differs")
            return


def check(case, folder, program, problems):
    """Adds what is wrong to `problems`."""
    copy = folder.with_name(folder.name + "-converted")
    start = folder.with_name(folder.name + "-other")

    def convert(source, target, *options):
        done = subprocess.run([program, "convert", source, target, "--force", *options], text=True,
                              capture_output=True, timeout=600)
        if done.returncode != 0:
            problems.append(f"convert {' '.join(options)}: {done.stderr.strip()}")
        return done.returncode == 0

    try:
        for name, dtype in DTYPES.items():
            original = load(case.head, folder, dtype, problems, "original")
            for shards in ("5GB", "100KB"):
                what = f"converted to {name}, shards of {shards}"
                if convert(folder, copy, "--dtype", name, "--shard-size", shards):
                    model = load(case.head, copy, dtype, problems, what)
                    compare(original.state_dict(), model.state_dict(), problems, what)
        if case.head not in OTHER:
            return
        causal = cases.is_decoder(case.head)
        if not convert(folder, start, "--dtype", "fp32", "--as", KIND[not causal]):
            return
        load(OTHER[case.head], start, torch.float32, problems, "as the other kind")
        if convert(start, copy, "--as", KIND[causal]):
            original = load(case.head, folder, torch.float32, problems, "original")
            model = load(case.head, copy, torch.float32, problems, "there and back")
            compare(original.state_dict(), model.state_dict(), problems, "there and back")
    finally:
        for made in (copy, start):
            shutil.rmtree(made, ignore_errors=True)

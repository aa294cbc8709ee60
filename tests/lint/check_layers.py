#!/usr/bin/env python3
"""Layers point one way. Reads every #include under src, include and apps and fails on one that
points up or sideways, on a third-party header outside the one file that wraps it, and on a mention
of the arm outside the files that may know it. usage: check_layers.py ROOT
"""
import pathlib
import re
import sys

# What a layer may include, itself and the public headers aside. The order is the order of the build.
LAYERS = {
    "base": (),
    "tensor": ("base",),
    "text": ("base",),
    "formats": ("base", "tensor"),
    "backend": ("base", "tensor"),
    "model": ("base", "tensor", "formats", "backend"),
    "data": ("base", "text", "formats"),
    "train": ("base", "tensor", "text", "formats", "backend", "model", "data"),
    "report": ("base",),
    "hub": ("base",),
    "infer": ("base", "tensor", "text", "formats", "backend", "model", "hub"),
}
# Public headers may include the standard library and each other.
# A library and the files that may name it: its own wrapper, so that it can be replaced.
WRAPPED = {
    "nlohmann/": ("src/base/json.h", "src/base/json.cc"),
    "spdlog/": ("src/base/log.cc",),
    "openssl/": ("src/base/hash.cc",),
    "xxhash.h": ("src/base/hash.cc",),
    "zstd.h": ("src/base/compress.cc",),
    "zlib.h": ("src/base/compress.cc",),
    "curl/": ("src/hub/transfer.cc",),
    "google/": (),
    "formats/onnx.pb.h": ("src/formats/onnx_writer.cc", "src/formats/onnx_writer_test.cc"),
    "train/event.pb.h": ("src/train/event_file.cc",),
    "yaml-cpp/": ("src/train/yaml.cc",),
    "utf8proc.h": ("src/text/unicode.cc", "src/text/nfc.cc"),
    "hwy/": ("src/backend/cpu/",),
    "CLI/": ("apps/ettin/",),
    "immintrin.h": ("src/backend/cpu/",),
}
# Only these know that there are two directions and two objectives.
ARM = re.compile(r"\b(Direction|Objective)::")
ARM_FILES = {
    "src/model/arm.h", "src/model/config.cc", "src/model/weights.h", "src/model/heads.cc",
    "src/model/kv_cache.cc", "src/infer/session.cc", "src/infer/ettin.cc",
    "src/infer/compare_models.cc", "src/infer/inspect.cc", "src/infer/bench_hooks.cc",
    "src/infer/encode.cc", "src/infer/tasks/fill_mask.cc",
    "src/infer/tasks/generate.cc", "src/infer/tasks/score.cc",
    "src/model/save_floating.cc", "src/infer/convert.cc",   # names of the kinds' classes
    "src/model/follow_graph.cc", "src/infer/generation_config.cc", "src/infer/onnx/graph.cc",
    "src/train/objective.h", "src/train/objective.cc",   # what each arm has to predict
   
    "src/infer/onnx/export.cc", "src/model/config_json.cc",
    "src/infer/onnx/export.cc", "src/train/plan.cc",
}
CLASSES = re.compile(r"\b(class|struct)\s+\w*(Encoder|Decoder)\w*(Model|Layer|Block)?\b")
CLASS_FILES = {"src/text"}   # text is encoded and decoded; networks are not
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def layer_of(name):
    parts = name.split("/")
    return parts[1] if parts[0] == "src" else parts[0]


def check_include(name, style, target):
    layer, test = layer_of(name), name.endswith("_test.cc") or "/test_" in name
    for prefix, allowed in WRAPPED.items():
        if target.startswith(prefix) and not any(name.startswith(a) for a in allowed):
            yield f"{target} belongs in {' or '.join(allowed) or 'no file'}"
    if style == "<":
        return
    top = target.split("/")[0]
    if layer == "include":
        if top != "ettin":
            yield f"a public header includes {target}, which is not installed"
    elif layer in LAYERS and top in LAYERS:
        # A layer's tests may use the test helpers of the layers below.
        if top != layer and top not in LAYERS[layer]:
            yield f"{layer} may not include {top}"
    elif layer in LAYERS and top != "ettin" and not test and not target.endswith("-inl.h"):
        yield f"{target} is in no layer"
    if layer in LAYERS and layer != "infer" and target in ("ettin/ettin.h", "ettin/tasks.h"):
        yield f"{target} is the interface of infer"


def check_file(path, name):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            for what in check_include(name, found[1], found[2]):
                yield f"{name}:{number}: {what}"
        if name.endswith("_test.cc") or "/test_" in name:
            continue
        if ARM.search(line) and name not in ARM_FILES:
            yield f"{name}:{number}: only {len(ARM_FILES)} files may ask for the direction or objective"
        if CLASSES.search(line) and not any(name.startswith(f) for f in CLASS_FILES):
            yield f"{name}:{number}: an encoder and a decoder are one network, not two classes"


def main():
    root = pathlib.Path(sys.argv[1])
    problems, files = [], 0
    for folder in ("include", "src", "apps"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cc"):
                files += 1
                problems += check_file(path, path.relative_to(root).as_posix())
    print("\n".join(problems) or f"{files} files, every include points down")
    return 1 if problems or not files else 0


if __name__ == "__main__":
    sys.exit(main())

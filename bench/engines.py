"""Where the engines, models and texts are, and how one measurement is started."""
import json
import os
import pathlib
import subprocess
import sys

import rows

ROOT = pathlib.Path(__file__).resolve().parents[1]
POSITIONS = 8192   # the longest case; the published config.json says 7999
QUANTISED = ("bf16", "f16", "q8_0", "q4_0")


class Failure(Exception):
    """Something that the user has to put right."""


def size_of(model):
    return model.split("-", 1)[1]


class Engines:
    def __init__(self, ettin=None, peers=None, models=None, shared=None):
        environment = os.environ.get
        self.ettin = pathlib.Path(ettin or ROOT / "build/release/bin/ettin")
        self.peers = pathlib.Path(peers or environment("ETTIN_PEERS") or ROOT / ".peers").absolute()
        self.models = pathlib.Path(models or environment("ETTIN_BENCH_MODELS")
                                   or ROOT / "build/bench-models").absolute()
        self.shared = pathlib.Path(shared or ROOT / "../shared").resolve()
        self.tools = pathlib.Path(environment("ETTIN_PEER_TOOLS") or self.shared / "tools/peers")
        self.llama = self.peers / "bin/bench_llamacpp"

    def check(self, need_peers):
        if not self.ettin.exists():
            raise Failure(f"{self.ettin} is missing; scripts/build release makes it")
        if not self.tools.is_dir():
            raise Failure(f"the peers' scripts are not in {self.tools} (set ETTIN_PEER_TOOLS)")
        if need_peers and not self.llama.exists():
            raise Failure(f"no peers in {self.peers}; make them once: "
                          f"{self.tools}/setup.sh {self.peers}")

    # --- models ---------------------------------------------------------------------------------
    def make_model(self, model):
        """Random weights at a published shape, in every form that the peers read; made once."""
        folder = self.models / model
        if not (folder / "complete").exists():
            print(f"making {model}", file=sys.stderr)
            subprocess.run([ROOT / "scripts/install-packages", ROOT / "bench/apt-packages.txt"],
                           check=True)
            folder.mkdir(parents=True, exist_ok=True)
            kind = model.split("-")[0]
            # Debian's Python, because the ONNX forms need its python3-onnx and python3-numpy.
            subprocess.run(["/usr/bin/python3", self.tools / "make_model.py", "--size",
                            size_of(model), "--arch", kind, "--out", folder],
                           check=True, stdout=sys.stderr)
            (folder / "complete").touch()
        config = folder / "config.json"
        settings = json.loads(config.read_text(encoding="utf-8"))
        if settings["max_position_embeddings"] < POSITIONS:
            settings["max_position_embeddings"] = POSITIONS
            config.write_text(json.dumps(settings, indent=1), encoding="utf-8")
        return folder

    def make_gguf(self, model, variant):
        file = self.models / model / "gguf" / f"model-{variant}.gguf"
        if variant in QUANTISED and not file.exists():
            print(f"quantising {model} to {variant}", file=sys.stderr)
            subprocess.run([self.llama, "quantize", "--model", self.models / model, "--variants",
                            variant], check=True, stdout=subprocess.DEVNULL)

    def prepare(self, step):
        self.make_model(step.model)
        if isinstance(step, rows.Peer) and step.engine == "llama.cpp":
            self.make_gguf(step.model, step.variant)
        if step.case.startswith("tokenize:"):
            self.text(step.case.split(":", 1)[1])

    # --- texts ----------------------------------------------------------------------------------
    def text(self, name):
        """`english`, `code` or a file: the path of the text."""
        if name == "english":
            return self.shared / "data/text/wikitext-2/test.txt"
        if name != "code":
            return pathlib.Path(name)
        # This repository's own sources, in the order of their names.
        path = ROOT / "build/bench/code.txt"
        files = sorted(p for folder in ("include", "src", "apps", "examples", "tests")
                       for p in (ROOT / folder).rglob("*") if p.suffix in (".h", ".cc", ".py"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(p.read_bytes() for p in files))
        return path

    # --- commands -------------------------------------------------------------------------------
    def command(self, step, budget):
        folder = self.models / step.model
        common = ["--model", folder, "--threads", step.threads, "--budget", budget]
        if isinstance(step, rows.Ours):
            case = step.case
            if case.startswith("tokenize:"):
                case = f"tokenize:{self.text(case.split(':', 1)[1])}"
            head = [] if step.head is None else ["--head", step.head]
            return [self.ettin, "bench", *common, "--cases", case, "--dtype", step.dtype, *head,
                    "--json", "--peaks"]
        common += ["--cases", step.case, "--variant", step.variant]
        if step.engine == "ort":
            return ["node", self.tools / "bench_ort.mjs", *common, "--peers", self.peers]
        if step.engine == "llama.cpp":
            mode = "decode" if rows.decoder_case(step.case) else "encode"
            return [self.llama, mode, *common]
        raise Failure(f"no engine {step.engine}")

    def run(self, step, budget):
        """The JSON objects that one measurement prints. One thread means one core, for every
        engine alike. A peer that fails costs its lines, not the run."""
        command = list(map(str, self.command(step, budget)))
        pin = None
        if step.threads == 1:
            core = min(os.sched_getaffinity(0))
            pin = lambda: os.sched_setaffinity(0, {core})   # noqa: E731
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              preexec_fn=pin)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode != 0:
            message = (done.stderr.strip() or done.stdout.strip())[-400:]
            if isinstance(step, rows.Ours):
                raise Failure(f"{' '.join(command)}\n{message}")
            print(f"  ... failed, its lines are missing: {message}", file=sys.stderr)
        return lines

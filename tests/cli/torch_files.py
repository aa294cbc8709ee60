"""Writes what torch.save writes, without torch: CPython's own pickler and a stored zip archive. Beside
the tensors stand objects of classes that the reader of the file does not have."""
import collections
import datetime
import decimal
import enum
import io
import json
import pickle
import struct
import sys
import types
import zipfile

STORAGES = {"F16": ("HalfStorage", 2), "F32": ("FloatStorage", 4), "U8": ("ByteStorage", 1)}


def _module(name, **members):
    for parent in [name[:i] for i, c in enumerate(name) if c == "."]:
        sys.modules.setdefault(parent, types.ModuleType(parent))
    module = sys.modules.setdefault(name, types.ModuleType(name))
    for key, value in members.items():
        setattr(module, key, value)
        value.__module__, value.__qualname__ = name, key
    return module


def _rebuild_tensor_v2(*_):
    raise AssertionError("only its name is written")


class Schedule(enum.Enum):
    COSINE = "cosine"


class SpeedMonitor:
    """An object with state, slots of odd types and a reference to itself."""

    def __init__(self):
        self.me = self
        self.history = collections.deque([1.5, 2.5], maxlen=7)
        self.seen = {1, 2, 3}
        self.frozen = frozenset("ab")
        self.big = 1 << 300
        self.raw = bytes(range(256)) * 3
        self.array = bytearray(b"xyz")
        self.when = datetime.datetime(2024, 11, 5, 12, 30)
        self.price = decimal.Decimal("1.25")
        self.counts = collections.Counter("abca")
        self.lookup = collections.defaultdict(list, a=[1])
        self.schedule = Schedule.COSINE
        self.complex = 1 + 2j
        self.range = range(3)


_module("torch._utils", _rebuild_tensor_v2=_rebuild_tensor_v2)
_module("torch", **{name: type(name, (), {}) for name, _ in STORAGES.values()})
_module("composer.callbacks", SpeedMonitor=SpeedMonitor, Schedule=Schedule)


class Tensor:
    """Row-major `data` of a type in the spelling of safetensors."""

    def __init__(self, dtype, shape, data):
        self.dtype, self.shape, self.data = dtype, tuple(shape), bytes(data)

    def __reduce__(self):
        strides, step = [], 1
        for size in reversed(self.shape):
            strides.insert(0, step)
            step *= size
        return _rebuild_tensor_v2, (_Storage(self), 0, self.shape, tuple(strides), False,
                                    collections.OrderedDict())


class _Storage:
    def __init__(self, tensor):
        self.tensor = tensor


class _Pickler(pickle._Pickler):
    def __init__(self, file, protocol):
        super().__init__(file, protocol)
        self.storages = []

    def persistent_id(self, thing):
        if not isinstance(thing, _Storage):
            return None
        name, width = STORAGES[thing.tensor.dtype]
        self.storages.append(thing.tensor.data)
        return ("storage", getattr(sys.modules["torch"], name), str(len(self.storages) - 1), "cpu",
                len(thing.tensor.data) // width)


def save(document, path, protocol=2):
    out = io.BytesIO()
    pickler = _Pickler(out, protocol)
    pickler.dump(document)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", out.getvalue())
        archive.writestr("archive/byteorder", "little")
        for i, data in enumerate(pickler.storages):
            archive.writestr(f"archive/data/{i}", data)
        archive.writestr("archive/version", "3\n")


def load_safetensors(path):
    raw = path.read_bytes()
    length, = struct.unpack("<Q", raw[:8])
    tensors = {}
    for name, entry in json.loads(raw[8:8 + length]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = Tensor(entry["dtype"], entry["shape"],
                                   raw[8 + length + begin:8 + length + end])
    return tensors


def training_names(tensors):
    """Hugging Face's names as flex_bert and flex_gpt have them; q, k and v in one matrix."""
    out = collections.OrderedDict()
    for name, tensor in tensors.items():
        if name.endswith("k_proj.weight") or name.endswith("v_proj.weight"):
            continue
        if name.endswith("q_proj.weight"):
            parts = [tensors[name.replace("q_proj", f"{p}_proj")] for p in "qkv"]
            tensor = Tensor(tensor.dtype, (3 * tensor.shape[0], tensor.shape[1]),
                            b"".join(p.data for p in parts))
            name = name.replace("q_proj", "Wqkv")
        name = name.replace("model.layers.", "model.bert.encoder.layers.")
        for part in ("embeddings.", "final_norm."):
            name = name.replace(f"model.{part}", f"model.bert.{part}")
        if not name.startswith("model."):
            name = f"model.{name}"
        out[name] = tensor
        if name == "model.bert.embeddings.tok_embeddings.weight":
            out["model.decoder.weight"] = tensor   # tied: one storage under two names
    return out


def checkpoint(model, batch=0, config=None):
    """What Composer's trainer saves after `batch` batches."""
    moments = Tensor("F32", (2, 2), bytes(16))
    state = {
        "model": model,
        "optimizers": {"DecoupledAdamW": {"state": {"a": {"exp_avg": moments, "step": moments}},
                                          "param_groups": [{"lr": 8e-4, "betas": (0.9, 0.98)}]}},
        "callbacks": [("SpeedMonitor", SpeedMonitor())],
        "timestamp": {"Timestamp": {"epoch": 0, "batch": batch, "token": 4096 * batch,
                                    "total_wct": datetime.timedelta(hours=3)}},
        "integrations": {"huggingface": {
            "model": {"config": {"file_extension": ".json", "content": config or {}, "class": "x.Y"}},
            "tokenizer": {"vocab": {"content": {f"t{i}": i for i in range(1000)}}}}},
    }
    rng = [{"python": (3, tuple(range(2**32 - 600, 2**32)), None), "torch": Tensor("U8", (5,), b"state"),
            "numpy": ("MT19937", SpeedMonitor(), 1, 0, 0.0)}]
    return {"state": state, "rng": rng}

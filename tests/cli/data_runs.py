"""ettin data diff and ettin data show, on run folders that are written here by their definition."""
import hashlib
import json
import struct

from harness import MODELS, CliTest, run

HEADER = "phase,phase_step,step,epoch,first,sequences,tokens,batch_hash,chain\n"
CLS, SEP, MASK = 8188, 8189, 8191
IDS = [CLS, *range(400, 440), SEP]


def write_set(folder, ids):
    """One sequence as a shard: the only order of one sequence is its own."""
    sample = bytes([1 << 2, len(ids)]) + struct.pack(f"<{len(ids)}I", *ids)
    sample = struct.pack("<I", len(sample)) + sample
    shape = {"column_encodings": ["ndarray:uint32"], "column_names": ["input_ids"],
             "column_sizes": [None], "compression": None, "format": "mds", "hashes": [],
             "size_limit": 1 << 26, "version": 2}
    config = json.dumps(shape, sort_keys=True).encode()
    begin = 4 + 8 + len(config)
    shard = struct.pack("<III", 1, begin, begin + len(sample)) + config + sample
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shard.00000.mds").write_bytes(shard)
    raw = {"basename": "shard.00000.mds", "bytes": len(shard), "hashes": {}}
    index = {"shards": [{**shape, "raw_data": raw, "samples": 1, "zip_data": None}], "version": 2}
    (folder / "index.json").write_text(json.dumps(index, sort_keys=True))


def write_log(folder, batches):
    """`batches`: for each step its sequences as (number, ids)."""
    lines, chain = [HEADER], bytes(32)
    for step, batch in enumerate(batches, 1):
        fed = b"".join(struct.pack("<QI", number, len(ids)) + struct.pack(f"<{len(ids)}I", *ids)
                       for number, ids in batch)
        batch_hash = hashlib.sha256(fed).digest()
        chain = hashlib.sha256(chain + batch_hash).digest()
        tokens = sum(len(ids) for _, ids in batch)
        lines.append(f"0,{step},{step},{step - 1},{step - 1},{len(batch)},{tokens},"
                     f"{batch_hash.hex()},{chain.hex()}\n")
    (folder / "data_log.csv").write_text("".join(lines))
    return chain.hex()


def write_run(folder, data, batches, arm="encoder"):
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(
        {"version": 1, "ettin": "0.1.0", "arm": arm, "recipe": "0" * 64, "tokenizer": "0" * 64,
         "data": [{"phase": "pretrain", "identity": "0" * 64}]}))
    (folder / "recipe.yaml").write_text(f"""name: small
tokenizer: {json.dumps(str(MODELS / "seedling-encoder"))}
model:
  vocab_size: 8192
  hidden_size: 64
  intermediate_size: 96
  num_hidden_layers: 2
  num_attention_heads: 1
optimizer:
  learning_rate: 1e-3
phases:
  pretrain:
    data: {json.dumps(str(data))}
    max_length: 64
    tokens: 10000
    batch_sequences: 1
    microbatch_sequences: 1
""")
    return write_log(folder, batches)


class DataRuns(CliTest):
    def setUp(self):
        super().setUp()
        self.data = self.folder / "data"
        write_set(self.data, IDS)

    def run_of(self, name, steps=3, data=None, ids=None, arm="encoder"):
        chain = write_run(self.folder / name, data or self.data,
                          [[(0, ids or IDS)] for _ in range(steps)], arm)
        return self.folder / name, chain

    def test_a_pair_that_was_fed_the_same(self):
        a, chain = self.run_of("a")
        b, _ = self.run_of("b", arm="decoder")
        self.assertEqual(self.ok("data", "diff", a, b),
                         f"identical: 3 steps, 126 tokens\n  chain  {chain}\n")
        answer, = self.answers("data", "diff", a, b)
        self.assertEqual(answer, {"identical": True, "prefix": False, "common_steps": 3,
                                  "a": {"steps": 3, "tokens": 126, "chain": chain},
                                  "b": {"steps": 3, "tokens": 126, "chain": chain}})

    def test_a_run_that_stopped_earlier(self):
        a, _ = self.run_of("a")
        b, chain = self.run_of("b", steps=2)
        out = self.differs("data", "diff", a, b)
        self.assertIn("/b is the beginning of", out)
        self.assertIn("2 of 3 steps, 84 of 126 tokens", out)
        self.assertIn(chain, out)
        self.assertIn("is the beginning of", self.ok("data", "diff", b, a, "--prefix"))

    def differs(self, *args):
        code, out, err = run(*args)
        self.assertEqual((code, err), (1, ""), out)
        return out

    def test_the_first_token_that_differs(self):
        other = IDS[:7] + [999] + IDS[8:]
        write_set(self.folder / "other", other)
        a, _ = self.run_of("a")
        b, _ = self.run_of("b", data=self.folder / "other", ids=other)
        out = self.differs("data", "diff", a, b)
        self.assertIn("different from step 1 on; 0 steps before it are equal", out)
        self.assertIn("in sequence 1 of the batch, at token 8", out)
        self.assertIn("id 406", out)
        self.assertIn("id 999", out)
        self.assertIn("shard.00000.mds", out)
        out = self.differs("data", "diff", a, b, "--json")
        first = json.loads(out)["first_difference"]
        self.assertEqual((first["step"], first["place"], first["position"]), (1, 0, 7))
        self.assertEqual((first["sequence_a"]["id"], first["sequence_b"]["id"]), (406, 999))
        # Without the data the logs say which step.
        (self.folder / "other" / "index.json").unlink()
        out = self.differs("data", "diff", a, b)
        self.assertIn("which token is not known", out)

    def test_logs_that_were_changed_are_errors(self):
        a, _ = self.run_of("a")
        b, _ = self.run_of("b")
        log = b / "data_log.csv"
        text = log.read_text()
        log.write_text(text[:-2] + ("0" if text[-2] != "0" else "1") + "\n")
        error = self.error(5, "data", "diff", a, b)
        self.assertIn("data_log.csv: line 4: its chain does not follow", error["message"])
        self.assertIn("no such file", self.error(3, "data", "diff", a, self.folder)["message"])
        self.error(2, "data", "diff", a)

    def test_a_step_as_the_encoder_saw_it(self):
        a, _ = self.run_of("a")
        out = self.ok("data", "show", a, "--step", 2)
        self.assertIn("step 2: phase pretrain, step 2 of it, as the encoder saw it", out)
        self.assertIn("as in the log", out)
        self.assertIn("[MASK]", out)
        self.assertIn("shard.00000.mds", out)
        answer, = self.answers("data", "show", a, "--step", 2)
        shown, = answer["shown"]
        self.assertEqual(shown["ids"], IDS)
        self.assertEqual([shown["ids"][p] for p in shown["positions"]], shown["targets"])
        changed = [p for p, (x, y) in enumerate(zip(shown["ids"], shown["inputs"])) if x != y]
        self.assertTrue(set(changed) <= set(shown["positions"]))
        self.assertIn(MASK, shown["inputs"])
        self.assertEqual((shown["inputs"][0], shown["inputs"][-1]), (CLS, SEP))
        # Another step is another pass over the data, with other masks.
        other, = self.answers("data", "show", a, "--step", 3)
        self.assertNotEqual(other["shown"][0]["positions"], shown["positions"])

    def test_a_step_as_the_decoder_saw_it(self):
        a, _ = self.run_of("a")
        b, _ = self.run_of("b", arm="decoder")
        answer, = self.answers("data", "show", b, "--step", 1)
        shown, = answer["shown"]
        self.assertEqual(shown["inputs"], IDS)
        self.assertEqual(shown["targets"], IDS[1:])
        asked, = self.answers("data", "show", a, "--step", 1, "--arm", "decoder")
        self.assertEqual(asked["shown"], answer["shown"])

    def test_what_cannot_be_shown(self):
        a, _ = self.run_of("a")
        self.assertIn("no step 4", self.error(3, "data", "show", a, "--step", 4)["message"])
        self.error(2, "data", "show", a)
        write_set(self.data, IDS[:-2] + [1, SEP])
        error = self.error(5, "data", "show", a, "--step", 1)
        self.assertIn("have other tokens now", error["message"])

"""The model card's numbers from the real hub; only where it can be reached. Exit 77: it cannot."""
import json
import os
import sys
import tempfile
import urllib.request

import harness

ENDPOINT = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
NAME = "onnx-community/ettin-encoder-32m-ONNX"
EXPECTED = [(" Paris", 0.5152), (" Lyon", 0.0337), (" Nancy", 0.0312), (" Brussels", 0.0208),
            (" Geneva", 0.0190)]


def main():
    try:
        with urllib.request.urlopen(f"{ENDPOINT}/api/models/{NAME}", timeout=5) as answer:
            json.load(answer)
    except (OSError, ValueError) as error:
        print(f"SKIPPED: the hub cannot be reached from here ({ENDPOINT}: {error})")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        code, out, err = harness.run("fill-mask", "--json", "--model", NAME, "--dtype", "fp32",
                                     harness.PARIS, env={"HF_HOME": folder})
    if code != 0:
        print(err)
        return 1
    found = [(c["token_str"], round(c["score"], 4)) for c in json.loads(out)]
    print(found)
    return 0 if found == EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())

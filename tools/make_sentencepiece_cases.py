"""Trains small sentencepiece models on the documentation and records what sentencepiece makes of texts with them.

    apt-get install sentencepiece        # 0.1.97
    python3 tools/make_sentencepiece_cases.py tests/GradientAtoms.Tests/Tokenization/Cases

Writes NAME.model and sentencepiece.json beside charsmap.tsv; the texts are those of cuts.json that have no line break and
no zero byte, which spm_encode cannot be given.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

out = pathlib.Path(sys.argv[1])
common = ["--vocab_size=400", "--hard_vocab_limit=false", "--user_defined_symbols=<tool>,===", "--control_symbols=<ctl>", "--num_threads=1"]
rules = f"--normalization_rule_tsv={out / 'charsmap.tsv'}"
models = {
    "unigram": ["--model_type=unigram", "--byte_fallback=true", rules],
    "unigram-suffix": ["--model_type=unigram", "--treat_whitespace_as_suffix=true", "--normalization_rule_name=identity", "--character_coverage=0.99"],
    "bpe": ["--model_type=bpe", "--character_coverage=0.98", rules],
    "bpe-llama": ["--model_type=bpe", "--byte_fallback=true", "--normalization_rule_name=identity", "--remove_extra_whitespaces=false", "--split_digits=true", "--allow_whitespace_only_pieces=true"],
    "bpe-gemma": ["--model_type=bpe", "--byte_fallback=true", "--normalization_rule_name=identity", "--remove_extra_whitespaces=false", "--add_dummy_prefix=false"],
}
texts = [text for text in json.loads((out / "cuts.json").read_text())["texts"] if not set(text) & set("\n\r\0")]
with tempfile.TemporaryDirectory() as folder:
    corpus = pathlib.Path(folder, "corpus.txt")
    corpus.write_text("\n".join(path.read_text() for path in sorted(pathlib.Path("docs").glob("*.md"))))
    lines = pathlib.Path(folder, "texts.txt")
    lines.write_text("\n".join(texts) + "\n", newline="\n")
    records = {}
    for name, options in models.items():
        prefix = pathlib.Path(folder, name)
        subprocess.run(["spm_train", f"--input={corpus}", f"--model_prefix={prefix}", *common, *options], check=True, capture_output=True)
        model = prefix.with_suffix(".model")
        (out / model.name).write_bytes(model.read_bytes())
        ids = subprocess.run(["spm_encode", f"--model={model}", "--output_format=id", str(lines)], check=True, capture_output=True, text=True).stdout
        rows = ids.split("\n")[:-1]
        assert len(rows) == len(texts), (len(rows), len(texts))
        decoded = subprocess.run(["spm_decode", f"--model={model}", "--input_format=id"], input=ids, check=True, capture_output=True, text=True).stdout
        records[name] = {"ids": rows, "decoded": decoded.split("\n")[:-1]}
(out / "sentencepiece.json").write_text(json.dumps({"texts": texts, "models": records}) + "\n")

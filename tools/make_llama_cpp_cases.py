"""Writes what llama.cpp itself makes of small models, adapters and quantised blocks. LlamaCppTests compares with both files.

    npm install --prefix /tmp/llama @node-llama-cpp/linux-x64@3.22.1        (llama.cpp v0.5.0)
    dotnet build tests/GradientAtoms.Tests
    GATOMS_LLAMA_CPP_CASES=/tmp/cases tests/GradientAtoms.Tests/bin/Debug/net10.0/GradientAtoms.Tests -explicit only -method "*.Write_the_files_that_llama_cpp_is_asked_about"
    python3 tools/make_llama_cpp_cases.py /tmp/llama/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64 /tmp/cases tests/GradientAtoms.Tests/Checkpoints/Cases

Everything is computed in float32 with a float32 cache, without flash attention, on one thread.
"""

import base64
import ctypes as c
import glob
import hashlib
import json
import os
import random
import sys

binaries, cases, out = sys.argv[1:4]
base = c.CDLL(os.path.join(binaries, "libggml-base.so"), mode=c.RTLD_GLOBAL)
ggml = c.CDLL(glob.glob(os.path.join(binaries, "libggml.*so"))[0], mode=c.RTLD_GLOBAL)
llama = c.CDLL(glob.glob(os.path.join(binaries, "libllama.v*so"))[0], mode=c.RTLD_GLOBAL)


class ModelParams(c.Structure):
    """Passed on as it comes; larger than any version's."""
    _fields_ = [("any", c.c_uint64 * 32)]


class ContextParams(c.Structure):
    _fields_ = [("n_ctx", c.c_uint32), ("n_batch", c.c_uint32), ("n_ubatch", c.c_uint32), ("n_seq_max", c.c_uint32), ("n_rs_seq", c.c_uint32), ("n_outputs_max", c.c_uint32), ("one_more", c.c_uint32),
                ("threads", c.c_int32), ("threads_batch", c.c_int32), ("ctx_type", c.c_int), ("rope_scaling", c.c_int), ("pooling", c.c_int), ("attention", c.c_int),
                ("flash", c.c_int), ("floats", c.c_float * 6), ("orig_ctx", c.c_uint32), ("defrag", c.c_float), ("eval", c.c_void_p), ("eval_data", c.c_void_p),
                ("type_k", c.c_int), ("type_v", c.c_int), ("abort", c.c_void_p), ("abort_data", c.c_void_p), ("flags", c.c_bool * 6), ("samplers", c.c_void_p), ("n_samplers", c.c_size_t)]


class Batch(c.Structure):
    _fields_ = [("n_tokens", c.c_int32), ("token", c.POINTER(c.c_int32)), ("embd", c.c_void_p), ("pos", c.c_void_p), ("n_seq_id", c.c_void_p), ("seq_id", c.c_void_p), ("logits", c.POINTER(c.c_int8))]


def function(library, name, result, *arguments):
    found = getattr(library, name)
    found.restype, found.argtypes = result, list(arguments)
    return found


log_type = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)
log = log_type(lambda level, text, data: sys.stderr.write(text.decode(errors="replace")) if level >= 4 or "-v" in sys.argv else None)
function(llama, "llama_log_set", None, log_type, c.c_void_p)(log, None)
function(ggml, "ggml_backend_load_all_from_path", None, c.c_char_p)(binaries.encode())
function(llama, "llama_backend_init", None)()
load_model = function(llama, "llama_model_load_from_file", c.c_void_p, c.c_char_p, ModelParams)
new_context = function(llama, "llama_init_from_model", c.c_void_p, c.c_void_p, ContextParams)
model_defaults = function(llama, "llama_model_default_params", ModelParams)
context_defaults = function(llama, "llama_context_default_params", ContextParams)
load_lora = function(llama, "llama_adapter_lora_init", c.c_void_p, c.c_void_p, c.c_char_p)
set_loras = function(llama, "llama_set_adapters_lora", c.c_int32, c.c_void_p, c.POINTER(c.c_void_p), c.c_size_t, c.POINTER(c.c_float))
decode = function(llama, "llama_decode", c.c_int32, c.c_void_p, Batch)
logits_of = function(llama, "llama_get_logits_ith", c.POINTER(c.c_float), c.c_void_p, c.c_int32)
vocabulary = function(llama, "llama_vocab_n_tokens", c.c_int32, c.c_void_p)
vocabulary_of = function(llama, "llama_model_get_vocab", c.c_void_p, c.c_void_p)
free_context = function(llama, "llama_free", None, c.c_void_p)
free_model = function(llama, "llama_model_free", None, c.c_void_p)


def logits(model, tokens, lora):
    params = context_defaults()
    assert (params.n_ctx, params.n_batch, params.type_k, params.type_v, params.defrag) == (512, 2048, 1, 1, -1.0), "the layout of llama_context_params has changed"
    params.n_ctx, params.threads, params.threads_batch, params.flash, params.type_k, params.type_v = 256, 1, 1, 0, 0, 0
    context = new_context(model, params)
    assert context
    if lora:
        adapter = load_lora(model, lora.encode())
        assert adapter, lora
        assert set_loras(context, (c.c_void_p * 1)(adapter), 1, (c.c_float * 1)(1.0)) == 0
    n = len(tokens)
    batch = Batch(n, (c.c_int32 * n)(*tokens), None, None, None, None, (c.c_int8 * n)(*([1] * n)))
    assert decode(context, batch) == 0
    size = vocabulary(vocabulary_of(model))
    rows = b"".join(bytes(c.cast(logits_of(context, i), c.POINTER(c.c_float * size)).contents) for i in range(n))
    free_context(context)
    return base64.b64encode(rows).decode()


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


answers = {}
for path in sorted(glob.glob(os.path.join(cases, "*.json"))):
    name = os.path.basename(path)[:-5]
    with open(path) as file:
        tokens = json.load(file)
    model = load_model(path[:-5].encode() + b".gguf", model_defaults())
    if not model:
        print(f"{name}: not loaded")
        continue
    lora = path[:-5] + ".lora.gguf"
    answers[name] = {"logits": logits(model, tokens, None)}
    if os.path.exists(lora):
        answers[name] |= {"lora_sha256": sha256(lora), "lora_logits": logits(model, tokens, lora)}
    free_model(model)
    print(name, "done")

with open(os.path.join(out, "llama-cpp.json"), "w") as file:
    json.dump(answers, file, indent=1)
    file.write("\n")

# Quantised by ggml's own quantiser, meant as ggml's own decoder says.
types = {"Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34), "Q2_K": (10, 256, 84), "Q3_K": (11, 256, 110), "Q4_K": (12, 256, 144),
         "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210), "IQ4_NL": (20, 32, 18), "IQ4_XS": (23, 256, 136)}
quantise = function(base, "ggml_quantize_chunk", c.c_size_t, c.c_int, c.POINTER(c.c_float), c.c_void_p, c.c_int64, c.c_int64, c.c_int64, c.c_void_p)
blocks = {}
generator = random.Random(5)
for name, (number, size, length) in types.items():
    decoder = function(base, f"dequantize_row_{name.lower().replace('_k', '_K')}", None, c.c_void_p, c.POINTER(c.c_float), c.c_int64)
    count = 2 * size
    values = (c.c_float * count)(*[generator.gauss(0, 1) * (1 + i // 16 * 7 % 16) for i in range(count)])
    stored = c.create_string_buffer(2 * length)
    assert quantise(number, values, stored, 0, 1, count, None) == 2 * length
    meant = (c.c_float * count)()
    decoder(stored, meant, count)
    blocks[name] = {"bytes": base64.b64encode(stored.raw).decode(), "values": base64.b64encode(bytes(meant)).decode(), "given": base64.b64encode(bytes(values)).decode()}

with open(os.path.join(out, "ggml-blocks.json"), "w") as file:
    json.dump(blocks, file, indent=1)
    file.write("\n")

"""Writes the rotary frequencies that transformers' own code computes, and for dynamic scaling also those of its authors' code. RopeScalingTests compares with the file.

transformers' modeling_rope_utils.py (as of 4.45; any copy of the file) and LlamaDynamicScaledRotaryEmbedding.py of jquesnelle/yarn are executed as they are, on
torch 1.13 or later:

    apt-get install python3-torch
    /usr/bin/python3 tools/make_rope_cases.py MODELING_ROPE_UTILS.py LLAMADYNAMICSCALEDROTARYEMBEDDING.py tests/GradientAtoms.Tests/Architectures/Cases/rope-scaling.json
"""

import json
import logging
import sys
import types

import torch

rope_utils, dynamic, out = sys.argv[1:4]

# What the file imports of its neighbours, as far as it is used.
for name in ("configuration_utils", "utils", "transformers", "transformers.configuration_utils", "transformers.utils"):
    module = types.ModuleType(name)
    module.__path__ = []
    module.PretrainedConfig, module.is_torch_available, module.logging = object, lambda: True, types.SimpleNamespace(get_logger=logging.getLogger)
    sys.modules[name] = module


def execute(path):
    space = {"__name__": "transformers.executed", "__package__": "transformers"}
    with open(path) as file:
        exec(compile(file.read(), path, "exec"), space)
    return space


functions = execute(rope_utils)["ROPE_INIT_FUNCTIONS"]
author = execute(dynamic)["LlamaDynamicScaledRotaryEmbedding"]

cases = [
    ({"rope_type": "linear", "factor": 4}, 64, 10_000, 8192, 100),
    ({"rope_type": "dynamic", "factor": 2}, 64, 10_000, 2048, 2048),
    ({"rope_type": "dynamic", "factor": 2}, 64, 10_000, 2048, 2049),
    ({"rope_type": "dynamic", "factor": 4}, 128, 10_000, 4096, 16_384),
    ({"rope_type": "dynamic", "factor": 8}, 128, 1_000_000, 4096, 30_000),
    ({"rope_type": "llama3", "factor": 32, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}, 64, 500_000, 131_072, 9000),
    ({"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}, 128, 500_000, 131_072, 100),
    ({"rope_type": "yarn", "factor": 4}, 128, 1_000_000, 32_768, 40_000),
    ({"rope_type": "yarn", "factor": 16, "beta_fast": 16, "beta_slow": 2}, 64, 10_000, 4096, 100),
    ({"rope_type": "yarn", "factor": 2, "attention_factor": 1.25}, 32, 10_000, 4096, 100),
]
answers = []
for scaling, size, theta, context, length in cases:
    config = types.SimpleNamespace(rope_scaling=scaling, rope_theta=theta, hidden_size=size * 4, num_attention_heads=4, head_dim=size, max_position_embeddings=context)
    frequencies, factor = functions[scaling["rope_type"]](config, "cpu", seq_len=length)
    answers.append({"rope_scaling": scaling, "size": size, "theta": theta, "context": context, "length": length, "frequencies": frequencies.tolist(), "factor": factor})
    if scaling["rope_type"] == "dynamic":
        module = author(size, context, theta, ntk=scaling["factor"])
        module(torch.zeros(1), seq_len=length)
        answers[-1]["authors_frequencies"] = module.inv_freq.tolist()

with open(out, "w") as file:
    json.dump(answers, file, separators=(",", ":"))
    file.write("\n")

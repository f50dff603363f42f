"""The reference's extraction loop, for the gradient-pass benchmark: a document at a time, all LoRA gradients by autograd.

What the reference does with transformers and PEFT is written out here in plain PyTorch, since Debian has neither: eager attention,
logits at every position, the summed loss of the trained tokens, loss.backward(), and a flat copy of every LoRA gradient.

    reference_loop.py CASE THREADS

CASE is a folder that the benchmark writes: config.json, weights.safetensors (float32), adapter.safetensors (per module
NAME.A and NAME.B), documents.json ([{"tokens": [...], "trained": [0 or 1, ...]}]). Prints one JSON object: seconds, and each
document's loss and gradient norm, which the benchmark compares with its own.
"""

import json
import math
import os
import sys
import time

case, threads = sys.argv[1], int(sys.argv[2])
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # torch's threads and OpenBLAS's own would spin against one another: three times slower

import torch  # noqa: E402
import torch.nn.functional as functional  # noqa: E402

from safetensors_file import read_safetensors  # noqa: E402

torch.set_num_threads(threads)


def read_tensors(path):
    return {name: torch.from_numpy(array.copy()) for name, array in read_safetensors(path).items()}


config = json.load(open(f"{case}/config.json"))
weights = read_tensors(f"{case}/weights.safetensors")
lora = {name: tensor.requires_grad_() for name, tensor in read_tensors(f"{case}/adapter.safetensors").items()}
documents = json.load(open(f"{case}/documents.json"))
scale, epsilon, heads, groups, size = config["scale"], config["epsilon"], config["heads"], config["key_value_heads"], config["head_size"]


def linear(name, x):
    y = functional.linear(x, weights[f"{name}.weight"])
    return y + functional.linear(functional.linear(x, lora[f"{name}.A"]), lora[f"{name}.B"]) * scale if f"{name}.A" in lora else y


def norm(name, x):
    return weights[f"{name}.weight"] * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon))


def rotate(x, cosines, sines):
    half = x.shape[-1] // 2
    return x * cosines + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sines


def logits_of(tokens):
    length = len(tokens)
    hidden = functional.embedding(tokens, weights["model.embed_tokens.weight"]).unsqueeze(0)
    frequencies = 1.0 / config["theta"] ** (torch.arange(0, size, 2).float() / size)
    angles = torch.outer(torch.arange(length).float(), frequencies)
    angles = torch.cat((angles, angles), dim=-1)
    cosines, sines = angles.cos(), angles.sin()
    mask = torch.full((length, length), torch.finfo(torch.float32).min).triu(1)
    for layer in range(config["layers"]):
        name = f"model.layers.{layer}"
        x = norm(f"{name}.input_layernorm", hidden)
        split = lambda values: values.view(1, length, -1, size).transpose(1, 2)  # noqa: E731
        query = rotate(split(linear(f"{name}.self_attn.q_proj", x)), cosines, sines)
        key = rotate(split(linear(f"{name}.self_attn.k_proj", x)), cosines, sines)
        value = split(linear(f"{name}.self_attn.v_proj", x))
        key, value = (t.repeat_interleave(heads // groups, dim=1) for t in (key, value))
        weight = functional.softmax(query @ key.transpose(2, 3) / math.sqrt(size) + mask, dim=-1)
        mixed = (weight @ value).transpose(1, 2).reshape(1, length, heads * size)
        hidden = hidden + linear(f"{name}.self_attn.o_proj", mixed)
        x = norm(f"{name}.post_attention_layernorm", hidden)
        hidden = hidden + linear(f"{name}.mlp.down_proj", functional.silu(linear(f"{name}.mlp.gate_proj", x)) * linear(f"{name}.mlp.up_proj", x))
    return functional.linear(norm("model.norm", hidden), weights[config["head"]])[0]


def gradient_of(document):
    tokens, trained = torch.tensor(document["tokens"]), torch.tensor(document["trained"], dtype=torch.bool)
    labels = torch.where(trained, tokens, torch.full_like(tokens, -100))
    loss = functional.cross_entropy(logits_of(tokens)[:-1], labels[1:], ignore_index=-100, reduction="sum")
    for parameter in lora.values():
        parameter.grad = None
    loss.backward()
    return loss.item(), torch.cat([parameter.grad.flatten().cpu() for parameter in lora.values()])


gradient_of(documents[0])
seconds, losses, norms = 0.0, [], []
for document in documents:
    start = time.perf_counter()
    loss, gradient = gradient_of(document)
    seconds += time.perf_counter() - start
    losses.append(loss)
    norms.append(gradient.norm().item())
json.dump({"seconds": seconds, "losses": losses, "norms": norms, "torch": torch.__version__}, sys.stdout)

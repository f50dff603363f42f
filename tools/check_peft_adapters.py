"""Loads adapters that we wrote with PEFT's own code and compares what every module then computes with what it should. PeftReadsTests keeps the result.

PEFT is pure Python over torch, so its source and a torch of 1.13 or later are enough; what it imports of other packages and does not use for LoRA is
stood in for here.

    apt-get install python3-torch python3-numpy
    git clone https://github.com/huggingface/peft /tmp/peft
    dotnet build tests/GradientAtoms.Tests
    GATOMS_PEFT_CASES=/tmp/peft-cases tests/GradientAtoms.Tests/bin/Debug/net10.0/GradientAtoms.Tests -explicit only -method "*.Write_the_adapters_that_peft_is_asked_about"
    /usr/bin/python3 tools/check_peft_adapters.py /tmp/peft/src /tmp/peft-cases tests/GradientAtoms.Tests/Adapters/Cases
"""

import hashlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
import types
import warnings

source, cases, out = sys.argv[1:4]
sys.path.insert(0, source)


class Anything(type):
    """A class of which nothing is used."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return anything(name)

    def __contains__(cls, item):
        return False

    def __iter__(cls):
        return iter(())

    def __or__(cls, other):
        return cls

    __ror__ = __or__


def anything(name):
    def begin(self, *arguments, **named):
        super(made, self).__init__()

    made = Anything(name, (), {"__init__": begin})
    return made


class Module(types.ModuleType):
    def __getattr__(self, name):
        if name == "__version__":
            return "5.20.0"
        if name.startswith("__"):
            raise AttributeError(name)
        value = anything(name)
        setattr(self, name, value)
        return value


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("transformers", "accelerate", "huggingface_hub", "safetensors", "psutil", "tqdm", "yaml", "datasets"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Module(spec.name)

    def exec_module(self, module):
        module.__path__ = []


sys.meta_path.insert(0, Finder())
warnings.simplefilter("ignore")
import torch  # noqa: E402
import safetensors.torch  # noqa: E402
import transformers.pytorch_utils  # noqa: E402


class Conv1D(torch.nn.Module):
    """GPT-2's linear map, whose weight is stored [in, out]."""

    def __init__(self, outputs, inputs):
        super().__init__()
        self.nf = outputs
        self.weight = torch.nn.Parameter(torch.zeros(inputs, outputs))
        self.bias = torch.nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


def load_file(path, device=None):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        data = file.read()
    return {name: torch.frombuffer(bytearray(data[slice(*entry["data_offsets"])]), dtype=torch.float32).reshape(entry["shape"])
            for name, entry in header.items() if name != "__metadata__"}


transformers.pytorch_utils.Conv1D = Conv1D
safetensors.torch.load_file = load_file
import peft  # noqa: E402


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


answers = {"peft": peft.__version__, "torch": torch.__version__, "cases": {}}
for name in sorted(os.listdir(cases)):
    folder = os.path.join(cases, name)
    with open(os.path.join(folder, "modules.json")) as file:
        modules = json.load(file)
    root = torch.nn.Module()
    root.prepare_inputs_for_generation = None  # what a model of transformers has
    for module in modules:
        at = root
        *path, last = module["Name"].split(".")
        for part in path:
            if not hasattr(at, part):
                at.add_module(part, torch.nn.Module())
            at = getattr(at, part)
        at.add_module(last, Conv1D(module["Outputs"], module["Inputs"]) if module["IsConv1D"] else torch.nn.Linear(module["Inputs"], module["Outputs"], bias=False))
        with torch.no_grad():
            getattr(at, last).weight.zero_()
    model = peft.PeftModel.from_pretrained(root, folder)
    left = model.base_model.model.state_dict().keys()
    expected = load_file(os.path.join(folder, "expected.safetensors"))
    largest, adapted = 0.0, 0
    for module in modules:
        layer = model.base_model.model.get_submodule(module["Name"])
        if module["Name"] not in expected:
            assert not hasattr(layer, "lora_A"), f"{name}: PEFT adapts {module['Name']}"
            continue
        with torch.no_grad():
            found = layer(torch.eye(module["Inputs"])).T  # W = 0: what the adapter adds, [out, in]
        change = expected[module["Name"]]
        largest = max(largest, ((found - change).abs().max() / change.abs().max()).item())
        adapted += 1
    assert adapted == len(expected) and adapted == sum("lora_A.default.weight" in key for key in left), name
    answers["cases"][name] = {"modules": adapted, "largest_relative_error": largest, "config_sha256": sha256(os.path.join(folder, "adapter_config.json")),
                              "weights_sha256": sha256(os.path.join(folder, "adapter_model.safetensors"))}
    print(name, adapted, "modules,", largest)
    assert largest < 1e-6

with open(os.path.join(out, "peft.json"), "w") as file:
    json.dump(answers, file, indent=1)
    file.write("\n")

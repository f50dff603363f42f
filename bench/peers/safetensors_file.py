"""Reads the safetensors files that the benchmarks write: float32 only."""

import json

import numpy


def read_safetensors(path):
    """The arrays of a file by name; views of one buffer that must not be written to."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["dtype"] == "F32", name
            start, end = entry["data_offsets"]
            arrays[name] = numpy.frombuffer(data[start:end], dtype=numpy.float32).reshape(entry["shape"])
    return arrays

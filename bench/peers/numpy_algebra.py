"""What the curvature stages compute, in numpy: covariances, their eigenbases, gradients rotated into them.

    numpy_algebra.py CASE.safetensors THREADS

CASE holds inputs [T, in], outputs [T, out] (float32) and gradients [N, out, in] (float32). Prints one JSON object: seconds of each
step, the eigenvalues' sum, and the norm of each rotated gradient, which the benchmark compares with its own.
"""

import json
import os
import sys
import time

path, threads = sys.argv[1], sys.argv[2]
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = threads

import numpy  # noqa: E402

from safetensors_file import read_safetensors  # noqa: E402

arrays = read_safetensors(path)
inputs, outputs, gradients = arrays["inputs"], arrays["outputs"], arrays["gradients"]
inputs[:64].T @ inputs[:64]  # the first product pays for the threads

start = time.perf_counter()
covariances = [(inputs.T @ inputs).astype(numpy.float64) / len(inputs), (outputs.T @ outputs).astype(numpy.float64) / len(outputs)]
covariance = time.perf_counter() - start

start = time.perf_counter()
bases = [numpy.linalg.eigh(matrix) for matrix in covariances]
eigen = time.perf_counter() - start

right, left = (basis[1].astype(numpy.float32) for basis in bases)
start = time.perf_counter()
rotated = left.T @ (gradients.reshape(-1, gradients.shape[2]) @ right).reshape(gradients.shape)
rotation = time.perf_counter() - start
json.dump({"covariance": covariance, "eigen": eigen, "rotation": rotation, "trace": float(sum(basis[0].sum() for basis in bases)), "corner": float(abs(rotated[:, -1, -1]).sum()), "version": numpy.__version__}, sys.stdout)

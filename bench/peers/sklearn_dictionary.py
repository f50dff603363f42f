"""scikit-learn's dictionary learning, for the dictionary benchmark: the reference's learner, MiniBatchDictionaryLearning, then codes.

    sklearn_dictionary.py ROWS.safetensors ATOMS ALPHA THREADS SEED lars|cd

The reference leaves the learner at LARS, scikit-learn's default, and encodes by it; coordinate descent stands beside it as the faster choice. ROWS holds `rows` [N, k] and `planted` [P, k], float32. Prints one JSON object: seconds to learn and to encode, the objective
(1/N) sum of 1/2 |x - a D|^2 + alpha |a|_1 in float64 at the codes that it returns, the mean non-zeros of a row, and the share of planted atoms with a cosine of .9 to a learned one.
"""

import json
import os
import sys
import time

path, atoms, alpha, threads, seed, algorithm = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], int(sys.argv[5]), sys.argv[6]
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = threads

import warnings  # noqa: E402

import numpy  # noqa: E402
import sklearn  # noqa: E402
from sklearn.decomposition import MiniBatchDictionaryLearning  # noqa: E402

from safetensors_file import read_safetensors  # noqa: E402

warnings.simplefilter("ignore")
arrays = read_safetensors(path)
rows, planted = arrays["rows"], arrays["planted"]

start = time.perf_counter()
learner = MiniBatchDictionaryLearning(
    n_components=atoms, alpha=alpha, batch_size=256, max_iter=100, fit_algorithm=algorithm, transform_algorithm=f"lasso_{algorithm}",
    transform_alpha=alpha, random_state=seed, n_jobs=int(threads))
learner.fit(rows)
learned = time.perf_counter()
codes = learner.transform(rows).astype(numpy.float64)
encoded = time.perf_counter()
residual = rows - codes @ learner.components_.astype(numpy.float64)
objective = (0.5 * (residual**2).sum() + alpha * abs(codes).sum()) / len(rows)
found = (abs(planted @ learner.components_.T).max(1) > 0.9 * numpy.linalg.norm(learner.components_, axis=1)[abs(planted @ learner.components_.T).argmax(1)]).mean()
json.dump({"found": float(found), "learn": learned - start, "encode": encoded - learned, "objective": objective, "nonzeros": (codes != 0).sum() / len(rows), "steps": int(learner.n_steps_), "version": sklearn.__version__}, sys.stdout)

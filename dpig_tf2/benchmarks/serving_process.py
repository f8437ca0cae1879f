"""A fresh process that draws pictures in one way, so that its time to start and memory are its own.

The parent writes a line of JSON for each thing to do, and reads a line with what came of it.
"""

import json
import os
import sys
import time

import numpy as np


def main(way: dict) -> None:
    """Answers lines of stdin until it ends.

    Args:
        way: kind ("reference", "tensorflow" or a format), path (saved sampler or exported version;
            of LiteRT one for each batch size), inputs (an .npz file), precision, frozen.
    """
    from dpig_tf2.benchmarks.memory import resident_gib
    from dpig_tf2.io.memory import keep_freed_memory

    keep_freed_memory()

    with np.load(way["inputs"], allow_pickle=False) as stored:
        persons = dict(stored)
    runs = {}
    for line in sys.stdin:
        request = json.loads(line)
        size = request["batch"]
        if size not in runs:
            runs[size] = _loaded(way, size)
        inputs = {name: array[:size] for name, array in persons.items()}
        start = time.perf_counter()
        images = runs[size](inputs)
        answer = {"seconds": time.perf_counter() - start, "gib": resident_gib()}
        if "save" in request:
            np.save(request["save"], images)
        print(json.dumps(answer), flush=True)


def _loaded(way, size):
    kind = way["kind"]
    if kind not in ("reference", "tensorflow"):
        from dpig_tf2.serving import runtimes

        path = way["path"] if kind != "litert" else way["path"][str(size)]
        run = runtimes.load(path, kind, "transfer")
        return lambda inputs: run(inputs)["images"]
    import tensorflow as tf

    from dpig_tf2.benchmarks import reference
    from dpig_tf2.execution import Execution
    from dpig_tf2.models.loading import load_networks
    from dpig_tf2.ops.convolution_speed import measured_execution
    from dpig_tf2.sampling.sampler import PersonSampler

    if kind == "reference":
        config, networks = load_networks(way["path"], reference.EXECUTION)
        model = reference.ReferencePersonModel(config.model, networks)
        graph = tf.function(lambda inputs: model.transfer(**inputs), autograph=False)
        return lambda inputs: graph(
            {name: tf.constant(array) for name, array in inputs.items()}
        ).numpy()
    # As verbs and `load` have it.
    execution = measured_execution(Execution(way["precision"]), lambda _: None)
    sampler = PersonSampler.load(way["path"], execution)
    if way["frozen"]:
        sampler.freeze()
    return lambda inputs: sampler.transfer(**inputs)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main(json.loads(sys.argv[1]))

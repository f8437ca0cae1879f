"""One training step on several devices of a host, or on several hosts.

All replicas together act as one device on the global batch: data and noise are those of one device,
cut into equal parts; gradients are summed; the discriminator's batch normalization uses the
statistics of the global batch. What is left is rounding.
"""

import contextlib
import json
import os
import zlib

import tensorflow as tf

from dpig_tf2.config import Config, ConfigError
from dpig_tf2.execution import Execution
from dpig_tf2.ops import replicas

# What a collective operation ends with if another worker has gone, depending on the moment.
_PEER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
_TF_CONFIG_EXAMPLE = (
    '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
)


class LostWorker(RuntimeError):
    """Another worker has gone, so that this one cannot go on either."""


class Devices:
    """The replicas that train together, and this process's part among them.

    Args:
        strategy: of tf.distribute; None for one replica on the default device.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None):
        self.strategy = strategy or tf.distribute.get_strategy()
        self.replicas = self.strategy.num_replicas_in_sync
        resolver = self.strategy.cluster_resolver
        cluster = resolver.cluster_spec().as_dict() if resolver else {}
        self.workers = max(1, sum(len(addresses) for addresses in cluster.values()))
        first = ("chief" if "chief" in cluster else "worker", 0)
        # The chief writes and the others do not: configuration, checkpoints, logs, caches.
        self.is_chief = self.workers == 1 or (resolver.task_type, resolver.task_id) == first
        self._sum = tf.function(self._sum_over_replicas)

    def describe(self) -> str:
        """What the steps run on, e.g. "CPU", "2 GPUs" or "4 GPUs of 2 workers"."""
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        several = f"{self.replicas} {kind}s" if self.replicas > 1 else kind
        return f"{several} of {self.workers} workers" if self.workers > 1 else several

    def scope(self):
        """Context in which a trainer's variables are created on all replicas."""
        return contextlib.nullcontext() if self.replicas == 1 else self.strategy.scope()

    @contextlib.contextmanager
    def noticing_lost_workers(self):
        """Raises LostWorker for what a collective operation ends with if a worker has gone."""
        try:
            yield
        except _PEER_ERRORS as error:
            if self.workers == 1:
                raise
            raise LostWorker(_lost(error)) from error

    def compiled_step(self, train_step, jit_compile: bool = False):
        """`train_step(batch) -> {name: scalar}` on all replicas, with the mean of each scalar."""

        def replica_step(batch):
            logs = train_step(batch)
            means = tf.unstack(replicas.mean(tf.stack(list(logs.values()))))
            return dict(zip(logs, means, strict=True))

        def step(batch):
            if self.replicas == 1:
                return train_step(batch)
            logs = self.strategy.run(replica_step, (batch,))
            return {name: self._local(value) for name, value in logs.items()}

        return tf.function(step, jit_compile=jit_compile)

    def batches(self, dataset_fn):
        """The batches of this worker's replicas, from `dataset_fn(input context)`."""
        if self.replicas == 1:
            return dataset_fn(tf.distribute.InputContext())
        return self.strategy.distribute_datasets_from_function(dataset_fn)

    def wait_for_all(self) -> None:
        """Returns when all workers have come here."""
        self._total(0)

    def any_worker(self, flag: bool) -> bool:
        """Whether the flag is set on some worker: all workers get the same answer."""
        return self._total(flag) > 0

    def check(self, config: Config, stages, execution: Execution) -> None:
        """Raises ConfigError if the replicas cannot share a stage, or not in this way."""
        if self.replicas == 1:
            return
        refused = {
            # XLA does not compile MirroredStrategy's merge of replicas.
            "jit_compile": execution.jit_compile,
            "match_release": config.match_release,  # its first step is a condition, as is the next
            "precision=mixed_float16": execution.precision == "mixed_float16",
        }
        for name, given in refused.items():
            if given:
                raise ConfigError(f"--{name} does not go together with several replicas")
        for stage in stages:
            batch_size = config.stage(stage).batch_size
            if batch_size % self.replicas:
                raise ConfigError(
                    f"{stage}.batch_size is the global batch and must be a multiple of the "
                    f"{self.replicas} replicas, got {batch_size}"
                )

    def check_same(self, what: str, value) -> None:
        """Raises ConfigError, on all workers, if the value is not the same everywhere."""
        if self.workers == 1:
            return
        checksum = zlib.crc32(repr(value).encode())
        of_chief = round(self._total(checksum if self.is_chief else 0))
        if self.any_worker(checksum != of_chief):
            raise ConfigError(f"the workers differ in {what}")

    def _total(self, number) -> float:
        """Sum of the workers' numbers."""
        if self.workers == 1:
            return float(number)
        # float64 holds every step and checksum exactly, and GPUs can add it.
        total = self._sum(tf.constant(number, tf.float64))
        return float(total) * self.workers / self.replicas

    def _sum_over_replicas(self, number):
        return self._local(self.strategy.run(lambda: replicas.total(tf.identity(number))))

    def _local(self, value):
        return self.strategy.experimental_local_results(value)[0]


def devices(distribution: str) -> Devices:
    """The devices that "none", "mirrored" or "multi_worker" names.

    "mirrored" takes all GPUs of the host, or all logical CPU devices if there is no GPU.
    "multi_worker" takes the hosts and this worker's place among them from TF_CONFIG, and returns
    when all of them have started. It must come before anything else that initializes TensorFlow.

    Raises:
        ConfigError: if there is one device only, or TF_CONFIG is absent or malformed.
        LostWorker: if another worker left before all had started.
    """
    if distribution == "none":
        return Devices()
    tf.get_logger().setLevel("WARNING")  # strategies report every reduction that is traced
    if distribution == "multi_worker":
        addresses = _check_cluster(os.environ.get("TF_CONFIG"))
        print(f"waiting for all workers: {', '.join(addresses)}", flush=True)
        try:
            return Devices(tf.distribute.MultiWorkerMirroredStrategy())
        except _PEER_ERRORS as error:
            raise LostWorker(_lost(error)) from error
    gpus = tf.config.list_logical_devices("GPU")
    cpus = tf.config.list_logical_devices("CPU")
    if not gpus and len(cpus) == 1:
        raise ConfigError("--distribute=mirrored needs GPUs: this machine shows none")
    return Devices(tf.distribute.MirroredStrategy([device.name for device in gpus or cpus]))


def _lost(error) -> str:
    lines = error.message.strip().splitlines()
    reason = next((line for line in lines if "aborted by" in line), lines[0])
    return f"another worker has gone; start all of them again to resume ({reason})"


def _check_cluster(text: str | None) -> list[str]:
    """Addresses of all workers. Raises ConfigError if TF_CONFIG would not do."""
    if not text:
        raise ConfigError(
            "--distribute=multi_worker needs the environment variable TF_CONFIG, e.g. "
            f"'{_TF_CONFIG_EXAMPLE}'"
        )
    try:
        values = json.loads(text)
        cluster, task = values["cluster"], values["task"]
        addresses = [address for job in ("chief", "worker") for address in cluster.get(job, [])]
        own = cluster[task["type"]][task["index"]]
        for address in addresses:
            host, port = address.rsplit(":", 1)
            if not host or not 0 < int(port) < 65536:
                raise ValueError(f"{address!r} is not host:port")
        unknown = set(cluster) - {"chief", "worker"}
        if unknown or own not in addresses or task["index"] < 0:
            raise ValueError("only tasks of type chief and worker take part")
    except (
        *(ValueError, KeyError, IndexError, TypeError, AttributeError),
        *(OverflowError, RecursionError),
    ) as error:
        raise ConfigError(
            f"TF_CONFIG is not understood ({type(error).__name__}: {error}): expected something "
            f"like '{_TF_CONFIG_EXAMPLE}', got '{text}'"
        ) from error
    return addresses

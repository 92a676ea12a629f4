"""CUDA graphs on the CPU: operations are recorded without effect, and repeated on the same memory.

As on a GPU, a replay runs no Python. Whatever a step does there, such as looking up a cache or
counting steps, stays as it was when it was recorded.
"""

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from isavae import graphed_step, training


class Graph(TorchDispatchMode):
    """Stands for `torch.cuda.CUDAGraph`, and for the context of its recording."""

    def __init__(self):
        super().__init__()
        self.calls, self.before = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func.overloadpacket.__name__ == "_local_scalar_dense":
            raise RuntimeError("operation not permitted when stream is capturing")
        given = dict(zip((a.name for a in func._schema.arguments), args, strict=False)) | kwargs
        for argument in func._schema.arguments:
            if argument.alias_info is not None and argument.alias_info.is_write:
                written = tree_leaves(given.get(argument.name))
                self.before += [(x, x.clone()) for x in written if isinstance(x, Tensor)]
        result = func(*args, **kwargs)
        self.calls.append((func, args, kwargs, result))
        return result

    @torch.no_grad()
    def __exit__(self, *error):
        super().__exit__(*error)
        for tensor, value in reversed(self.before):
            tensor.copy_(value)

    @torch.no_grad()
    def replay(self):
        for func, args, kwargs, result in self.calls:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Stream:
    """Stands for `torch.cuda.Stream`: on the CPU, all is done in order."""

    def __init__(self, device=None):
        pass

    def wait_stream(self, other):
        pass


def emulate_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let training on the CPU record and replay steps."""
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, **_: graph)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(training, "can_be_graphed", lambda *_: True)


def count_replays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by the number of images with every replay."""
    counted, replay = [], graphed_step._Recording.replay

    def count(self, x, generator):
        counted.append(len(x))
        return replay(self, x, generator)

    monkeypatch.setattr(graphed_step._Recording, "replay", count)
    return counted


def tensor_learning_rates(state: training.TrainState) -> None:
    """Make learning rates tensors, as they are on a GPU."""
    for group in state.optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"])

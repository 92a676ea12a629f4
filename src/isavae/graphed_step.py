"""A training step that is recorded as a CUDA graph, and replayed from then on.

The step of a small model has 150 to 200 kernels, and launching each of them from Python takes
longer than running it. A graph launches all of them at once. It runs the same kernels on the same
memory, so that the results are those of the step itself.
"""

import warnings
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from isavae.errors import first_line
from isavae.models import VAE, Objective

# Images, and the noise of the posterior or its generator -> the loss and what else is reported.
Step = Callable[[Tensor, Tensor | torch.Generator], dict[str, Tensor]]

# Steps before a recording, in which libraries and caches allocate what they keep.
WARM_UP = 3
# Modules whose code does the same at every step.
_KNOWN = "torch.nn.modules.", "isavae."


def can_be_graphed(model: VAE, objective: Objective) -> bool:
    """Whether a step runs the same kernels every time and waits for none, on an NVIDIA GPU.

    The code of a module of your own, or of a hook, may do something else at every step: a replay
    would leave it out.
    """
    on_nvidia = model.device.type == "cuda" and torch.version.cuda is not None
    # A closed form of the KL looks at the prior's exponents, which waits for them.
    waits = getattr(objective, "kl_estimator", None) == "analytic"
    return on_nvidia and not waits and all(map(_is_known, model.modules()))


def _is_known(module: nn.Module) -> bool:
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return type(module).__module__.startswith(_KNOWN) and not any(hooks)


@final
class GraphedStep:
    """Takes a few steps, records one without taking it, and replays it for all that follow.

    A change of the memory, of the settings of Adam or of what is learned starts again. If a step
    cannot be recorded, a warning says so, and steps are taken as without a graph.

    Args:
        step: A step. It changes weights and the state of the optimiser in place.
        model: The model that it trains.
        optimizer: The optimiser that it uses, with learning rates that are tensors.
    """

    def __init__(self, step: Step, model: VAE, optimizer: torch.optim.Adam):
        self._step, self._model, self._optimizer = step, model, optimizer
        self._tensors = [*model.parameters(), *model.buffers()]
        self._stream = torch.cuda.Stream(model.device)
        self._recording: _Recording | None = None
        self._held: list[object] = []
        self._taken, self._shape, self._can_record = 0, torch.Size(), True

    def __call__(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Take a step on some images, with noise from the generator."""
        held = self._held_by_a_recording()
        if held != self._held:
            self._held, self._recording, self._taken = held, None, 0
        warm = self._taken >= WARM_UP and x.shape == self._shape
        if self._recording is None and warm and self._can_record:
            self._recording = self._record(x)
        if self._recording is not None and x.shape == self._recording.images.shape:
            return self._recording.replay(x, generator)
        self._taken, self._shape = self._taken + 1, x.shape
        return self._without_graph(x, generator)

    def _held_by_a_recording(self) -> list[object]:
        optimizer = self._optimizer
        moments = [value for of_one in optimizer.state.values() for value in of_one.values()]
        return [
            self._model.network_dtype,
            *(tensor.data_ptr() for tensor in (*self._tensors, *moments)),
            *(tensor.requires_grad for tensor in self._tensors),
            *(id(setting) for group in optimizer.param_groups for setting in group.values()),
        ]

    def _without_graph(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """A step on the stream of the recording, so that no part of it belongs to another one."""
        current = torch.cuda.current_stream(x.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            values = self._step(x, generator)
        current.wait_stream(self._stream)
        return values

    def _record(self, x: Tensor) -> "_Recording | None":
        """Record a step, which runs no kernel; None if it cannot be recorded."""
        weight = self._tensors[0]
        shape = len(x), self._model.prior.n_latents
        images, noise = x.clone(), weight.new_zeros(shape)
        graph = torch.cuda.CUDAGraph()
        self._optimizer.zero_grad()  # gradients are allocated anew, in the graph's memory
        try:
            # The outer context restores the stream if the inner one fails at its end.
            with (
                torch.cuda.stream(self._stream),
                torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
            ):
                values = self._step(images, noise)
                stacked = torch.stack(list(values.values()))
        except RuntimeError as error:  # torch and CUDA have no narrower one in all versions
            self._can_record = False
            warnings.warn(
                f"a training step cannot be recorded as a CUDA graph ({first_line(error)}): "
                "training goes on without one, with the same results but more slowly",
                stacklevel=2,
            )
            return None
        return _Recording(graph.replay, images, noise, list(values), stacked)


@final
class _Recording:
    """A graph, the tensors that it reads, and one that holds what it reports.

    Args:
        replay_graph: Launches the graph.
        images: Images of a step.
        noise: Noise of its posterior.
        names: Names of what is reported.
        values: The values, which every replay overwrites.
    """

    def __init__(
        self,
        replay_graph: Callable[[], None],
        images: Tensor,
        noise: Tensor,
        names: list[str],
        values: Tensor,
    ):
        self.replay_graph, self.images, self.noise = replay_graph, images, noise
        self.names, self.values = names, values

    def replay(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        self.images.copy_(x)
        self.noise.normal_(generator=generator)
        self.replay_graph()
        return dict(zip(self.names, self.values.clone().unbind(), strict=True))

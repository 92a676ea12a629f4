"""The models of a server by id, with their images and summaries."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, RLock
from typing import Generic, TypeVar, final

from isavae.data import ImageDataset, load
from isavae.explorer.latent_summary import LatentSummary
from isavae.explorer.model_file import ModelFile, State
from isavae.runs import TrainedModel

KEPT_MODELS = 4
KEPT_DATA = 2

Value = TypeVar("Value")


@final
class LRUCache(Generic[Value]):
    """The most recently used values, each computed once, also under concurrent requests."""

    def __init__(self, keep: int):
        self._keep, self._lock = keep, Lock()
        self._values: OrderedDict[str, _Slot[Value]] = OrderedDict()

    def get(self, key: str, make: Callable[[], Value]) -> Value:
        """The value of a key, computed if absent; errors are not cached."""
        with self._lock:
            slot = self._values.setdefault(key, _Slot())
            self._values.move_to_end(key)
            while len(self._values) > self._keep:
                self._values.popitem(last=False)
        with slot.lock:
            if slot.value is None:
                slot.value = make()
            return slot.value


class _Slot(Generic[Value]):
    def __init__(self):
        self.lock = RLock()
        self.value: Value | None = None


@final
@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model at the moment of one request.

    Attributes:
        id: The id that the page knows it by.
        trained: The model.
        version: Changes whenever its files do.
        state: Whether its file is still what was read.
    """

    id: str
    trained: TrainedModel
    version: str
    state: State


@final
class Library:
    """The models that a server may show, and nothing else of the file system.

    Args:
        models: Run directories or model files by id; an iterable is asked anew for ids that are
            not known, so that runs which a study adds appear.
        data: A data set to use instead of the one that a model was trained on.
    """

    def __init__(self, models: Callable[[], Iterable[tuple[str, Path]]], data: str | None = None):
        self._list, self._override = models, data
        self._paths = dict(models())
        self._files: LRUCache[ModelFile] = LRUCache(KEPT_MODELS)
        self._data: LRUCache[ImageDataset] = LRUCache(KEPT_DATA)
        self._insights: LRUCache[LatentSummary] = LRUCache(KEPT_MODELS)

    def path(self, id: str) -> Path:
        """Where a model is.

        Raises:
            LookupError: If none is called so.
        """
        if id not in self._paths:
            self._paths = dict(self._list())
        if id not in self._paths:
            raise LookupError("there is no run of that name here: reload the page for the list")
        return self._paths[id]

    def show(self, id: str) -> ServedModel:
        """The newest readable version of a model."""
        path = self.path(id)
        read = self._files.get(id, lambda: ModelFile(path)).read()
        return ServedModel(id, read.trained, read.version, read.state)

    def images(self, shown: ServedModel) -> ImageDataset:
        """The images that a model was trained on.

        Raises:
            ValueError: If they cannot be opened, or are not of the model's shape.
        """
        name = self._override or shown.trained.config.data
        images = self._data.get(name, lambda: load(name))
        if images.shape != shown.trained.shape:
            raise ValueError(
                f"the images must have the model's shape {shown.trained.shape}; those of {name} "
                f"have {images.shape}: choose others with --data"
            )
        return images

    def insight(self, shown: ServedModel) -> LatentSummary:
        """What the model's latents do on a sample of its images."""
        key = f"{shown.id} {shown.version}"
        return self._insights.get(
            key, lambda: LatentSummary.gather(shown.trained.vae, self.images(shown))
        )

"""The models of a server by id, with their images and summaries."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock, RLock
from typing import Generic, TypeVar, final

from isavae.data import ImageDataset, load
from isavae.explorer.latent_summary import LatentSummary
from isavae.explorer.model_file import ModelFile, ServedModel

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
        self._summaries: LRUCache[LatentSummary] = LRUCache(KEPT_MODELS)

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
        return self._files.get(id, lambda: ModelFile(path, id)).read()

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

    def summary(self, shown: ServedModel) -> LatentSummary:
        """What the model's latents do on a sample of its images."""
        key = f"{shown.id} {shown.version}"
        return self._summaries.get(
            key, lambda: LatentSummary.gather(shown.trained.vae, self.images(shown))
        )

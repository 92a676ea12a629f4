"""The models of a server by id, which may change or disappear while they are shown."""

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock, RLock
from typing import Any, Generic, Literal, TypeAlias, TypeVar, final

import numpy as np
from torch import Tensor

from isavae.data import DATASETS, ImageDataset, Preprocessing, load
from isavae.data.catalog import check_images_are_there, split_path
from isavae.data.own.open import images_like, open_path
from isavae.explorer.latent_summary import LatentSummary, opening_image
from isavae.runs import Run, TrainedModel
from isavae.runs.hub import MODEL_FILE
from isavae.runs.latent_names import all_names
from isavae.runs.moved_images import FIT_IMAGES, is_fitted
from isavae.runs.names_file import names_beside

State = Literal["present", "gone", "unreadable"]


class GoneError(LookupError):
    """A model that was never read is no longer there."""


@final
@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model as it was when its file was read.

    Attributes:
        id: The id that the page knows it by.
        trained: The model, with its scores where it is in a run directory.
        version: Changes whenever the files do.
        state: Whether the file is still what was read.
        looked: When the file was looked at last, in nanoseconds: later looks have larger numbers.
    """

    id: str
    trained: TrainedModel
    version: str
    state: State = "present"
    looked: int = 0


@final
class ModelFile:
    """The weights of a run directory, or one model file, read again whenever they change.

    Args:
        path: A run directory or a `.safetensors` file of isavae.
        id: The id that the page knows it by.
    """

    def __init__(self, path: Path, id: str = "run"):
        self.path, self.id = path, id
        self.weights = path / "model.safetensors" if path.is_dir() else path
        self.scores = self.weights.parent / "scores.json" if path.is_dir() else None
        self._lock = Lock()
        self._read: ServedModel | None = None

    def read(self) -> ServedModel:
        """The newest model that could be read.

        Raises:
            GoneError: If there is no file, and there was none at the first look.
            ValueError: If the first file that is found cannot be read.
        """
        with self._lock:
            looked, state = time.monotonic_ns(), "present"
            try:
                version = self._version()
                if self._read is None or self._read.version != version:
                    self._read = ServedModel(self.id, self._load(), version)
            except FileNotFoundError:
                if self._read is None:
                    raise GoneError(
                        f"a run must hold trained weights; {self.weights} does not exist (any "
                        "more): train the run, or open another one"
                    ) from None
                state = "gone"
            except (ValueError, OSError):
                if self._read is None:
                    raise
                state = "unreadable"
            return replace(self._read, state=state, looked=looked)

    def _version(self) -> str:
        stats = [self.weights.stat()]
        if self.scores and self.scores.exists():
            stats.append(self.scores.stat())
        return "-".join(f"{stat.st_mtime_ns:x}.{stat.st_ino:x}.{stat.st_size:x}" for stat in stats)

    def _load(self) -> TrainedModel:
        if self.scores is None:
            return TrainedModel.load(self.weights)
        return TrainedModel.from_run(Run.open(self.path))


# Images: a name or path as for `load`, or images in memory.
Images: TypeAlias = str | ImageDataset | np.ndarray | Tensor


def open_images(images: Images, how: Preprocessing) -> ImageDataset:
    """Images to show, read as a model's training images were where they have no options.

    Args:
        images: The images, or a folder that `isavae fit` wrote.
        how: How the training images were read.

    Raises:
        ValueError: If they are not there, or cannot be read so.
    """
    if not isinstance(images, str):
        return images_like(images, how)
    name, options = split_path(images)
    path = Path(name)
    if is_fitted(path):
        return load(f"{path / FIT_IMAGES}[axes=chw, range=dtype]")
    if name.partition("[")[0].strip() in DATASETS or (path.exists() and options):
        return load(images)
    if not path.exists():
        raise ValueError(
            f"the images must be there to be shown; there is nothing at {name}: "
            "say with --data where they are"
        )
    return open_path(path, like=how)


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
        data: Images to use instead of those that a model was trained on.
    """

    def __init__(
        self, models: Callable[[], Iterable[tuple[str, Path]]], data: Images | None = None
    ):
        self._list, self._override = models, data
        self._paths = dict(models())
        self._files: LRUCache[ModelFile] = LRUCache(KEPT_MODELS)
        self._data: LRUCache[ImageDataset] = LRUCache(KEPT_DATA)
        self._summaries: LRUCache[LatentSummary] = LRUCache(KEPT_MODELS)
        self._opening: LRUCache[int] = LRUCache(KEPT_MODELS)

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
        wanted = self._override
        if wanted is None:
            wanted = _beside(self.path(shown.id), shown.trained.config.data)
        name = wanted if isinstance(wanted, str) else "the images in memory"
        how = shown.trained.preprocessing
        images = self._data.get(f"{name} {how}", lambda: open_images(wanted, how))
        if images.shape != shown.trained.shape:
            raise ValueError(
                f"the images must have the model's shape {shown.trained.shape}; those of {name} "
                f"have {images.shape}: choose others with --data"
            )
        return images

    def names(self, shown: ServedModel) -> dict[str, Any]:
        """The names of a model's latents as they are now, and whether they may be changed here."""
        trained, path = shown.trained, self.path(shown.id)
        weights = path / MODEL_FILE if path.is_dir() else path
        beside = names_beside(weights, trained.config)
        names = trained.names
        if beside is not None:
            names = all_names(beside, trained.vae.prior.n_latents)
        return {"names": names, "may_name": os.access(weights.parent, os.W_OK)}

    def opening_image(self, shown: ServedModel) -> int:
        """The number of the image that a page opens on."""
        key = f"{shown.id} {shown.version}"
        return self._opening.get(key, lambda: opening_image(shown.trained.vae, self.images(shown)))

    def summary(self, shown: ServedModel) -> LatentSummary:
        """What the model's latents do on a sample of its images."""
        key = f"{shown.id} {shown.version}"
        return self._summaries.get(
            key, lambda: LatentSummary.gather(shown.trained.vae, self.images(shown))
        )


def _beside(model: Path, name: str) -> str:
    """The name of a model's images; a path in the folder of the model if they are there.

    Raises:
        ValueError: If the name is a path that leads nowhere (any more).
    """
    folder = model if model.is_dir() else model.parent
    near = f"{folder}{os.sep}{name}"
    if os.path.exists(split_path(near)[0]):
        return near
    check_images_are_there(name, str(model))
    return name

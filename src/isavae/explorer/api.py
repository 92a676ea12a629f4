"""The HTTP API of the page. A request names a run by its id, never by a path."""

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any, final

import numpy as np
import torch
from anyio import CapacityLimiter, to_thread
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from isavae.data.tiles import to_uint8
from isavae.evaluation import sample_prior
from isavae.explorer import describe
from isavae.explorer.contour_lines import DROPS, iso_contours
from isavae.explorer.library import GoneError, ServedModel
from isavae.explorer.request_values import (
    integer,
    integers,
    known_factors,
    nearest_row,
    read_codes,
    read_names,
)
from isavae.explorer.sources import Source
from isavae.explorer.uploads import read_upload, to_gif
from isavae.metrics import nearest_along
from isavae.runs import name_latents

Handler = Callable[[ServedModel, Request, bytes], Any]

GALLERY = 24


@final
class Api:
    """The routes below `/api`, over one source of models."""

    def __init__(self, source: Source):
        self._source, self._library = source, source.library
        # Requests of a dragged slider never queue behind requests that take seconds.
        self._quick, self._slow = CapacityLimiter(2), CapacityLimiter(2)
        self._sampling = Lock()  # torch draws from one generator a process
        self._naming = Lock()  # names are read, changed and written

    def routes(self) -> list[Route]:
        quick, slow = self._quick, self._slow
        on_run: dict[str, tuple[str, Handler, CapacityLimiter]] = {
            "": ("GET", self._model, quick),
            "/images": ("GET", self._images, slow),
            "/image": ("GET", self._image, slow),
            "/gallery": ("GET", self._gallery, slow),
            "/summary": ("GET", self._summary, slow),
            "/scatter": ("GET", self._scatter, slow),
            "/curves": ("GET", self._curves, slow),
            "/contours": ("GET", self._contours, quick),
            "/sample": ("GET", self._sample, quick),
            "/decode": ("POST", self._decode, quick),
            "/nearest": ("POST", self._nearest, slow),
            "/sheet": ("POST", self._decode, slow),
            "/encode": ("POST", self._encode, slow),
            "/gif": ("POST", self._gif, slow),
            "/names": ("POST", self._names, slow),
        }
        runs = [
            Route(f"/api/runs/{{run}}{path}", self._endpoint(handler, limiter), methods=[method])
            for path, (method, handler, limiter) in on_run.items()
        ]
        return [
            Route("/api/overview", self._answer(lambda *_: self._source.overview, quick)),
            Route("/api/study", self._answer(lambda *_: self._source.table(), slow)),
            *runs,
        ]

    def _endpoint(self, handler: Handler, limiter: CapacityLimiter) -> Callable:
        def respond(request: Request, body: bytes) -> Response:
            shown = self._library.show(request.path_params["run"])
            response = _response(handler(shown, request, body))
            response.headers["X-Run-Version"] = shown.version
            response.headers["X-Run-State"] = shown.state
            response.headers["X-Run-Looked"] = str(shown.looked)
            return response

        return self._answer(respond, limiter)

    def _answer(self, work: Callable[[Request, bytes], Any], limiter: CapacityLimiter) -> Callable:
        """An endpoint that runs in a thread and reports errors as a status and a message."""

        async def endpoint(request: Request) -> Response:
            body = await request.body()
            try:
                call = partial(work, request, body)
                answer = await to_thread.run_sync(call, abandon_on_cancel=True, limiter=limiter)
            except GoneError as error:
                return JSONResponse({"error": str(error)}, 410)
            except LookupError as error:
                return JSONResponse({"error": str(error)}, 404)
            except (ValueError, OSError) as error:
                return JSONResponse({"error": str(error)}, 400)
            return _response(answer)

        return endpoint

    def _model(self, shown: ServedModel, request: Request, body: bytes) -> Any:
        return describe.describe_model(shown) | self._library.names(shown)

    def _images(self, shown: ServedModel, request: Request, body: bytes) -> Any:
        return describe.describe_images(self._library.images(shown))

    def _image(self, shown: ServedModel, request: Request, body: bytes) -> Any:
        """The image `index=N`, the one `near=2,0,1` of these classes, or else a typical one."""
        images = self._library.images(shown)
        if "near" in request.query_params:
            wanted = integers(request, "near")
            index = nearest_row(known_factors(images.grid), wanted)
        elif "index" in request.query_params:
            index = integer(request, "index", len(images))
        else:
            index = self._library.opening_image(shown)
        classes = None if images.grid is None else images.grid.values(index)
        shown_images = images.batch([index])
        return describe.describe_posterior(shown, shown_images, index=index, classes=classes)

    def _gallery(self, shown: ServedModel, request: Request, body: bytes) -> Any:
        """A few images at random, to choose from."""
        images = self._library.images(shown)
        draw = np.random.default_rng(integer(request, "seed", 1 << 31))
        rows = draw.choice(len(images), min(GALLERY, len(images)), replace=False)
        return describe.describe_tiles(shown, images, rows)

    def _nearest(self, shown: ServedModel, request: Request, body: bytes) -> Any:
        """For every code of a traversal of `latent`, the nearest of the summary's images."""
        summary, codes = self._library.summary(shown), torch.tensor(read_codes(shown, body))
        latent = integer(request, "latent", summary.codes.latents)
        used = [z for z, active in enumerate(summary.active) if active or z == latent]
        found = nearest_along(summary.codes.mean, latent, codes[0], codes[:, latent], used)
        return describe.describe_tiles(shown, self._library.images(shown), summary.rows[found])

    def _summary(self, shown: ServedModel, request: Request, body: bytes) -> Any:
        return describe.describe_summary(self._library.summary(shown))

    def _scatter(self, shown: ServedModel, request: Request, body: bytes) -> Any:
        """A sample of the codes; with `by=FACTOR` it holds every class of that factor."""
        summary = self._library.summary(shown)
        factor = request.query_params.get("by")
        if factor is not None and factor not in known_factors(summary.codes.grid).names:
            raise ValueError(f"there is no factor {factor[:40]!r} here")
        return describe.describe_scatter(summary, factor)

    def _curves(self, shown: ServedModel, request: Request, body: bytes) -> Any:
        """A latent's codes against every factor, and over the plane of factors `x` and `y`."""
        summary = self._library.summary(shown)
        known_factors(summary.codes.grid)
        latent = integer(request, "latent", summary.codes.latents)
        x, y = request.query_params.get("x"), request.query_params.get("y")
        plane = summary.plane(latent, x, y) if x and y else None
        return {"curves": summary.curves(latent), "plane": plane}

    def _contours(self, shown: ServedModel, request: Request, body: bytes) -> Any:
        prior = shown.trained.vae.prior
        x, y = (integer(request, name, prior.n_latents) for name in ("x", "y"))
        if x == y:
            raise ValueError(f"a plane needs two latents; both are {x}")
        with torch.no_grad():
            radii = iso_contours(prior(), x, y)
        return {"drops": DROPS, "radii": radii.tolist()}

    def _sample(self, shown: ServedModel, request: Request, body: bytes) -> Any:
        """One draw from the prior: the same for the same seed."""
        seed = integer(request, "seed", 1 << 31)
        with self._sampling:
            (code,) = sample_prior(shown.trained.vae, 1, seed)
        return {"code": code.tolist()}

    def _decode(self, shown: ServedModel, request: Request, body: bytes) -> Response:
        return Response(_decoded(shown, body).tobytes(), media_type="application/octet-stream")

    def _encode(self, shown: ServedModel, request: Request, body: bytes) -> Any:
        """An uploaded image with its posterior."""
        image, note = read_upload(body, shown.trained.preprocessing)
        return describe.describe_posterior(shown, image, index=None, classes=None, note=note)

    def _names(self, shown: ServedModel, request: Request, body: bytes) -> Any:
        """Give names to latents, {"z5": "slant"}, beside the model; an empty one takes it away."""
        with self._naming:
            try:
                name_latents(self._library.path(shown.id), read_names(body))
            except OSError as error:
                raise ValueError(
                    "names must be written beside the model, whose folder cannot be written "
                    f"({error.strerror}): name them with `isavae name-axes` where it can"
                ) from None
        return self._library.names(shown)

    def _gif(self, shown: ServedModel, request: Request, body: bytes) -> Response:
        return Response(to_gif(_decoded(shown, body), milliseconds=80), media_type="image/gif")


@torch.no_grad()
def _decoded(shown: ServedModel, body: bytes) -> np.ndarray:
    """Mean images of the codes in a body, all in one pass."""
    images = shown.trained.vae.decode(torch.tensor(read_codes(shown, body))).mean
    return to_uint8(shown.trained.preprocessing.shown(images))


def _response(answer: Any) -> Response:
    """An answer as JSON; JSON has no NaN, and a page none of its words: null stands for them."""
    if isinstance(answer, Response):
        return answer
    content = to_json(answer, inf_nan_mode="null")
    return Response(content, media_type="application/json")

"""HTML pages that need no other file: jinja2 templates on `page.html`, with images inside."""

from base64 import b64encode
from typing import Any

import jinja2


def render_page(template: str, **values: Any) -> str:
    """A page of the template at a path below `isavae`; every value is escaped.

    Filters of the templates: `fixed`, and `data_url` for the bytes of a PNG file.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("isavae", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"fixed": fixed, "data_url": data_url}
    return environment.get_template(template).render(values)


def data_url(png: bytes) -> str:
    """The bytes of a PNG file as an address for an image element."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


def fixed(value: float | None, digits: int = 3) -> str:
    """A number with some decimals, a dash for none.

    >>> fixed(-21.5, 1), fixed(None)
    ('−21.5', '–')
    """
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")

"""The README as a package index shows it: without images of, and links into, the repository."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

ELSEWHERE = r"\((?!https://)[^)]*\)"


class IndexReadme(MetadataHookInterface):
    """Sets the description of the package when it is built."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = re.sub(r"!\[[^\]]*\]" + ELSEWHERE + r"\n*", "", text)
        text = re.sub(r"\[([^\]]*)\]" + ELSEWHERE, r"\1", text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}

"""What a package index shows as the description: the README, with links that work there (a hook of hatchling).

Its links to files lead into the checkout, and nowhere on the page of an index. Where `[project.urls]` has a "Source"
they lead there; else their text alone is left.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\]]+)\]\((?!https?://|#)([^)]+)\)")
CODE = re.compile(r"(^```.*?^```$|^ {4,}.*?$)", re.MULTILINE | re.DOTALL)


def described(readme: str, source: str | None = None) -> str:
    """The text of the README with no link into the checkout. `source`: the address of the tree of files."""

    def replaced(link: re.Match[str]) -> str:
        image, text, target = link.groups()
        if source is not None:
            return f"{image}[{text}]({source.rstrip('/')}/{target})"
        return text

    # What is between blocks of code: in these, brackets are Python.
    parts = CODE.split(readme)
    return "".join(part if CODE.fullmatch(part) else LINK.sub(replaced, part) for part in parts)


class CustomMetadataHook(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        urls = metadata.get("urls", {})
        metadata["readme"] = {"content-type": "text/markdown", "text": described(text, urls.get("Source"))}

"""What the generated models are built on: how they read the wire, and how to walk a tree of nodes.

Knows nothing of HTTP and of single operations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from etcdv2_api.call import HIDDEN


def wire_name(field: str) -> str:
    """The name of a field on the wire: camel case, with `URLs` as etcd writes it."""
    return to_camel(field).replace("Urls", "URLs")


class Model(BaseModel):
    """Frozen; read by the names of the wire or of the fields. Unknown members are ignored."""

    model_config = ConfigDict(
        defer_build=True,  # built when first used: most programs use three of them, all take a third of the import
        extra="ignore",
        frozen=True,
        validate_by_name=True,
        validate_by_alias=True,
        alias_generator=wire_name,
        cache_strings="keys",  # keys and values of a tree are all different: a sixth of the time of a large one
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """A password is not shown."""
        for name, value in super().__repr_args__():
            yield name, HIDDEN if name == "password" and value is not None else value


class Tree(Model):
    """What `Node` can do beside holding its fields."""

    if TYPE_CHECKING:  # declared in `Node`, in the order of the description
        key: str
        dir: bool
        nodes: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The last segment of the key; "" for the root."""
        return self.key.rpartition("/")[2]

    @property
    def children(self) -> tuple[Self, ...]:
        """The nodes directly below: none for a file, or a directory that was not expanded."""
        return self.nodes

    def walk(self) -> Iterator[Self]:
        """This node and all below it, as far as they were read, depth first."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.nodes))

    def leaves(self) -> Iterator[Self]:
        """The files among `walk()`."""
        if not self.dir:
            yield self
            return

        # One iterator for each directory on the way down: no recursion, whatever the depth of the tree.
        waiting = [iter(self.nodes)]
        while waiting:
            for node in waiting[-1]:
                if node.dir:
                    waiting.append(iter(node.nodes))
                    break
                yield node
            else:
                waiting.pop()

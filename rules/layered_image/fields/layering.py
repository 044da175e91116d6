"""Fields that say which objects of an image share a layer."""

from __future__ import annotations

from typing import Any, ClassVar, Optional

from pants.engine.addresses import Address
from pants.engine.target import (
    DictStringToStringSequenceField,
    Field,
    IntField,
)
from pants.util.strutil import softwrap

from layered_image.errors import invalid_field
from layered_image.fields.values import frozen
from strata.errors import StrataError
from strata.layering.pipeline_steps import check_steps
from strata.layering.plan import STRATEGIES

#: Docker refuses to load more ("max depth exceeded").
MOST_LAYERS = 125


class LayeredImageMaxLayersField(IntField):
    alias = "max_layers"
    default = 100
    help = softwrap(
        """
        The most layers that the image may have, those of its base and the customisation layer
        included. Docker can stack 125: `max_layers=60`.
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Optional[int], address: Address) -> Optional[int]:
        value = super().compute_value(raw_value, address)
        if value is None or not 1 < value <= MOST_LAYERS:
            raise invalid_field(
                address, cls.alias, f"it must be from 2 to {MOST_LAYERS}, not {value}"
            )
        return value


class LayeredImageLayeringField(Field):
    alias = "layering"
    default: ClassVar[str] = "stable"
    help = softwrap(
        """
        How objects are put into layers: a strategy, or a pipeline of dockerTools' operations.

        `"stable"` keeps what changes seldom below what changes often and moves no object when
        another gets a new version. `"popularity"` is Nix' contest, `"auto_layer"` Nix' size-driven
        algorithm, and `"single"` puts everything into one layer.

        A pipeline is a list of steps, each a list of an operation and its arguments:
        `layering=[["split_paths", ["python:numpy"]], ["flatten"], ["limit_layers", 20]]`. Objects
        are written as names (`python:numpy`, `debian:libc6`, `source:web`), shell patterns of
        names, or addresses of targets in the image (`":server"`, `"//3rdparty/python#numpy"`).
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Any:
        value = super().compute_value(raw_value, address)
        if isinstance(value, str):
            if value not in STRATEGIES:
                raise invalid_field(
                    address, cls.alias, f"choose from {', '.join(STRATEGIES)}, not {value!r}"
                )
            return value
        if not isinstance(value, (list, tuple)):
            raise invalid_field(address, cls.alias, f"it must be a name or a list, not {value!r}")
        try:
            check_steps(value, cls.alias)
        except StrataError as error:
            raise invalid_field(address, cls.alias, error)
        return frozen(value)


class LayeredImageLayerGroupsField(DictStringToStringSequenceField):
    alias = "layer_groups"
    help = softwrap(
        """
        Layers of your own choice, as a dict of a name to objects (names, shell patterns of names,
        or addresses of targets in the image). They lie at the bottom in alphabetical order of their
        names, and `layering` plans the rest. An object in two groups and a pattern that matches
        nothing are errors.

        Example: `layer_groups={"ml": ["python:numpy", "python:scipy*"]}`
        """
    )

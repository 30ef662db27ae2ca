"""Nested Python values as JSON plus named tensors, and back, without loss.

What a checkpoint holds besides its weights (configuration, counters, optimizer state) must survive
the way to our format and back. JSON has neither tuples nor keys that are not strings, so these are
written as tagged objects.
"""

from typing import Any

from torch import Tensor

_TUPLE, _PAIRS, _TENSOR = "$tuple", "$pairs", "$tensor"
_TAGS = (_TUPLE, _PAIRS, _TENSOR)


def to_json(value: Any, tensors: dict[str, Tensor], path: str = "") -> Any:
    """The JSON form of ``value``; tensors are added to ``tensors`` under their place in it.

    Raises:
        ValueError: a value that is neither a container, a tensor, a number, a string nor None.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        tensors[path] = value
        return {_TENSOR: path}
    if isinstance(value, list | tuple):
        items = [to_json(item, tensors, f"{path}/{i}") for i, item in enumerate(value)]
        return {_TUPLE: items} if isinstance(value, tuple) else items
    if isinstance(value, dict):
        pairs = [(key, to_json(item, tensors, f"{path}/{key}")) for key, item in value.items()]
        is_plain = all(isinstance(key, str) and key not in _TAGS for key in value)
        return dict(pairs) if is_plain else {_PAIRS: [list(pair) for pair in pairs]}
    raise ValueError(f"cannot keep {type(value).__name__} at {path or 'the top'}")


def from_json(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Undo ``to_json``."""
    if isinstance(value, list):
        return [from_json(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_TENSOR}:
        return tensors[value[_TENSOR]]
    if value.keys() == {_TUPLE}:
        return tuple(from_json(item, tensors) for item in value[_TUPLE])
    if value.keys() == {_PAIRS}:
        return {key: from_json(item, tensors) for key, item in value[_PAIRS]}
    return {key: from_json(item, tensors) for key, item in value.items()}

"""Adapters on a model's linear layers, a different one for every row of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from transformers import PreTrainedModel

from models.persona.adapter_files import Adapter, AdapterError
from models.persona.training_lines import TrainingLines


@dataclass(frozen=True, eq=False)
class BoundAdapter:
    """An adapter ready for one model: by the layer's path A `(in, rank)` and B `(rank, out)`.

    B holds the scaling. `lines` are what it was trained to say, where that is known.
    """

    ref: str
    pairs: Mapping[str, tuple[Tensor, Tensor]]
    lines: TrainingLines | None = None


def linear_layers(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """The layers an adapter may add to, by their paths in the model.

    The output projection is none of them: only its rows that a line may need are computed.
    """
    head = model.get_output_embeddings()
    return {
        path: layer
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and layer is not head
    }


def require_fit(adapter: Adapter, layers: Mapping[str, nn.Linear]) -> None:
    """Refuse an adapter that was not made for a model of these layers.

    Raises:
        AdapterError: a layer is not in the model, has another shape, or lacks its pair.
    """
    modules = adapter.info.target_modules
    names = {path.rpartition(".")[2] for path in layers}
    if unknown := sorted(set(modules) - names):
        raise AdapterError(
            f"adapter of {adapter.ref} adds to {unknown[0]}; served are those that add to "
            f"{', '.join(sorted(names))}"
        )
    wanted = {path for path in layers if path.rpartition(".")[2] in modules}
    if missing := sorted(wanted - adapter.layers.keys()):
        raise AdapterError(f"adapter of {adapter.ref}: nothing is given for {missing[0]}")
    for path, pair in adapter.layers.items():
        if (layer := layers.get(path)) is None:
            raise AdapterError(f"adapter of {adapter.ref}: the model has no linear layer {path}")
        num_in, num_out = pair.a.shape[1], pair.b.shape[0]
        if (num_in, num_out) != (layer.in_features, layer.out_features):
            raise AdapterError(
                f"adapter of {adapter.ref}: {path} is made for {num_in} → {num_out} channels; "
                f"the model has {layer.in_features} → {layer.out_features}"
            )


class AdaptedLayers:
    """Adds to a model's linear layers what the adapter of each row adds.

    The model's weights stay as they are. For one thread.

    Args:
        model: gains a hook on each of its `linear_layers`.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._layers = linear_layers(model)
        self._rows: Sequence[BoundAdapter | None] = ()
        for path, layer in self._layers.items():
            layer.register_forward_hook(partial(self._add, path))

    def bind(self, adapter: Adapter) -> BoundAdapter:
        """Fit an adapter to the model, in the model's precision; from any thread.

        Raises:
            AdapterError: see `require_fit`.
        """
        require_fit(adapter, self._layers)
        pairs = {}
        for path, pair in adapter.layers.items():
            dtype = self._layers[path].weight.dtype
            b = (adapter.scaling * pair.b.float()).to(dtype)
            pairs[path] = (pair.a.to(dtype).T.contiguous(), b.T.contiguous())
        lines = None if adapter.lines is None else TrainingLines(adapter.lines.decode())
        return BoundAdapter(adapter.ref, pairs, lines)

    @contextmanager
    def using(self, rows: Sequence[BoundAdapter | None]) -> Iterator[None]:
        """Within the block, row i of a batch is computed with the i-th adapter, if any."""
        self._rows = rows
        try:
            yield
        finally:
            self._rows = ()

    def _add(self, path: str, layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        """Add to `output` `(row, time, out)` in place.

        An adapter is multiplied with all rows, whoever they belong to: the shapes, and with them
        the order of every sum, are the same whatever is in the batch.
        """
        for adapter in dict.fromkeys(self._rows):
            if adapter is None or path not in adapter.pairs:
                continue
            a, b = adapter.pairs[path]
            added = args[0] @ a @ b
            for row, its_adapter in enumerate(self._rows):
                if its_adapter is adapter:
                    output[row] += added[row]

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from models.kokoro.graph import convolutions_to_products
from models.kokoro.model import trim_silence
from models.kokoro.pipeline import KokoroEngine


def _convolution(taps: int, dilation: int, pad: int, weights_seed: int = 0) -> onnx.ModelProto:
    """Quantises its input, then convolves 3 channels into 2 with extreme and random weights."""
    rng = np.random.default_rng(weights_seed)
    weight = rng.integers(0, 256, (2, 3, taps)).astype(np.uint8)
    weight[0, 0] = 255
    conv = helper.make_node(
        "ConvInteger",
        ["x_q", "weight", "x_zero", "weight_zero"],
        ["y"],
        name="conv",
        dilations=[dilation],
        kernel_shape=[taps],
        pads=[pad, pad],
        strides=[1],
    )
    graph = helper.make_graph(
        [helper.make_node("DynamicQuantizeLinear", ["x"], ["x_q", "x_scale", "x_zero"]), conv],
        "conv",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, None])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.INT32, [1, 2, None])],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.uint8(121), "weight_zero"),
        ],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9)


def _run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": x})[0])


@pytest.mark.parametrize(
    ("taps", "dilation", "pad"), [(1, 1, 0), (3, 1, 1), (3, 5, 5), (11, 3, 15), (7, 1, 0)]
)
def test_product_equals_convolution(taps: int, dilation: int, pad: int) -> None:
    x = np.random.default_rng(1).normal(size=(1, 3, 60)).astype(np.float32)
    model = _convolution(taps, dilation, pad)
    expected = _run(model, x)
    convolutions_to_products(model.graph)
    assert "ConvInteger" not in {node.op_type for node in model.graph.node}
    np.testing.assert_array_equal(_run(model, x), expected)


def test_convolution_with_stride_stays_as_it_is() -> None:
    model = _convolution(taps=3, dilation=1, pad=1)
    conv = model.graph.node[1]
    next(a for a in conv.attribute if a.name == "strides").ints[0] = 2
    before = model.SerializeToString()
    convolutions_to_products(model.graph)
    assert model.SerializeToString() == before


def test_packaged_network_gives_the_same_bytes_after_the_change(
    folder: Path, engine: KokoroEngine
) -> None:
    unchanged = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    style = engine.model.styles["jf_alpha"][6]
    inputs = {
        "tokens": np.array([[0, *engine.model.tokenize("hallo."), 0]], np.int64),
        "style": style[None],
        "speed": np.ones(1, np.float32),
    }
    waveform = trim_silence(unchanged.run(["audio"], inputs)[0])
    np.testing.assert_array_equal(engine.model.synthesize("hallo.", style), waveform)

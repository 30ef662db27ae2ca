from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from models.gpt_sovits.bert_features import BertFeatures

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"你好世界，。", "hello"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random BERT, saved as a published one is."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def test_each_character_stands_at_all_of_its_phonemes(folder: Path) -> None:
    features = BertFeatures.from_folder(folder).encode("你好。", [2, 2, 1])
    assert features.shape == (5, 16)
    assert torch.equal(features[0], features[1])
    assert torch.equal(features[2], features[3])
    assert not torch.equal(features[1], features[2])


def test_features_are_the_third_layer_from_the_end(folder: Path) -> None:
    model = BertModel.from_pretrained(folder).eval()
    tokens = BertTokenizer.from_pretrained(folder)("你好", return_tensors="pt")
    with torch.no_grad():
        expected = model(**tokens, output_hidden_states=True).hidden_states[2][0, 1:3]
    actual = BertFeatures.from_folder(folder).encode("你好", [1, 1])
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize(("text", "counts"), [("你好", [2]), ("hello", [1] * 5), ("你好", [-1, 2])])
def test_text_that_does_not_fit_its_counts_is_refused(
    folder: Path, text: str, counts: list[int]
) -> None:
    with pytest.raises(ValueError):
        BertFeatures.from_folder(folder).encode(text, counts)

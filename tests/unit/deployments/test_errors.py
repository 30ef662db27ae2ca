import pickle

import pytest

from deployments import errors


def all_errors() -> list[type[errors.SpeechError]]:
    found = [errors.SpeechError]
    for parent in found:
        found.extend(parent.__subclasses__())
    return found


@pytest.mark.parametrize("error_class", all_errors())
def test_an_error_survives_the_way_between_replicas(error_class: type[errors.SpeechError]) -> None:
    error = error_class("the text has 9 characters; 5 are allowed", {"limit": 5})
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.detail, copy.extensions) == (error_class, error.detail, {"limit": 5})
    assert str(copy) == error.detail


def test_every_error_is_told_apart_by_its_slug() -> None:
    slugs = [error_class.slug for error_class in all_errors()]
    assert len(slugs) == len(set(slugs))


def test_the_tree_in_the_module_names_every_error() -> None:
    assert errors.__doc__ is not None
    for error_class in all_errors():
        assert error_class.__name__ in errors.__doc__

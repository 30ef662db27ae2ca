"""Which codes are decoded when."""

from models.zonos.windows import CONTEXT_FRAMES, FrameWindow, next_window


def test_a_first_chunk_waits_for_the_frames_behind_it_alone() -> None:
    assert next_window(0, 43, is_complete=False, is_first=True) is None
    assert next_window(0, 44, is_complete=False, is_first=True) == FrameWindow(0, 0, 34, 44)


def test_the_end_does_not_wait() -> None:
    assert next_window(34, 50, is_complete=True, is_first=False) == FrameWindow(24, 34, 50, 50)
    assert next_window(50, 50, is_complete=True, is_first=False) is None


def test_every_frame_is_heard_once_with_the_context_it_needs() -> None:
    heard = []
    num_decoded = 5  # behind a prompt
    for num_frames in [*range(6, 700), 700]:
        while window := next_window(
            num_decoded, num_frames, is_complete=num_frames == 700, is_first=num_decoded == 5
        ):
            assert window.first == max(0, window.start - CONTEXT_FRAMES)
            assert window.last == min(700, window.stop + CONTEXT_FRAMES)
            heard += range(window.start, window.stop)
            num_decoded = window.stop
    assert heard == list(range(5, 700))

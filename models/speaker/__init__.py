"""Who speaks: clips of one speaker lie close together in a space of 256 dimensions.

encoder = SpeakerEncoder(ensure_speaker_encoder())
similarity = encoder.embed(one, 24_000) @ encoder.embed(other, 16_000)
"""

from models.speaker.encoder import SpeakerEncoder
from models.speaker.weights import ensure_speaker_encoder, require_speaker_encoder

__all__ = ["SpeakerEncoder", "ensure_speaker_encoder", "require_speaker_encoder"]

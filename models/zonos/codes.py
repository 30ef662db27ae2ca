"""The alphabet of the nine code streams."""

NUM_CODEBOOKS = 9
CODEBOOK_SIZE = 1024

END_CODE = CODEBOOK_SIZE
"""Says that the speech is over; codebook 0 predicts it."""

MASK_CODE = CODEBOOK_SIZE + 1
"""Stands where the delay pattern has no code; it is read, never predicted."""

NUM_LOGITS = CODEBOOK_SIZE + 1
"""What a head predicts: the codes and `END_CODE`."""

NUM_EMBEDDINGS = CODEBOOK_SIZE + 2

SAMPLE_RATE = 44_100
"""Hz."""

SAMPLES_PER_FRAME = 512

FRAME_RATE_HZ = SAMPLE_RATE / SAMPLES_PER_FRAME

MAX_FRAMES = 86 * 30
"""Of speech, a prompt's included: 30 s, which is what the network was trained on."""

ORDINARY_SPEAKING_RATE = 15.0
"""Phonemes a second; the reference's default."""

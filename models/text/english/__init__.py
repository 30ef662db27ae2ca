"""English: normalising text (`normalize`) and its ARPAbet phones (`phones`)."""

from models.text.english.g2p import phones
from models.text.english.normalizer import normalize

__all__ = ["normalize", "phones"]

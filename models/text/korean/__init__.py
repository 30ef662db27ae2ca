"""Korean: reading written forms (`normalize`) and pronouncing them (`pronounce`)."""

from models.text.korean.normalizer import normalize
from models.text.korean.pronunciation import pronounce

__all__ = ["normalize", "pronounce"]

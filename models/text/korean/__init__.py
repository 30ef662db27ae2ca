"""Korean: reading written forms (`normalize`) and pronouncing the reading.

`pronounce` equals the reference; `pronounce_standard` also says numerals as Standard Korean does.
"""

from models.text.korean.normalizer import normalize
from models.text.korean.pronunciation import pronounce
from models.text.korean.standard_sounds import pronounce_standard

__all__ = ["normalize", "pronounce", "pronounce_standard"]

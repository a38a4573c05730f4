"""What the grades mean, in words."""

from typing import Final

GRADES: Final = {
    "N1": "independent",
    "N2": "broadly neutral",
    "N3": "exposed",
    "N4": "compromised",
    "N5": "captive",
    "NR": "not rated: no ownership data",
}

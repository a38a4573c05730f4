"""The oracle's oracle: integrated ownership by sparse linear algebra, control by its plain fixed point."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import csc_matrix, identity
from scipy.sparse.linalg import spsolve

Shares = Mapping[tuple[str, str], float]  # (subject, party) -> share


def integrated_ownership(lab: str, entities: Sequence[str], shares: Shares) -> dict[str, float]:
    """((I - B)^-1 - I)[v, lab], where B is the matrix of shares without what anybody holds in the lab."""
    index = {entity: position for position, entity in enumerate(entities)}
    matrix = np.zeros((len(entities), len(entities)))
    for (subject, party), share in shares.items():
        if subject != lab:
            matrix[index[subject], index[party]] = share
    unit = np.zeros(len(entities))
    unit[index[lab]] = 1.0
    solution = spsolve(csc_matrix(identity(len(entities)) - matrix), unit)
    return {entity: float(solution[index[entity]]) for entity in entities if entity != lab}


def controlled(lab: str, votes: Shares) -> set[str]:
    """All that the lab controls, itself included."""
    found = {lab}
    while True:
        held: dict[str, float] = {}
        for (subject, party), share in sorted(votes.items()):
            if party in found:
                held[subject] = held.get(subject, 0.0) + share
        more = {subject for subject, share in held.items() if share > 0.5} | found
        if more == found:
            return found
        found = more

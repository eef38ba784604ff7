"""What the cells of the synthetic data set look like, undisturbed and under five mechanisms of action."""

from typing import NamedTuple


class Look(NamedTuple):
    """How the cells of a well look; the defaults are those of DMSO. Lengths in px, intensities as 12-bit counts."""

    density: float = 1.0  # of the cells a field
    radius: float = 32.0  # of a cell, before protrusions
    elongation: float = 1.5  # long over short axis
    spikes: float = 0.38  # height of the protrusions, of the radius
    nucleus: float = 16.0  # radius
    dna: float = 210.0
    actin: float = 190.0
    tubulin: float = 190.0
    cortex: float = 1.0  # actin at the cell's edge
    fibres: float = 1.0  # contrast of the stress fibres
    puncta: float = 0.0  # actin clumps
    bundles: float = 0.0  # 0: a fine network of microtubules, 1: a few thick bundles
    nucleoli: float = 1.0  # how dark they are
    lobes: float = 0.01  # share of cells with a multi-lobed nucleus
    mitotic: float = 0.03  # share of cells that are round, with condensed DNA


class Compound(NamedTuple):
    """A compound, and the doses it is given at."""

    name: str
    moa: str
    ec50: float  # micromolar
    doses: tuple[float, ...]  # micromolar, falling; the last is not annotated with a mechanism


_FULL = {
    "Actin disruptors": Look(
        density=0.8, radius=23, elongation=1.1, spikes=0.5, actin=170, cortex=0.5, fibres=0.1, puncta=1.0, lobes=0.1
    ),
    "Microtubule stabilizers": Look(
        density=0.75,
        radius=30,
        elongation=1.15,
        spikes=0.15,
        tubulin=330,
        bundles=1.0,
        lobes=0.75,
        mitotic=0.1,
        dna=230,
    ),
    "DNA damage": Look(
        density=0.5, radius=44, elongation=1.3, spikes=0.3, nucleus=23, dna=150, actin=150, tubulin=150, nucleoli=1.5
    ),
    "Protein synthesis": Look(
        density=0.7, radius=26, elongation=1.5, spikes=0.35, nucleus=14, actin=115, tubulin=85, fibres=0.4, nucleoli=0.1
    ),
    "Eg5 inhibitors": Look(density=0.7, radius=30, mitotic=0.65, lobes=0.15, spikes=0.2),
}

# Names and doses are the real ones, two compounds a mechanism; the first five wells show one of each mechanism.
COMPOUNDS = (
    Compound("cytochalasin B", "Actin disruptors", 5.0, (30.0, 10.0, 3.0, 0.3)),
    Compound("taxol", "Microtubule stabilizers", 0.2, (3.0, 1.0, 0.3, 0.03)),
    Compound("mitomycin C", "DNA damage", 0.5, (3.0, 1.0, 0.3, 0.03)),
    Compound("emetine", "Protein synthesis", 0.15, (1.0, 0.3, 0.1, 0.01)),
    Compound("AZ138", "Eg5 inhibitors", 0.3, (3.0, 1.0, 0.3, 0.03)),
    Compound("latrunculin B", "Actin disruptors", 0.6, (3.0, 1.0, 0.3, 0.03)),
    Compound("epothilone B", "Microtubule stabilizers", 0.15, (1.0, 0.3, 0.1, 0.01)),
    Compound("etoposide", "DNA damage", 2.0, (10.0, 3.0, 1.0, 0.1)),
    Compound("cyclohexamide", "Protein synthesis", 8.0, (50.0, 15.0, 5.0, 0.5)),
    Compound("AZ-C", "Eg5 inhibitors", 0.1, (1.0, 0.3, 0.1, 0.01)),
)


def look(compound: Compound | None, concentration: float) -> Look:
    """Return how cells look under a dose: between DMSO and the full effect, by a Hill curve of slope 1.5."""
    if compound is None:
        return Look()
    effect = concentration**1.5 / (concentration**1.5 + compound.ec50**1.5)
    pairs = zip(Look(), _FULL[compound.moa], strict=True)
    return Look(*(rest + effect * (full - rest) for rest, full in pairs))

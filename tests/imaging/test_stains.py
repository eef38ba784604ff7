"""Channels whose names were exchanged are told from those that are as named: on drawn and on real fields."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray

from morphospace.datasets import _draw, _optics, _phenotypes
from morphospace.imaging import stains
from morphospace.imaging.stains import ACTIN, AS_NAMED, DNA, SWAPPED, TOO_FEW, TUBULIN

Planes = dict[str, NDArray[Any]]
SIZES = (15, 115)
PAIRS = [(DNA, ACTIN), (DNA, TUBULIN), (TUBULIN, ACTIN)]


@pytest.fixture(scope="module")
def drawn() -> list[Planes]:
    """Four drawn fields of untreated cells."""
    optics = _optics.Optics(np.ones(3), np.full(3, 50.0), np.array([0.5, 0.5]), np.full(3, 0.3))
    look = _phenotypes.look(None, 0.0)
    fields = [_draw.draw(np.random.default_rng(seed), (320, 400), 14, look, optics).images for seed in range(4)]
    return [{DNA: f[_draw.DNA], ACTIN: f[_draw.ACTIN], TUBULIN: f[_draw.TUBULIN]} for f in fields]


def exchanged(planes: Planes, one: str, other: str) -> Planes:
    return {{one: other, other: one}.get(name, name): plane for name, plane in planes.items()}


def verdicts(fields: list[Planes]) -> dict[tuple[str, str], str]:
    return {(p.first, p.second): p.verdict for p in stains.judge([stains.look(f, *SIZES) for f in fields])}


def test_channels_as_named_are_left_alone(drawn: list[Planes]) -> None:
    assert verdicts(drawn) == dict.fromkeys(PAIRS, AS_NAMED)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_exchanged_channels_are_found(drawn: list[Planes], one: str, other: str) -> None:
    found = verdicts([exchanged(planes, one, other) for planes in drawn])
    assert found[one, other] == SWAPPED
    # Round what are no nuclei, actin and tubulin are not compared.
    assert ((TUBULIN, ACTIN) in found) == (one == TUBULIN)


def test_exchanging_two_channels_turns_the_sign_of_their_pair(drawn: list[Planes]) -> None:
    there, back = (stains.look(p, *SIZES) for p in (drawn[0], exchanged(drawn[0], ACTIN, TUBULIN)))
    assert back.fall_off == pytest.approx([-v for v in there.fall_off])
    two = {DNA: drawn[0][DNA], ACTIN: drawn[0][ACTIN]}
    there, back = (stains.look(p, *SIZES) for p in (two, exchanged(two, DNA, ACTIN)))
    assert sorted(back.lead[ACTIN]) == pytest.approx(sorted(-v for v in there.lead[ACTIN]))
    assert there.fall_off == []


def test_gain_and_offset_of_the_camera_change_nothing(drawn: list[Planes]) -> None:
    plain = stains.look(drawn[1], *SIZES)
    other = {name: 700 + (i + 0.5) * plane.astype(float) for i, (name, plane) in enumerate(drawn[1].items())}
    found = stains.look(other, *SIZES)
    assert found.fall_off == pytest.approx(plain.fall_off)
    assert found.lead[TUBULIN] == pytest.approx(plain.lead[TUBULIN])


@pytest.mark.parametrize("level", [0, 500])
def test_too_few_nuclei_give_no_verdict(drawn: list[Planes], level: int) -> None:
    even = dict.fromkeys((DNA, ACTIN, TUBULIN), np.full((64, 64), level, np.uint16))
    assert set(verdicts([even]).values()) == {TOO_FEW}
    corner = {name: plane[:160, :200] for name, plane in drawn[0].items()}
    assert TOO_FEW in verdicts([corner]).values()
    assert stains.judge([]) == []


def test_a_constant_channel_beside_nuclei_is_not_called_exchanged(drawn: list[Planes]) -> None:
    dark = [planes | {ACTIN: np.zeros_like(planes[ACTIN])} for planes in drawn]
    assert SWAPPED not in verdicts(dark).values()


@pytest.mark.parametrize(
    ("channels", "found"),
    [
        (["Actin", "Tubulin", "DNA"], {DNA: "DNA", ACTIN: "Actin", TUBULIN: "Tubulin"}),
        (["DAPI", "phalloidin", "tub"], {DNA: "DAPI", ACTIN: "phalloidin"}),
        (
            ["Hoechst33342", "F-actin", "alpha_Tubulin"],
            {DNA: "Hoechst33342", ACTIN: "F-actin", TUBULIN: "alpha_Tubulin"},
        ),
        (["w1DAPI", "w2Tubulin", "OrigActin"], {DNA: "w1DAPI", ACTIN: "OrigActin", TUBULIN: "w2Tubulin"}),
        (["DNA", "GFP"], {DNA: "DNA"}),
        (["DNA", "Actinin", "gamma-Tubulin", "acetylated tubulin"], {DNA: "DNA"}),
        (["DNA", "Actin1", "Actin2"], {DNA: "DNA"}),  # which of the two is not known
        (["Channel1", "Channel2"], {DNA: "Channel2"}),  # the channel that nuclei are looked for in
        (["Red", "Green", "Blue"], {}),
    ],
)
def test_stains_are_recognised_by_their_names(channels: list[str], found: dict[str, str]) -> None:
    assert stains.recognise(channels, "Channel2") == found


def test_nuclei_looked_for_in_actin_do_not_make_it_dna() -> None:
    assert stains.recognise(["Actin", "Tubulin"], "Actin") == {ACTIN: "Actin", TUBULIN: "Tubulin"}


def test_examples_are_the_same_places_of_every_channel(drawn: list[Planes]) -> None:
    found = stains.examples(drawn[0], *SIZES, 5)
    assert 1 <= len(found[DNA]) <= 5
    assert [w.shape for w in found[DNA]] == [w.shape for w in found[ACTIN]] == [w.shape for w in found[TUBULIN]]
    assert all(w.max() > 2 * np.median(drawn[0][DNA]) for w in found[DNA])


def test_real_fields_are_as_named_until_they_are_exchanged(real_data: Path) -> None:
    numbers = {DNA: 1, TUBULIN: 2, ACTIN: 4}
    fields = []
    for site in (1, 2):
        files = {s: next(real_data.glob(f"bbbc021_fields/*_s{site}_w{n}*.tif")) for s, n in numbers.items()}
        fields.append({s: tifffile.imread(path)[256:768, 320:960] for s, path in files.items()})
    assert verdicts(fields) == dict.fromkeys(PAIRS, AS_NAMED)
    swapped = [exchanged(planes, TUBULIN, ACTIN) for planes in fields]
    assert verdicts(swapped)[TUBULIN, ACTIN] == SWAPPED
    for other in (ACTIN, TUBULIN):
        assert verdicts([exchanged(planes, DNA, other) for planes in fields])[DNA, other] == SWAPPED


@pytest.mark.slow
def test_no_real_plate_looks_exchanged_and_all_do_once_they_are(real_data: Path) -> None:
    """1,996 cells of 55 plates and 13 classes, among them poisons of actin and tubulin."""
    cells = pd.read_csv(real_data / "bbbc021_cells/allmoa_1996.csv")
    images = np.load(real_data / "bbbc021_cells/allmoa_1996.npz")["images"]
    for exchange in (False, True):
        judged = 0
        for _, rows in cells.groupby("plate"):
            planes = [dict(zip((DNA, TUBULIN, ACTIN), images[i], strict=True)) for i in rows.index]
            fields = [exchanged(p, TUBULIN, ACTIN) if exchange else p for p in planes]
            found = verdicts(fields)
            assert SWAPPED not in {found[pair] for pair in PAIRS[:2]}
            if found.get(PAIRS[2], TOO_FEW) != TOO_FEW:
                assert found[PAIRS[2]] == (SWAPPED if exchange else AS_NAMED)
                judged += 1
        assert judged > 15

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphospace.errors import InputError
from morphospace.segmentation import _images, native, plain
from morphospace.segmentation._engine import Group, Settings, narrow

SMALL = Settings(min_diameter=12, max_diameter=60, opening_radius=2)


@pytest.fixture(scope="module")
def images(draw):
    return [(i / np.float32(65535)).astype(np.float32) for i in draw(1)]


@pytest.mark.parametrize("label", [native.label, plain.label])
@pytest.mark.parametrize("method", ["propagation", "watershed"])
def test_cells_nuclei_and_cytoplasm_share_their_numbers(label, method, images):
    labels = label(*images, Settings(method, 12, 60, 2))
    numbers = set(range(1, labels.cells.max() + 1))
    assert len(numbers) > 5
    for image in labels[:2]:
        assert set(np.unique(image)) - {0} == numbers
        assert len(native.border(image)) == 0
    assert (labels.cells[labels.nuclei > 0] == labels.nuclei[labels.nuclei > 0]).mean() > 0.999
    assert ((labels.cytoplasm == 0) | (labels.cytoplasm == labels.cells)).all()


def test_no_cytoplasm_is_empty_because_nuclei_are_shrunk_first():
    nuclei = np.pad(np.ones((5, 5), int), 2)
    cytoplasm = native.subtract(nuclei, nuclei)
    assert cytoplasm[2:7, 2:7].tolist() == [[1] * 5, *[[1, 0, 0, 0, 1]] * 3, [1] * 5]


@pytest.mark.parametrize("label", [native.label, plain.label])
@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_an_even_image_has_no_cell_and_fails_nothing(label, value):
    even = np.full((60, 70), value, np.float32)
    assert [int(image.max()) for image in label(even, even, SMALL)] == [0, 0, 0]
    assert [image.shape for image in label(even, even, SMALL)] == [(60, 70)] * 3


def test_a_cell_stain_of_two_grey_values_has_no_three_classes(images):
    nuclei, cells = images
    with pytest.raises(InputError, match="no threshold of 3 classes"):
        native.label(nuclei, (cells > 0.05).astype(np.float32), SMALL)


def test_images_of_unequal_size_are_refused():
    with pytest.raises(InputError, match=r"\(4, 5\) px and the cells image \(5, 4\)"):
        native.label(np.zeros((4, 5), np.float32), np.zeros((5, 4), np.float32), SMALL)


def test_nuclei_outside_of_the_diameters_are_dropped():
    image = np.zeros((100, 200), np.float32)
    yy, xx = np.indices(image.shape)
    for x, radius in ((25, 4), (80, 10), (150, 30)):
        image[np.hypot(yy - 50, xx - x) < radius] = 1
    found = native.find_nuclei(image, Settings(min_diameter=12, max_diameter=40, opening_radius=0))
    assert found.accepted[50, [25, 80, 150]].tolist() == [0, 1, 0]
    assert (found.found[50, [25, 80, 150]] > 0).all()


def test_a_nucleus_without_a_cell_loses_its_number():
    nuclei = np.array([[1, 0, 2, 0, 3]])
    cells = np.array([[1, 1, 0, 0, 3]])
    assert [image.tolist() for image in native.renumber(nuclei, cells)] == [[[1, 0, 0, 0, 2]], [[1, 1, 0, 0, 2]]]


def test_illumination_of_even_images_is_one_and_its_minimum_always(make):
    even = make(1, nuclei=np.full((40, 50), 900, np.uint16), cells=np.full((40, 50), 900, np.uint16))
    function = native.illumination(Group("g", [even.nuclei, even.cells], 20))
    assert function.values.dtype == np.float32
    np.testing.assert_allclose(function.values, 1, rtol=1e-6)
    drawn = make(2)
    values = native.illumination(Group("g", [drawn.nuclei, drawn.cells], 60)).values
    assert values.min() == 1
    assert values.max() > 1.02


def test_illumination_refuses_no_image_and_unequal_ones(make):
    one, other = make(1), make(2, nuclei=np.zeros((9, 9), np.uint8), cells=np.zeros((9, 9), np.uint8))
    with pytest.raises(InputError, match=r"P_2_dna\.tif is \(9, 9\) px, but"):
        native.illumination(Group("g", [one.nuclei, other.nuclei], 20))
    with pytest.raises(InputError, match="g has no image"):
        native.illumination(Group("g", [], 20))
    black = native.illumination(Group("g", [other.nuclei], 20))
    assert black.values.max() == 0


def test_more_objects_than_16_bits_hold_are_32_bits():
    assert narrow(np.array([[65535]])).dtype == np.uint16
    assert narrow(np.array([[65536]])).dtype == np.uint32


@pytest.mark.parametrize("engine", [native, plain])
def test_one_bad_image_set_stops_no_other_and_two_processes_give_the_same(engine, make, tmp_path):
    sets = [make(k) for k in (1, 2, 3)]
    sets[1].cells.write_bytes(b"garbage")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = {o.key: o for o in engine.segment(sets, SMALL, Path(), tmp_path / "one", 1)}
    two = {o.key: o for o in engine.segment(sets, SMALL, Path(), tmp_path / "two", 2)}
    assert one[2].labels is None
    assert one[2].error.startswith("P/B02/2: ")
    assert "P_2_actin.tif is truncated" in one[2].error
    for key in (1, 3):
        for a, b in zip(one[key].labels, two[key].labels, strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("engine", [native, plain])
def test_even_images_are_dropped_by_name_and_the_rest_goes_on(engine, odd, tmp_path):
    sets, even = odd
    found = {o.key: o for o in engine.segment(sets, SMALL, Path(), tmp_path, 1)}
    assert {k for k, o in found.items() if o.labels is None} == set(even)
    for key, name in even.items():
        assert found[key].error.startswith(f"P/B02/{key}: ")
        assert name in found[key].error
        assert "leave the image set out" in found[key].error
    assert all(o.labels.cells.max() > 5 for o in found.values() if o.labels)


def test_whatever_the_matter_with_one_image_set_it_stops_no_other(make, tmp_path, monkeypatch):
    def label(nuclei, cells, settings):
        if nuclei.shape == (60, 70):
            raise ValueError("a kind of image that nobody thought of")
        return native.Labels(*[np.ones(cells.shape, np.uint16)] * 3)

    monkeypatch.setattr(native, "label", label)
    strange = np.arange(4200, dtype=np.uint16).reshape(60, 70)
    sets = [make(1), make(2, nuclei=strange, cells=strange)]
    found = {o.key: o for o in native.segment(sets, SMALL, Path(), tmp_path, 1)}
    assert found[1].labels
    assert found[2].error == (
        "P/B02/2 (P_2_dna.tif, P_2_actin.tif): ValueError: a kind of image that nobody thought of"
    )


levels, sides, flags = st.integers(0, 300), st.integers(1, 24), st.booleans()


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 65_535), levels, sides, sides, flags, flags)
def test_no_image_of_few_grey_levels_ends_in_anything_but_labels_or_a_reason(top, span, height, width, log, eight):
    rng = np.random.default_rng([top, span, height, width])
    top = min(top, 255) if eight else top
    stored = rng.integers(max(0, top - span), top + 1, (height, width))
    image = (stored / np.float32(255 if eight else 65_535)).astype(np.float32)
    image /= 1 + rng.random(dtype=np.float32)
    chosen = Settings(min_diameter=3, max_diameter=20, opening_radius=span % 3, log_transform=log)
    reason = ""
    try:
        _images._refuse_even(Path("x.tif"), image, image, chosen.opening_radius)
        assert native.label(image, image, chosen).cells.shape == image.shape
    except InputError as error:
        reason = str(error)
    assert not reason or "is even" in reason or "no threshold of 3 classes" in reason


def test_what_is_finished_is_not_done_again(make, tmp_path):
    sets = [make(k) for k in (1, 2)]
    scratch = tmp_path / "work"
    scratch.mkdir()
    before = dict(o[:2] for o in native.segment(sets[:1], SMALL, Path(), scratch, 1))
    sets[0].nuclei.unlink()
    after = {o.key: o.labels for o in native.segment(sets, SMALL, Path(), scratch, 1)}
    assert set(after) == {1, 2}
    assert np.array_equal(before[1].cells, after[1].cells)
    (scratch / "1.npz").write_bytes(b"half")
    assert {o.key: o.labels is None for o in native.segment(sets, SMALL, Path(), scratch, 1)} == {1: True, 2: False}
    content = bytearray((scratch / "2.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (scratch / "2.npz").write_bytes(content)
    again = {o.key: o.labels for o in native.segment(sets[1:], SMALL, Path(), scratch, 1)}
    assert np.array_equal(again[2].cells, after[2].cells)


def test_finished_illumination_functions_are_kept(make, tmp_path):
    scratch = tmp_path / "work"
    scratch.mkdir()
    group = Group("g", [make(1).nuclei], 20)
    first = next(native.illuminate([group], Path(), scratch, 1))
    group.images[0].unlink()
    again = next(native.illuminate([group], Path(), scratch, 1))
    assert np.array_equal(first.values, again.values)


@pytest.mark.parametrize("content", [b"", b"Aborted.", None])
def test_an_illumination_function_that_was_damaged_is_made_anew(make, tmp_path, content):
    scratch = tmp_path / "work"
    scratch.mkdir()
    group = Group("g", [make(1).nuclei], 20)
    first = next(native.illuminate([group], Path(), scratch, 1))
    (path,) = scratch.glob("*.npy")
    path.write_bytes(path.read_bytes()[:-1] + b"?" if content is None else content)
    again = next(native.illuminate([group], Path(), scratch, 1))
    assert np.array_equal(first.values, again.values)

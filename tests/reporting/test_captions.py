from pathlib import Path

from morphospace.reporting import captions


def test_pictures_stand_in_the_order_of_the_story_and_then_by_name() -> None:
    names = ["similarity/per_channel", "similarity/worst", "similarity/random", "similarity/zzz"]
    found = captions.pictures([Path(f"{name}.png") for name in names])
    assert [p.path.stem for p in found] == ["random", "worst", "per_channel", "zzz"]


def test_an_unknown_picture_is_shown_with_its_name() -> None:
    found = captions.pictures([Path("odd/new_one.png")])[0]
    assert found.title == "odd: new_one"


def test_a_field_is_named_in_its_title() -> None:
    found = captions.pictures([Path("segmentation/P1_B02_1.png")])[0]
    assert found.title == "Segmentation of P1_B02_1"


def test_a_plate_is_named_without_the_kind_of_picture() -> None:
    assert captions.pictures([Path("dose/plate_P1.png")])[0].title == "Plate P1: distance from the negative controls"


def test_more_than_the_limit_is_left_out() -> None:
    assert len(captions.pictures([Path(f"training/epoch_{i:03d}.png") for i in range(50)], limit=12)) == 12


def test_a_caption_is_said_once() -> None:
    found = captions.pictures([Path(f"segmentation/P1_B02_{i}.png") for i in (1, 2)])
    assert found[0].caption.startswith("Outlines")
    assert found[1].caption == "As above."

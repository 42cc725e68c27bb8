"""A reader's own pictures: what is read, what is left out by name, and what is refused in a sentence."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from utils import own_pictures
from utils.own_files import OwnFileError


def picture(path: Path, colour, size=(40, 30), **how) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **how)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """Ten red and ten blue pictures, no two files alike."""
    for n in range(10):
        picture(tmp_path / "pets" / "red" / f"{n}.png", (200 + n, 0, 0))
        picture(tmp_path / "pets" / "blue" / f"{n}.jpg", (0, 0, 255), size=(30 + n, 40))
    return tmp_path / "pets"


def bomb(path: Path, width: int, height: int) -> None:
    """A PNG of a few bytes whose head promises width × height pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""))


def test_sub_folders_are_classes_and_pictures_become_square(folder):
    found = own_pictures.load(folder, size=16)
    assert found.classes == ["blue", "red"] and found.notes == []
    assert found.images.shape == (20, 16, 16, 3) and found.images.dtype == np.uint8
    assert ((found.images[:, 8, 8, 0] > 100) == (found.labels == 1)).all() and found.labels.sum() == 10


def test_the_seed_decides_the_order_and_which_are_drawn(folder):
    labels = [own_pictures.load(folder, most=18, seed=seed).labels.tolist() for seed in (0, 0, 1)]
    assert labels[0] == labels[1] != labels[2] and len(labels[0]) == 18
    assert own_pictures.load(folder, most=18).notes == ["18 of 20 pictures were drawn at random"]


def test_pictures_that_cannot_be_read_are_named_and_left_out(folder, capsys):
    (folder / "red" / "text.png").write_text("no picture")
    whole = picture(folder / "red" / "short.png", (9, 9, 9), size=(300, 300)).read_bytes()
    (folder / "red" / "short.png").write_bytes(whole[: len(whole) // 2])
    bomb(folder / "blue" / "large.png", 9000, 6000)
    bomb(folder / "blue" / "warned.png", 10000, 10000)  # where Pillow would only warn
    bomb(folder / "blue" / "huge.png", 60000, 60000)  # where Pillow itself refuses
    found = own_pictures.load(folder)
    assert len(found.images) == 20
    said = "\n".join(found.notes)
    assert "red/text.png was left out: it is corrupt, cut off, or no picture" in said
    assert "red/short.png was left out: it is corrupt" in said
    assert "blue/large.png was left out: it has 54 megapixels, 50 are the most" in said
    assert "blue/huge.png was left out: it is far larger than 50 megapixels" in said
    assert "blue/warned.png was left out" in said
    assert all(note in capsys.readouterr().err for note in found.notes[:1])


def test_the_same_file_twice_is_taken_once(folder):
    (folder / "red" / "copy.png").write_bytes((folder / "red" / "1.png").read_bytes())
    found = own_pictures.load(folder)
    assert len(found.images) == 20 and len(found.notes) == 1 and "taken once" in found.notes[0]


def test_grey_deep_transparent_and_turned_pictures_are_read(folder):
    deep = np.linspace(0, 4000, 1600).reshape(40, 40).astype(np.uint16)
    Image.fromarray(deep).save(folder / "red" / "deep.png")
    Image.new("RGBA", (20, 20), (250, 0, 0, 128)).save(folder / "red" / "clear.png")
    Image.new("P", (20, 20)).save(folder / "red" / "palette.gif")
    assert own_pictures.load(folder).images.shape[0] == 23
    turned = own_pictures._open(folder / "red" / "deep.png")
    assert turned.mode == "RGB" and np.ptp(np.asarray(turned)) == 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    picture(folder / "red" / "turned.jpg", (1, 2, 3), size=(40, 20), exif=exif)
    assert own_pictures._open(folder / "red" / "turned.jpg").size == (20, 40)


def made(folder: Path, *names: str) -> Path:
    """The folder, with empty sub-folders."""
    for name in ("", *names):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: p / "nowhere", "There is no folder .*nowhere' here or in the book's folder"),
        (lambda p: picture(p / "one.png", (0, 0, 0)), "'one.png' is a file; give a folder"),
        (lambda p: made(p / "empty"), "'empty' holds no sub-folder"),
        (lambda p: made(p / "lone", "cats"), "'lone' holds only the class 'cats'"),
        (
            lambda p: made(p / "set", "train/cats", "test/cats"),
            "holds test, train; give one",
        ),
        (
            lambda p: made(p / "two", "cats", "dogs"),
            "The class 'cats' has 0 pictures; at least 8",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(tmp_path, make, sentence):
    with pytest.raises(OwnFileError, match=sentence.replace("(", r"\(")) as refused:
        own_pictures.load(make(tmp_path))
    assert "\n" not in str(refused.value)


def test_a_class_of_broken_pictures_is_refused(folder):
    for file in (folder / "red").iterdir():
        file.write_text("broken")
    with pytest.raises(OwnFileError, match="The class 'red' has, of those that can be read, 0 pictures"):
        own_pictures.load(folder)


def coco_of(folder: Path, **changes) -> Path:
    picture(folder / "images" / "a.png", (1, 2, 3), size=(100, 50))
    picture(folder / "images" / "b.png", (1, 2, 3), size=(20, 20))
    content = {
        "images": [{"id": 7, "file_name": "images/a.png"}, {"id": 8, "file_name": "b.png"}, {"id": 9, "file_name": "lost.png"}],
        "categories": [{"id": 3, "name": "dog"}, {"id": 5, "name": "cat"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": [10, 10, 40, 20]},
            {"image_id": 7, "category_id": 5, "bbox": [90, 40, 40, 20]},
            {"image_id": 8, "category_id": 5, "bbox": [30, 30, 5, 5]},
        ],
    } | changes
    (folder / "boxes.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_coco_boxes_are_cut_to_the_picture_and_shrink_with_it(tmp_path):
    found, classes, notes = own_pictures.boxes(coco_of(tmp_path), longest=50)
    assert classes == ["cat", "dog"] and [one.name for one in found] == ["a.png", "b.png"]
    assert found[0].image.shape == (25, 50, 3)
    assert [(a["category_id"], a["bbox"]) for a in found[0].coco["annotations"]] == [(1, [5, 5, 20, 10]), (0, [45, 20, 5, 5])]
    assert found[1].coco["annotations"] == []
    assert len(notes) == 2 and "b.png: a box of 'cat' lies outside" in notes[0] and "lost.png was left out" in notes[1]


def test_voc_boxes_count_pixels_from_one(tmp_path):
    picture(tmp_path / "JPEGImages" / "a.jpg", (1, 2, 3), size=(100, 50))
    corners = "<xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>20</ymax>"
    thing = f"<object><name>dog</name><bndbox>{corners}</bndbox></object>"
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(f"<annotation><filename>a.jpg</filename>{thing}</annotation>")
    found, classes, notes = own_pictures.boxes(tmp_path)
    assert classes == ["dog"] and notes == []
    assert found[0].coco["annotations"][0]["bbox"] == [0, 0, 10, 20]


def test_boxes_that_cannot_be_used_are_refused_in_a_sentence(tmp_path):
    picture(tmp_path / "none" / "a.png", (0, 0, 0))
    with pytest.raises(OwnFileError, match="holds neither a COCO .json nor VOC .xml files"):
        own_pictures.boxes(tmp_path / "none")
    with pytest.raises(OwnFileError, match="boxes.json is no COCO file"):
        own_pictures.boxes(coco_of(tmp_path / "coco", categories=[]))
    (tmp_path / "none" / "a.xml").write_text("<annotation><object>")
    with pytest.raises(OwnFileError, match="a.xml is no VOC file"):
        own_pictures.boxes(tmp_path / "none")


def test_pictures_of_one_thing_come_from_one_folder_and_what_cannot_be_read_is_named(tmp_path, capsys):
    for n in range(5):
        picture(tmp_path / "dog" / f"{n}.jpg", (0, 10 * n, 200), size=(30, 20 + n))
    (tmp_path / "dog" / "5.png").write_text("no picture")
    images, notes = own_pictures.thing(tmp_path / "dog", size=16)
    assert images.shape == (5, 16, 16, 3) and images.dtype == np.uint8 and (images[..., 2] > 150).all()
    assert notes == ["5.png was left out: it is corrupt, cut off, or no picture"] and notes[0] in capsys.readouterr().err
    assert own_pictures.thing(tmp_path / "dog", most=3)[1] == ["the first 3 of 6 pictures were taken"]


@pytest.mark.parametrize("count", [0, 2])
def test_too_few_pictures_of_a_thing_are_refused_in_a_sentence(tmp_path, count):
    for n in range(count):
        picture(tmp_path / f"{n}.png", (n, 0, 0))
    with pytest.raises(OwnFileError, match=f"holds {count} pictures that can be read; give a folder with 3 to 20 of one thing"):
        own_pictures.thing(tmp_path)

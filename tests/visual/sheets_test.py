import numpy as np
import pytest

from dpig_tf2.visual import sheets

RED = np.full((20, 10, 3), (255, 0, 0), np.uint8)
BLUE = np.full((20, 10, 3), (0, 0, 255), np.uint8)


def ink(image):
    return (image < 100).all(axis=2)


def find(image, color):
    """Rows and columns [top, bottom), [left, right) of a color."""
    rows, columns = np.nonzero((image == color).all(axis=2))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def test_sheet_without_labels_holds_cells_and_gaps_only():
    sheet = sheets.labeled_sheet([[RED, BLUE], [BLUE, None]], scale=2, gap=3)
    assert sheet.shape == (3 + 2 * (40 + 3), 3 + 2 * (20 + 3), 3) and sheet.dtype == np.uint8
    assert find(sheet, (255, 0, 0)) == (3, 43, 3, 23)
    assert np.all(sheet[3:43, 26:46] == (0, 0, 255)) and np.all(sheet[46:86, 3:23] == (0, 0, 255))
    assert not np.all(sheet[46:86, 26:46] == 255), "an empty cell differs from the paper"


def test_enlargement_repeats_pixels():
    picture = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    sheet = sheets.labeled_sheet([[picture]], scale=4, gap=0)
    np.testing.assert_array_equal(sheet, picture.repeat(4, axis=0).repeat(4, axis=1))


def test_gray_and_single_channel_pictures():
    gray = np.full((6, 6), 77, np.uint8)
    sheet = sheets.labeled_sheet([[gray, gray[:, :, None]]], gap=0)
    assert np.all(sheet == 77) and sheet.shape == (6, 12, 3)


def test_smaller_picture_is_centered():
    sheet = sheets.labeled_sheet([[np.zeros((20, 20, 3), np.uint8), RED[:10]]], gap=0)
    assert find(sheet, (255, 0, 0)) == (5, 15, 25, 35)


def test_labels_are_drawn_beside_the_pictures():
    wide = RED.repeat(8, axis=1)
    plain = sheets.labeled_sheet([[wide, wide]])
    labeled = sheets.labeled_sheet(
        [[wide, wide]], row_labels=["identity"], column_labels=["source", "target"], title="Poses"
    )
    top, bottom, left, right = find(labeled, (255, 0, 0))
    assert (bottom - top, right - left) == (20, plain.shape[1] - 4)
    assert ink(labeled[top:bottom, :left]).any()
    assert ink(labeled[:top, left : left + 80]).any() and ink(labeled[:top, left + 82 :]).any()


@pytest.mark.parametrize("label", ["a rather long label of many short words", "unbreakable" * 6])
def test_long_column_labels_stay_over_their_column(label):
    wide = RED.repeat(6, axis=1)
    sheet = sheets.labeled_sheet([[wide, wide, wide]], column_labels=["", label, ""], gap=2)
    top = find(sheet, (255, 0, 0))[0]
    columns = np.nonzero(ink(sheet[:top]).any(axis=0))[0]
    assert columns.min() >= 2 + 62 and columns.max() < 2 + 62 + 60


def test_long_row_labels_stay_beside_their_row():
    label = "an identity with a very long description that needs many lines of small letters"
    sheet = sheets.labeled_sheet([[BLUE], [RED], [BLUE]], row_labels=["", label, ""])
    top, bottom, left, _ = find(sheet, (255, 0, 0))
    rows = np.nonzero(ink(sheet[:, : left - 2]).any(axis=1))[0]
    assert top <= rows.min() and rows.max() < bottom


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": []}, "at least one picture"),
        ({"rows": [[None]]}, "at least one picture"),
        ({"rows": [[RED.astype(np.float32)]]}, "must be uint8, got float32"),
        ({"rows": [[RED[:, :, :2]]]}, r"must be \[H, W, 3\]"),
        ({"rows": [[RED]], "row_labels": ["a", "b"]}, "row_labels: expected 1 labels, got 2"),
        ({"rows": [[RED]], "column_labels": []}, "column_labels: expected 1 labels, got 0"),
        ({"rows": [[RED]], "scale": 0}, "scale must be at least 1"),
    ],
)
def test_bad_sheets_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        sheets.labeled_sheet(**arguments)


@pytest.mark.parametrize(
    ("label", "plain"),
    [("Jürgen Müßig", "Jurgen Mussig"), ("Łódź Ørsted", "Lodz Orsted"), ("a – 王", "a - ?")],
)
def test_letters_that_the_font_lacks_are_written_with_those_that_it_has(label, plain):
    drawn, expected = (sheets.labeled_sheet([[RED]], [text]) for text in (label, plain))
    np.testing.assert_array_equal(drawn, expected)

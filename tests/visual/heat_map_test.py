import numpy as np

from dpig_tf2.visual.heat_map import heat_map
from dpig_tf2.visual.sheets import beside, stacked


def test_cells_are_blue_red_white_or_empty():
    picture = heat_map({"row": [1.0, -1.0, -0.001, None]}, ["a", "b", "c", "d"], "title")
    colors = {tuple(pixel) for pixel in picture.reshape(-1, 3)}
    assert {(40, 110, 190), (200, 70, 50), (255, 255, 255), (226, 226, 226)} <= colors


def test_sheets_of_different_size_are_put_together_on_white():
    small, wide = np.zeros((4, 6, 3), np.uint8), np.zeros((5, 9, 3), np.uint8)
    column = stacked([small, wide])
    assert column.shape == (4 + 12 + 5 + 12, 9, 3)
    assert (column[0, 6:] == 255).all() and not column[0, :6].any()
    row = beside([small, wide])
    assert row.shape == (5, 6 + 12 + 9 + 12, 3)
    assert (row[4:, :18] == 255).all() and not row[:, 18:27].any()

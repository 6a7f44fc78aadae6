# SPDX-License-Identifier: Apache-2.0
"""Portrait boxes: when a set is used whole, where a cut lies, and that pixels, alpha and keypoints agree."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np

from engine.cv import cv2
from engine.sources.analysis import AnalysedPicture
from engine.sources.framing import (
    FACE_HEIGHTS_PER_SIDE,
    SquareBox,
    box_of_crop,
    choose_boxes,
    crop_of_box,
    cut_image,
    face_box,
    fit_box,
    frame_picture,
    head_boxes,
)
from engine.sources.manifest import Crop
from engine.sources.picture import Picture
from tests.helpers.source_faces import landmarks_at, portrait_rgb


def analysed(size_wh, landmarks_px, *, rgb=None, alpha=None, matte=None) -> AnalysedPicture:
    rgb = portrait_rgb(size_wh) if rgb is None else rgb
    picture = Picture("p.png", rgb, alpha, size_wh, "0" * 64)
    matte = np.full(rgb.shape[:2], 255, np.uint8) if matte is None else matte
    return AnalysedPicture(picture, landmarks_px, matte if alpha is None else alpha)


def test_equal_square_pictures_are_used_whole():
    pictures = [analysed((400, 400), landmarks_at((200 + shift, 190), 180)) for shift in (0, 20, -30)]
    assert choose_boxes(pictures) == [SquareBox(0, 0, 400)] * 3


def test_any_picture_out_of_line_cuts_all():
    good = analysed((400, 400), landmarks_at((200, 200), 180))
    for other in (
        analysed((500, 500), landmarks_at((250, 250), 200)),  # another size
        analysed((400, 400), landmarks_at((200, 200), 90)),  # a small face
        analysed((400, 400), landmarks_at((200, 200), 330)),  # too close
        analysed((400, 400), landmarks_at((310, 200), 150)),  # far from the middle
        analysed((400, 400), landmarks_at((200, 90), 190)),  # cut by the edge
    ):
        boxes = choose_boxes([good, other])
        assert boxes[1] != SquareBox(0, 0, other.picture.size_wh[0])
        tall = [np.ptp(one.landmarks_px[:, 1]) for one in (good, other)]
        share = [height / box.side_px for height, box in zip(tall, boxes, strict=True)]
        assert abs(share[0] - share[1]) < 0.01  # the face is as tall in one portrait as in the other
    wide = analysed((500, 400), landmarks_at((200, 200), 180))
    for box in choose_boxes([wide, wide]):
        assert np.abs(np.array(astuple(box)) - astuple(face_box(wide.landmarks_px))).max() <= 2
    assert choose_boxes([wide]) == [face_box(wide.landmarks_px)]


def test_one_head_has_one_size_and_place_however_it_moves():
    """An open mouth makes the face's outline taller and a turn moves it sideways; the head is where it was."""
    calm = landmarks_at((300, 300), 180)
    agape = calm.copy()
    low = agape[:, 1] > np.quantile(agape[:, 1], 0.8)
    agape[low, 1] += 40
    assert np.ptp(agape[:, 1]) > 1.15 * np.ptp(calm[:, 1])
    boxes = head_boxes([calm, agape])
    assert np.abs(np.array(astuple(boxes[0])) - astuple(boxes[1])).max() <= 6
    outline = [face_box(points) for points in (calm, agape)]
    assert outline[1].side_px - outline[0].side_px > 50


def test_frames_of_one_camera_share_one_box_and_so_their_background():
    frames = [analysed((900, 700), landmarks_at((450 + shift, 350), 200)) for shift in (0, 30, -40)]
    boxes = choose_boxes(frames)
    assert len(set(boxes)) == 1
    assert abs(boxes[0].box.centre_x_px - 450) <= 2
    apart = [*frames, analysed((900, 700), landmarks_at((600, 350), 200))]
    assert len(set(choose_boxes(apart))) > 1
    nearer = [*frames, analysed((900, 700), landmarks_at((450, 350), 290))]
    assert len(set(choose_boxes(nearer))) > 1


def test_a_tight_picture_makes_all_boxes_smaller():
    roomy, tight = (
        analysed((900, 700), landmarks_at((450, 350), 200)),
        analysed((260, 300), landmarks_at((130, 150), 200)),
    )
    boxes = choose_boxes([roomy, tight])
    assert abs(boxes[0].side_px - boxes[1].side_px) <= 2
    assert boxes[1].side_px <= 1.25 * 260 + 1


def test_a_box_by_hand_wins_and_survives_another_resolution():
    picture = analysed((900, 700), landmarks_at((450, 350), 200))
    hand = Crop(0.5, 0.4, 0.5)
    boxes = choose_boxes([picture, picture], [None, hand])
    assert boxes[1] == SquareBox(275, 105, 350)
    assert boxes[0] != boxes[1]
    assert box_of_crop(hand, size_wh=(1800, 1400)) == SquareBox(550, 210, 700)
    back = crop_of_box(boxes[1], size_wh=(900, 700))
    np.testing.assert_allclose([back.x, back.y, back.size], [0.5, 0.4, 0.5], atol=1e-9)


def test_face_box_is_centred_and_scaled():
    landmarks = landmarks_at((120.3, 77.8), 60.0)
    box = face_box(landmarks)
    assert box.side_px == round(60 * FACE_HEIGHTS_PER_SIDE)
    assert abs(box.box.centre_x_px - 120.3) <= 0.5
    assert abs(box.box.centre_y_px - 77.8) <= 0.5


def test_boxes_move_inside_where_there_is_room():
    inside = SquareBox(30, 40, 100)
    assert fit_box(inside, size_wh=(300, 200)) == inside
    assert fit_box(SquareBox(-10, -5, 100), size_wh=(300, 200)) == SquareBox(0, 0, 100)
    assert fit_box(SquareBox(-40, 40, 100), size_wh=(300, 200)) == SquareBox(-25, 40, 100)  # a face in the corner
    assert fit_box(SquareBox(210, 120, 100), size_wh=(300, 200)) == SquareBox(200, 105, 100)
    tight = fit_box(SquareBox(-50, -60, 300), size_wh=(200, 200))
    assert tight == SquareBox(-25, -25, 250)
    assert fit_box(SquareBox(20, -40, 220), size_wh=(300, 200)) == SquareBox(20, -10, 220)


def test_whole_picture_at_its_own_size_is_untouched():
    rgb = portrait_rgb((256, 256))
    np.testing.assert_array_equal(cut_image(rgb, SquareBox(0, 0, 256), side_px=256), rgb)


def test_cut_inside_equals_the_slice():
    rgb = portrait_rgb((300, 200))
    np.testing.assert_array_equal(cut_image(rgb, SquareBox(40, 10, 128), side_px=128), rgb[10:138, 40:168])


def test_cut_past_the_edges_is_mirrored():
    rgb = portrait_rgb((100, 80))
    wanted = cv2.copyMakeBorder(rgb, 30, 40, 25, 25, cv2.BORDER_REFLECT_101)
    np.testing.assert_array_equal(cut_image(rgb, SquareBox(-25, -30, 150), side_px=150), wanted)


def test_shrinking_averages():
    checkers = np.kron(np.indices((64, 64)).sum(0) % 2, np.ones((1, 1))).astype(np.uint8) * 200
    small = cut_image(np.dstack([checkers] * 3), SquareBox(0, 0, 64), side_px=16)
    np.testing.assert_array_equal(small, np.full((16, 16, 3), 100))


def test_keypoints_point_at_the_same_pixels_after_the_cut():
    """A bright dot under one landmark is found where the keypoint says it is."""
    landmarks = landmarks_at((180, 150), 90)
    rgb = np.zeros((320, 400, 3), np.uint8)
    x, y = landmarks[4, :2]
    cv2.circle(rgb, (round(float(x)), round(float(y))), 5, (255, 255, 255), -1, cv2.LINE_AA)
    image = frame_picture(analysed((400, 320), landmarks, rgb=rgb), face_box(landmarks), name="a", side_px=256)
    weights = image.rgb[..., 0].astype(float)
    centre = [(weights.sum(axis) * np.arange(256)).sum() / weights.sum() for axis in (0, 1)]
    found = (np.array(centre) + 0.5) / 128 - 1
    np.testing.assert_allclose(found, image.keypoints[4, :2], atol=1.2 / 128)
    assert image.name == "a"
    np.testing.assert_allclose(np.ptp(image.keypoints[:, 1]), 2 / FACE_HEIGHTS_PER_SIDE, atol=0.02)


def test_matte_goes_through_the_same_box():
    matte = np.zeros((400, 400), np.uint8)
    matte[100:300, 150:250] = 255
    landmarks = landmarks_at((200, 200), 180)
    image = frame_picture(analysed((400, 400), landmarks, matte=matte), SquareBox(0, 0, 400), name="a", side_px=200)
    assert image.alpha[50:150, 75:125].min() == 255
    assert image.alpha[:49].max() == 0
    assert image.alpha.sum() == 255 * 100 * 50


def test_cutout_edges_keep_the_persons_colour():
    """What a drawing program leaves under transparent pixels never shows."""
    rgb = np.zeros((400, 400, 3), np.uint8)  # black under the transparent part
    alpha = np.zeros((400, 400), np.uint8)
    cv2.circle(alpha, (200, 200), 120, 255, -1, cv2.LINE_AA)
    rgb[alpha > 0] = (220, 120, 60)
    landmarks = landmarks_at((200, 200), 180)
    image = frame_picture(
        analysed((400, 400), landmarks, rgb=rgb, alpha=alpha), SquareBox(0, 0, 400), name="a", side_px=150
    )
    person = image.alpha > 0
    assert np.abs(image.rgb[person].astype(int) - (220, 120, 60)).max() <= 6
    near = (cv2.dilate(image.alpha, np.ones((3, 3), np.uint8)) > 0) & ~person
    assert np.abs(image.rgb[near].astype(int) - (220, 120, 60)).mean() < 25
    np.testing.assert_array_equal(image.rgb[0, 0], (128, 128, 128))


def test_empty_list_has_no_boxes():
    assert choose_boxes([]) == []


def test_a_cut_outs_tall_hair_stays_on_its_head():
    """A sprite whose hair stands a face's height above the brow, in a narrow picture that ends at its elbows."""
    face = landmarks_at((160, 300), 140)
    alpha = np.zeros((500, 320), np.uint8)
    alpha[90:, 90:230] = 255
    alpha[20:40, :40] = 255  # a flag beside the head is no hair
    sprite = analysed((320, 500), face, alpha=alpha, matte=alpha)
    photo = analysed((320, 500), face, matte=alpha)
    (old,), (box,) = choose_boxes([photo]), choose_boxes([sprite])
    assert old.top_px > 90, "the photograph's box is where it was"
    assert 20 < box.top_px <= 88
    assert box.side_px <= 1.4 * 140 * FACE_HEIGHTS_PER_SIDE + 1
    assert box.top_px + box.side_px <= 500
    cut = frame_picture(sprite, box, name="x", side_px=box.side_px)
    assert cut.alpha[0].max() == 0
    assert cut.alpha[-1].max() == 255
    assert cut.alpha[:, 0].max() == 0, "nobody stands mirrored beside it"
    twin = choose_boxes([sprite, analysed((320, 500), face, alpha=alpha, matte=alpha)])
    assert twin[0] == twin[1]

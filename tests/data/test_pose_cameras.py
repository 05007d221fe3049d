"""Cameras of recorded poses against stored values, and the calibration tables."""

import numpy as np
import pytest

from posejax.data.h36m_cameras import (
    H36M_CAMERAS,
    H36M_SUBJECTS,
    h36m_camera,
    h36m_cameras,
)
from posejax.data.humaneva_cameras import humaneva_cameras
from posejax.data.pose_cameras import (
    PoseCamera,
    camera_to_world,
    image_coordinates,
    normalize_screen_coordinates,
    project_points,
    projected_pixels,
    world_to_camera,
)
from tests import fill


def stored_camera(arrays, index, dtype=np.float64):
    return PoseCamera(
        name=str(index),
        orientation=arrays[f"in/orientation_{index}"].astype(dtype),
        translation=arrays[f"in/translation_{index}"].astype(dtype),
        resolution=tuple(int(v) for v in arrays[f"in/resolution_{index}"]),
        intrinsics=arrays[f"in/intrinsic_{index}"].astype(dtype),
    )


@pytest.mark.golden
@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 1e-9), (np.float32, 2e-5)])
def test_cameras_map_points_as_stored(index, dtype, atol):
    arrays, _ = fill.golden("camera", system="posture_pose")
    camera = stored_camera(arrays, index, dtype)
    world = arrays["in/world"].astype(dtype)
    seen = world_to_camera(world, camera)
    uv = project_points(seen, camera.intrinsics)
    pixels = image_coordinates(uv, resolution=camera.resolution)
    found = {
        "camera": seen,
        "world_again": camera_to_world(seen, camera),
        "uv": uv,
        "renormalised": normalize_screen_coordinates(
            pixels, resolution=camera.resolution
        ),
    }
    for name, array in found.items():
        assert array.dtype == dtype, name
        np.testing.assert_allclose(
            array, arrays[f"out/{name}_{index}"], rtol=0, atol=atol, err_msg=name
        )
    np.testing.assert_allclose(
        pixels, arrays[f"out/pixels_{index}"], rtol=0, atol=1000 * atol
    )
    np.testing.assert_array_equal(projected_pixels(world, camera), pixels)


@pytest.mark.golden
def test_the_table_holds_the_stored_cameras_of_one_subject():
    arrays, _ = fill.golden("camera", system="posture_pose")
    subjects = [
        subject
        for subject in H36M_SUBJECTS
        if np.allclose(
            h36m_camera(subject, 0).translation, arrays["in/translation_0"], atol=1e-6
        )
    ]
    assert len(subjects) == 1
    for index, camera in enumerate(h36m_cameras(subjects[0])):
        stored = stored_camera(arrays, index)
        assert camera.resolution == stored.resolution
        for name in ("orientation", "translation", "intrinsics"):
            array = getattr(camera, name)
            assert array.dtype == np.float32
            np.testing.assert_allclose(array, getattr(stored, name), rtol=1e-6)


def test_every_camera_stands_on_its_side_of_the_room_and_sees_its_middle():
    for subject in H36M_SUBJECTS:
        cameras = h36m_cameras(subject)
        assert tuple(camera.name for camera in cameras) == H36M_CAMERAS
        for camera, signs in zip(
            cameras, [(1, 1), (1, -1), (-1, 1), (-1, -1)], strict=True
        ):
            assert np.sign(camera.translation[:2]).tolist() == list(signs)
            norm = np.linalg.norm(camera.orientation)
            np.testing.assert_allclose(norm, 1, atol=1e-6)
            middle = np.array([0, 0, 0.9], np.float32)
            assert 3.5 < world_to_camera(middle, camera)[2] < 6
            x, y = projected_pixels(middle, camera)
            assert 300 < x < 700
            assert 300 < y < 700


def test_normalisation_by_hand():
    camera = h36m_camera("S1", "54138969")
    np.testing.assert_allclose(
        camera.intrinsics[:4],
        [
            1145.0494384765625 / 500,
            1143.7811279296875 / 500,
            512.54150390625 / 500 - 1,
            515.4514770507812 / 500 - 1.002,
        ],
        atol=2e-7,
    )
    np.testing.assert_allclose(
        camera.translation, [1.841107, 4.955285, 1.563445], atol=1e-6
    )
    assert camera.extrinsics.shape == (7,)
    assert camera.azimuth_deg == 70


def test_a_point_in_the_plane_of_the_camera_has_finite_coordinates():
    camera = h36m_camera("S1", 1)
    points = np.array([[0, 0, 0], [1, -1, 0], [0.1, 0, -2]], np.float32)
    uv = project_points(points, camera.intrinsics)
    assert np.isfinite(uv).all()
    assert uv.dtype == np.float32


@pytest.mark.parametrize(
    ("subject", "camera", "words"),
    [
        ("S2", 0, "subject is 'S2'; expected one of"),
        ("S1", 4, "camera is 4; expected 0 to 3"),
        ("S1", "54138968", "camera is '54138968'; expected one of '54138969'"),
    ],
)
def test_unknown_cameras_are_refused_by_name(subject, camera, words):
    with pytest.raises(ValueError, match=words) as error:
        h36m_camera(subject, camera)
    assert "\n" not in str(error.value)


def test_humaneva_cameras_have_no_lens_and_know_their_subjects():
    cameras = humaneva_cameras("Unlabeled/Validate/S2")
    assert [camera.azimuth_deg for camera in cameras] == [0, -90, 90]
    np.testing.assert_allclose(
        cameras[0].translation, [4.1129121, 0.6264929, 1.5452988]
    )
    with pytest.raises(ValueError, match="no intrinsics"):
        projected_pixels(np.zeros((1, 3), np.float32), cameras[0])
    with pytest.raises(ValueError, match="subject is 'Train/S4'"):
        humaneva_cameras("Train/S4")

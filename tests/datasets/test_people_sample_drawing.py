import time

import numpy as np
import pytest

from datasets.people_sample import drawing, wardrobe
from datasets.people_sample.bodies import rest_joints
from datasets.people_sample.cameras import CAMERAS, project
from datasets.people_sample.crops import full_shots
from datasets.people_sample.flow import forward_flow
from datasets.people_sample.motion import ACTIONS, FPS, motion
from datasets.people_sample.solids import FACE_RADII_M, person_solids
from datasets.people_sample.takes import draw, make_take
from datasets.people_sample.wardrobe import Cloth
from posejax.skeletons import H36M_32

PEOPLE = wardrobe.TRAIN + wardrobe.TEST
ACTION = {action.name: action for action in ACTIONS}


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_people_move_smoothly_with_rigid_bones_on_the_floor(action, person):
    times = np.arange(250) / FPS
    joints = motion(person.build, person.name, action, times).joints
    rest = rest_joints(person.build)
    for child, parent in enumerate(H36M_32.parents[1:], start=1):
        lengths = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
        expected = np.linalg.norm(rest[child] - rest[parent])
        np.testing.assert_allclose(lengths, expected, atol=1e-9)
    steps = np.linalg.norm(np.diff(joints, axis=0), axis=-1)
    assert steps.max() < 0.26, "metres between two frames"
    jerks = np.linalg.norm(np.diff(joints, 2, axis=0), axis=-1)
    assert jerks.max() < 0.1, "metres: change of a step from frame to frame"
    feet = joints[:, [3, 8], 2].min(axis=1) / person.build.size
    assert np.all(np.abs(feet - 0.085) < 0.005), "one foot is on the floor"
    assert np.abs(joints[:, 0, :2]).max() < 1.6, "metres: nobody leaves the room"


def test_a_frame_does_not_depend_on_the_frames_asked_with_it():
    person = PEOPLE[2]
    many = motion(person.build, person.name, ACTIONS[2], np.arange(5) / FPS)
    one = motion(person.build, person.name, ACTIONS[2], np.array([3]) / FPS)
    np.testing.assert_allclose(one.joints[0], many.joints[3], atol=1e-12)


def test_most_views_are_from_the_front():
    front = []
    for group in full_shots(128).values():
        for shots in group:
            for action in shots.actions:
                times = np.array(shots.frames) / FPS
                person = shots.person
                joints = motion(person.build, person.name, action, times).joints
                for camera in shots.cameras:
                    shoulders = project(camera, joints[:, [17, 25]])
                    front.append(shoulders[:, 0, 0] > shoulders[:, 1, 0])
    assert 0.65 < np.mean(np.concatenate(front)) < 0.8


def test_people_move_up_and_down_while_they_stand():
    times = np.arange(0, 10, 0.5)
    for person in wardrobe.TRAIN:
        standing = [action for action in ACTIONS if not action.walks]
        heights = np.concatenate(
            [
                motion(person.build, person.name, action, times).joints[:, 0, 2]
                for action in standing
            ]
        )
        assert heights.std() > 0.03, person.name
        assert heights.min() > 0.5, person.name


def test_people_differ_in_their_proportions():
    heights = [np.ptp(rest_joints(p.build)[:, 2]) for p in PEOPLE]
    widths = [rest_joints(p.build)[25, 0] for p in PEOPLE]
    assert max(heights) / min(heights) > 1.1
    assert max(widths) / min(widths) > 1.1


def test_rays_hit_the_rounded_cone_where_its_spheres_begin():
    rng = np.random.default_rng(0)
    rays = rng.normal(0, 0.25, (3, 20, 30))
    rays[0] += 1.0
    start, height, radii = np.array([-2.0, 0.1, 0.2]), 0.7, np.array([0.3, 0.12])
    depths = drawing._cone_depths(start, rays, height, radii)
    share = np.linspace(0, 1, 401)
    centers = np.stack([0 * share, 0 * share, share * height], axis=-1)
    reach = radii[0] + share * (radii[1] - radii[0])

    def distance(depth):
        points = start + depth * np.moveaxis(rays, 0, -1)
        gaps = np.linalg.norm(points[..., None, :] - centers, axis=-1) - reach
        return gaps.min(axis=-1)

    hit = np.isfinite(depths)
    assert 100 < hit.sum() < 550
    at_hit = distance(np.where(hit, depths, 0)[..., None])
    np.testing.assert_allclose(at_hit[hit], 0, atol=1e-4)
    for depth in np.linspace(0.5, 4, 25):
        before = depth < np.where(hit, depths, np.inf) - 0.01
        assert np.all(distance(depth)[before] > 0)


def seen(person, camera, yaw):
    """Draws a person in rest, turned by yaw."""
    solids = person_solids(person)
    turn = np.array(
        [[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]]
    )
    positions = rest_joints(person.build) @ turn.T + np.array([0, 0, 0.95])
    rotations = np.broadcast_to(turn, (32, 3, 3))
    return solids, drawing.visible_surface(solids, camera, positions, rotations)


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
def test_faces_are_seen_from_the_front_only(person):
    hits = []
    for yaw in (0.0, np.pi):
        solids, surface = seen(person, CAMERAS[1], yaw)
        head = np.where(solids.radii[:, 0] == 1.0)[0]
        face = [i for i in head if np.allclose(np.diag(solids.axes[i]), FACE_RADII_M)]
        hits.append(np.isin(surface.solids, face).sum())
    assert hits[0] > 150
    assert hits[1] < 0.1 * hits[0]


def test_clothes_have_other_colours_than_the_wall_behind_them():
    for person in PEOPLE:
        take = make_take(person, ACTION["Waiting"], np.array([20]))
        frame = draw(take, 0, CAMERAS[1])
        room = draw(
            make_take(PEOPLE[0], ACTION["Waiting"], np.array([20])), 0, CAMERAS[2]
        )
        assert room.image.std() > 20
        inside = frame.image[frame.mask].astype(float)
        rows, columns = np.nonzero(frame.mask)
        ring = frame.image[
            rows.min() : rows.max(), columns.min() - 12 : columns.min() - 2
        ]
        gap = np.abs(inside - ring.reshape(-1, 3).mean(axis=0)).mean(axis=1)
        assert np.mean(gap > 20) > 0.7, person.name


def test_flow_takes_each_surface_point_to_where_it_is_seen_next():
    take = make_take(PEOPLE[1], ACTION["Walking"], np.array([70, 71]))
    camera = CAMERAS[2]
    now, later = (draw(take, i, camera) for i in (0, 1))
    poses = [(take.motion.joints[i], take.motion.rotations[i]) for i in (0, 1)]
    flow = forward_flow(take.solids, camera, now.surface, now.mask, *poses)

    def body_points(frame):
        surface, points = frame.surface, np.full((256, 256, 3), np.nan)
        full = np.full((*surface.hits.shape, 3), np.nan)
        full[surface.hits] = drawing.rest_places(take.solids, surface)
        rows, columns = surface.hits.shape[:2]
        points[
            surface.top : surface.top + rows, surface.left : surface.left + columns
        ] = full[:, :, 0, 0]
        return points

    first, second = body_points(now), body_points(later)
    rows, columns = np.nonzero(now.mask & np.isfinite(first[..., 0]))
    moved = np.rint(np.stack([columns, rows], -1) + flow[rows, columns]).astype(int)
    gaps = np.linalg.norm(
        first[rows, columns] - second[moved[:, 1], moved[:, 0]], axis=-1
    )
    assert np.linalg.norm(flow[rows, columns], axis=-1).max() > 2
    # 2 cm are about a pixel and a half; the rest is hidden in one of the frames.
    assert np.mean(gaps < 0.02) > 0.8


def test_flow_at_a_visible_joint_is_the_motion_of_the_joint():
    gaps = []
    for person in PEOPLE[:3]:
        take = make_take(person, ACTION["Greeting"], np.arange(60, 64))
        for camera in CAMERAS[:2]:
            pixels = project(camera, take.motion.joints)
            for i in range(3):
                frame = draw(take, i, camera)
                poses = [
                    (take.motion.joints[k], take.motion.rotations[k])
                    for k in (i, i + 1)
                ]
                flow = forward_flow(
                    take.solids, camera, frame.surface, frame.mask, *poses
                )
                for joint in (2, 7, 18, 26, 19, 27):
                    x, y = np.rint(pixels[i, joint]).astype(int)
                    if not _is_seen(take, frame, joint, x, y):
                        continue
                    moved = pixels[i + 1, joint] - pixels[i, joint]
                    gaps.append(np.abs(flow[y, x] - moved).max())
    assert len(gaps) > 30
    # The skin of a limb that turns about a resting joint moves a little.
    assert np.quantile(gaps, 0.9) < 1.0
    assert np.max(gaps) < 2.0


def _is_seen(take, frame, joint, x, y) -> bool:
    surface = frame.surface
    index = np.full(surface.hits.shape, -1)
    index[surface.hits] = surface.solids
    solid = index[y - surface.top, x - surface.left, 0, 0]
    limb = (joint, H36M_32.parents[joint])
    return bool(solid >= 0 and take.solids.joints[solid] in limb)


def test_the_sample_is_drawn_fast_enough_for_its_minute():
    take = make_take(PEOPLE[0], ACTION["Posing"], np.arange(0, 100, 10))
    draw(take, 0, CAMERAS[0])
    start = time.process_time()
    for i in range(10):
        draw(take, i, CAMERAS[0])
    per_frame = (time.process_time() - start) / 10
    shots = [shots for group in full_shots(128).values() for shots in group]
    frames = sum(len(s.actions) * len(s.cameras) * len(s.frames) for s in shots)
    assert frames == 3160
    assert per_frame * frames / 2 < 60, "seconds for the whole set on two cores"


def test_an_unknown_pattern_is_refused_by_name():
    with pytest.raises(ValueError, match=r"pattern is 'dots'; expected 'plain'"):
        drawing._cloth_colours(
            Cloth((1.0, 0.0, 0.0), pattern="dots"), np.zeros((1, 3)), np.zeros(3)
        )

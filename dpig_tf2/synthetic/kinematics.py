"""Joint positions and keypoints of a pose.

Camera space: x to the image's right, y up, z toward the camera, in body heights, the origin on the
ground below the hips. The projection is parallel, so a body height is one length everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dpig_tf2.synthetic.factors import Arm, Leg, Pose
from dpig_tf2.synthetic.volumes import Volume

# OpenPose COCO-18 order; right and left are the person's own.
KEYPOINT_ORDER = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
SIDES = {"right": -1.0, "left": 1.0}

# Segment lengths and half breadths in body heights.
TORSO, NECK, HEAD_UP = 0.295, 0.03, 0.095
UPPER_ARM, FOREARM, HAND = 0.165, 0.145, 0.045
THIGH, SHIN, ANKLE_HEIGHT, FOOT = 0.245, 0.235, 0.04, 0.085
SHOULDER_BREADTH, HIP_BREADTH = 0.098, 0.055
HEAD_BREADTH, HEAD_DEPTH, HEAD_HEIGHT = 0.048, 0.055, 0.068
FOOT_RADIUS = 0.024
# The camera looks down a little, as a surveillance camera does.
CAMERA_PITCH = 0.14

# Where face keypoints sit in the head: (left, up, forward) in units of its half axes.
_FACE = {
    "nose": (0.0, -0.12, 1.0),
    "right_eye": (-0.40, 0.14, 0.88),
    "left_eye": (0.40, 0.14, 0.88),
    "right_ear": (-0.94, 0.0, -0.05),
    "left_ear": (0.94, 0.0, -0.05),
}
# A face keypoint is seen while its direction from the head's middle turns this far to the camera.
_FACE_LIMIT = {
    "nose": -0.1,
    "right_eye": 0.05,
    "left_eye": 0.05,
    "right_ear": -0.4,
    "left_ear": -0.4,
}
# How much flesh, in body heights, may lie in front of a joint that is still seen. Hips are found
# through the torso unless it is seen edge on; neck and shoulders lie at its outline, never hidden.
_HIDING_DEPTH = {
    "elbow": 0.125,
    "wrist": 0.11,
    "hip": 0.135,
    "knee": 0.11,
    "ankle": 0.1,
}


@dataclass(frozen=True)
class Skeleton:
    """A posed body in camera space.

    Attributes:
        joints: float64 [3] by name: the keypoints, and "hips", "chest", "head", and for each side
            "hand" and "toe".
        facing: direction the body faces; 0 toward the camera, pi / 2 to the image's right.
        head_facing: the same of the head.
        axes, head_axes: float64 [3, 3], columns left, up, forward of the hips and of the head.
    """

    joints: dict[str, np.ndarray]
    facing: float
    head_facing: float
    axes: np.ndarray
    head_axes: np.ndarray


def skeleton(pose: Pose) -> Skeleton:
    """The joints of a pose, with the lower foot on the ground."""
    joints = _body_joints(pose)
    lowest = min(
        min(joints[f"{side}_ankle"][1] - ANKLE_HEIGHT, joints[f"{side}_toe"][1] - FOOT_RADIUS)
        for side in SIDES
    )
    camera = _camera_rotation(pose.yaw)
    ground = np.array([0.0, lowest, 0.0])
    return Skeleton(
        joints={name: camera @ (joint - ground) for name, joint in joints.items()},
        facing=pose.yaw,
        head_facing=pose.yaw + pose.head_turn,
        axes=camera,
        head_axes=camera @ _yaw_rotation(pose.head_turn) @ _nod_rotation(pose.nod),
    )


def project(points: np.ndarray, pose: Pose, height: int, width: int) -> np.ndarray:
    """Camera-space points [..., 3] to float64 [..., 2] pixels (row, column)."""
    row = height * (pose.row - pose.scale * points[..., 1])
    column = width / 2 + height * (pose.column + pose.scale * points[..., 0])
    return np.stack([row, column], axis=-1)


def pose_keypoints(pose: Pose, height: int = 64, width: int = 32) -> np.ndarray:
    """Keypoints of a pose: what a keypoint detector would find, without its errors.

    They depend on nothing but the pose. A joint that the body hides or that lies outside the frame
    is missing.

    Args:
        pose: the pose.
        height, width: image size in pixels; columns are counted from the image's middle, so a
            wider image shows more to both sides.

    Returns:
        float32 [18, 3], pixels (row, column, visibility in {0, 1}), origin top left, OpenPose
        COCO-18 order; a missing keypoint is (0, 0, 0).
    """
    body = skeleton(pose)
    points = np.stack([body.joints[name] for name in KEYPOINT_ORDER])
    pixels = project(points, pose, height, width)
    inside = np.all((pixels >= 0) & (pixels <= (height - 1, width - 1)), axis=-1)
    visible = inside & ~_hidden(body)
    keypoints = np.concatenate([pixels, np.ones((len(points), 1))], axis=-1)
    return np.where(visible[:, None], keypoints, 0.0).astype(np.float32)


def body_volumes(body: Skeleton, build: float = 1.0) -> dict[str, Volume]:
    """The naked body: "torso", "neck", "head", and for each side "right_upper_arm" to "right_foot".

    `build` is a factor on the thickness of torso and limbs.
    """
    joints = body.joints
    spine = joints["chest"] - joints["hips"]
    up = spine / np.linalg.norm(spine)
    volumes = {
        "torso": Volume(
            start=joints["chest"] - 0.01 * up,
            end=joints["hips"] - 0.035 * up,
            knots=(0.0, 0.12, 0.35, 0.65, 0.88, 1.0),
            breadths=build * np.array([0.088, 0.108, 0.1, 0.083, 0.093, 0.094]),
            depths=build * np.array([0.045, 0.062, 0.072, 0.06, 0.07, 0.07]),
            caps=(0.3, 0.35),
            facing=body.facing,
        ),
        "neck": _limb(joints["chest"] - 0.01 * up, joints["head"], 0.027, 0.025, body.facing),
        "head": Volume(
            start=joints["head"] + 1e-3 * up,
            end=joints["head"] - 1e-3 * up,
            knots=(0.0, 1.0),
            breadths=np.full(2, HEAD_BREADTH),
            depths=np.full(2, HEAD_DEPTH),
            caps=(HEAD_HEIGHT / HEAD_BREADTH,) * 2,
            facing=body.head_facing,
        ),
    }
    for side in SIDES:
        volumes.update(_side_volumes(body, side, build))
    return volumes


def _side_volumes(body: Skeleton, side: str, build: float) -> dict[str, Volume]:
    """Arm and leg of one side."""
    joint = {name: body.joints[f"{side}_{name}"] for name in _SIDE_JOINTS}
    heel = joint["ankle"] - 0.22 * (joint["toe"] - joint["ankle"])
    heel[1] = min(heel[1], joint["ankle"][1]) - 0.012
    segments = {
        "upper_arm": (joint["shoulder"], joint["elbow"], 0.036 * build, 0.029 * build),
        "forearm": (joint["elbow"], joint["wrist"], 0.028 * build, 0.02 * build),
        "hand": (joint["wrist"], joint["hand"], 0.019, 0.016),
        "thigh": (joint["hip"], joint["knee"], 0.06 * build, 0.042 * build),
        "shin": (joint["knee"], joint["ankle"], 0.041 * build, 0.026 * build),
        "foot": (heel, joint["toe"], FOOT_RADIUS, 0.8 * FOOT_RADIUS),
    }
    return {f"{side}_{name}": _limb(*ends, body.facing) for name, ends in segments.items()}


_SIDE_JOINTS = ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "toe")


def _limb(start, end, start_radius: float, end_radius: float, facing: float) -> Volume:
    radii = np.array([start_radius, end_radius])
    return Volume(start, end, (0.0, 1.0), radii, radii, (1.0, 1.0), facing)


def _body_joints(pose: Pose) -> dict[str, np.ndarray]:
    """Joints in the person's own frame (left, up, forward), the hips' middle at the origin."""
    up = np.array([0.0, np.cos(pose.lean), np.sin(pose.lean)])
    head_up = np.array([0.0, np.cos(pose.lean / 2), np.sin(pose.lean / 2)])
    chest = TORSO * up
    head = chest + (NECK + HEAD_UP) * head_up + np.array([0.0, 0.0, 0.012])
    joints = {"hips": np.zeros(3), "chest": chest, "neck": chest, "head": head}
    joints.update(_face_joints(pose, head))
    for side, sign in SIDES.items():
        left = np.array([sign, 0.0, 0.0])
        arm: Arm = getattr(pose, f"{side}_arm")
        leg: Leg = getattr(pose, f"{side}_leg")
        joints.update(_arm_joints(side, sign, arm, chest + SHOULDER_BREADTH * left))
        joints.update(_leg_joints(side, sign, leg, HIP_BREADTH * left))
    return joints


def _face_joints(pose: Pose, head: np.ndarray) -> dict[str, np.ndarray]:
    axes = np.array([HEAD_BREADTH, HEAD_HEIGHT, HEAD_DEPTH])
    turn = _yaw_rotation(pose.head_turn) @ _nod_rotation(pose.nod)
    return {name: head + turn @ (axes * offset) for name, offset in _FACE.items()}


def _arm_joints(side: str, sign: float, arm: Arm, shoulder: np.ndarray) -> dict[str, np.ndarray]:
    down = np.array([0.0, -1.0, 0.0])
    bent = np.array(
        [
            -sign * np.sin(arm.twist) * np.sin(arm.bend),
            -np.cos(arm.bend),
            np.cos(arm.twist) * np.sin(arm.bend),
        ]
    )
    turn = _spread_rotation(sign * arm.spread) @ _swing_rotation(arm.swing)
    elbow = shoulder + UPPER_ARM * (turn @ down)
    wrist = elbow + FOREARM * (turn @ bent)
    hand = wrist + HAND * (turn @ bent)
    return {
        f"{side}_shoulder": shoulder,
        f"{side}_elbow": elbow,
        f"{side}_wrist": wrist,
        f"{side}_hand": hand,
    }


def _leg_joints(side: str, sign: float, leg: Leg, hip: np.ndarray) -> dict[str, np.ndarray]:
    down = np.array([0.0, -1.0, 0.0])
    spread = _spread_rotation(sign * leg.spread)
    knee = hip + THIGH * (spread @ _swing_rotation(leg.swing) @ down)
    ankle = knee + SHIN * (spread @ _swing_rotation(leg.swing - leg.bend) @ down)
    # The trailing foot rolls over its toes, the leading one lands on its heel.
    pitch = np.clip(0.8 * (leg.swing - leg.bend), -0.9, 0.3)
    toe = ankle + FOOT * np.array([0.25 * sign, np.sin(pitch) - 0.2, np.cos(pitch)])
    return {f"{side}_hip": hip, f"{side}_knee": knee, f"{side}_ankle": ankle, f"{side}_toe": toe}


def _hidden(body: Skeleton) -> np.ndarray:
    """bool [18]: keypoints that the body itself hides from the camera."""
    volumes = body_volumes(body)
    hidden = np.zeros(len(KEYPOINT_ORDER), bool)
    for index, name in enumerate(KEYPOINT_ORDER):
        joint = body.joints[name]
        if name in _FACE:
            hidden[index] = _turned_away(joint - body.joints["head"], _FACE_LIMIT[name])
        elif (margin := _HIDING_DEPTH.get(name.partition("_")[2])) is not None:
            hidden[index] = any(
                volumes[occluder].depth_in_front(joint) > margin for occluder in _occluders(name)
            )
    return hidden


def _turned_away(direction: np.ndarray, limit: float) -> bool:
    return direction[2] < limit * np.linalg.norm(direction)


def _occluders(name: str) -> tuple[str, ...]:
    """Parts that can hide a joint: the torso, and for knees and ankles the other leg."""
    side, _, joint = name.partition("_")
    if joint in ("knee", "ankle"):
        other = "left" if side == "right" else "right"
        return (f"{other}_thigh", f"{other}_shin")
    return ("torso", "head") if joint in ("elbow", "wrist") else ("torso",)


def _camera_rotation(yaw: float) -> np.ndarray:
    """Person frame (left, up, forward) to camera space."""
    cos, sin = np.cos(CAMERA_PITCH), np.sin(CAMERA_PITCH)
    pitch = np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])
    return pitch @ _yaw_rotation(yaw)


def _yaw_rotation(angle: float) -> np.ndarray:
    """Turns forward (z) toward left (x)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])


def _nod_rotation(angle: float) -> np.ndarray:
    """Turns forward (z) downward."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])


def _swing_rotation(angle: float) -> np.ndarray:
    """Turns down (-y) forward (z)."""
    return _nod_rotation(-angle)


def _spread_rotation(angle: float) -> np.ndarray:
    """Turns down (-y) to the left (x)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])

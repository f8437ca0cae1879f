"""Sampling poses: the gait, the direction of view, and how the frame cuts the person."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from dpig_tf2.synthetic.factors import Arm, Leg, Pose

_GAITS = {"walking": 0.6, "standing": 0.4}
_GESTURES = {
    "free": 0.6,
    "hand on hip": 0.08,
    "phone": 0.09,
    "raised": 0.08,
    "crossed": 0.06,
    "behind the back": 0.05,
    "spread": 0.04,
}
_FRAMINGS = {"whole": 0.83, "legs cut": 0.08, "side cut": 0.05, "far": 0.04}


def sample_pose(rng: np.random.Generator) -> Pose:
    """A random pose: gait, gesture, direction of view and place in the frame."""
    pose = _sample_legs(rng, _choice(rng, _GAITS))
    pose = _sample_gesture(rng, pose, _choice(rng, _GESTURES))
    pose = _sample_view(rng, pose)
    return _sample_framing(rng, pose, _choice(rng, _FRAMINGS))


def _sample_legs(rng: np.random.Generator, gait: str) -> Pose:
    """Legs and freely swinging arms, in the middle of the frame, facing the camera."""
    phase = rng.uniform(0, 2 * math.pi)
    stride = rng.uniform(0.3, 0.6) if gait == "walking" else rng.uniform(0.0, 0.07)
    lift = rng.uniform(0.5, 0.9) if gait == "walking" else rng.uniform(0.0, 0.1)
    swing = stride * math.sin(phase)
    arm_swing = rng.uniform(0.6, 1.1)
    spread = rng.uniform(0.0, 0.06) if gait == "walking" else rng.uniform(0.02, 0.16)
    return Pose(
        yaw=0.0,
        lean=rng.uniform(-0.02, 0.12),
        head_turn=0.0,
        nod=rng.uniform(-0.08, 0.3),
        right_arm=_hanging_arm(rng, -arm_swing * swing),
        left_arm=_hanging_arm(rng, arm_swing * swing),
        right_leg=Leg(swing, spread, _knee(phase, lift)),
        left_leg=Leg(-swing, spread, _knee(phase + math.pi, lift)),
        scale=1.0,
        row=1.0,
        column=0.0,
    )


def _knee(phase: float, lift: float) -> float:
    """Bend of a knee: greatest while its leg comes forward, a little always."""
    return 0.06 + lift * max(0.0, math.cos(phase)) ** 2


def _hanging_arm(rng: np.random.Generator, swing: float) -> Arm:
    return Arm(swing, rng.uniform(0.06, 0.24), rng.uniform(0.1, 0.5), rng.uniform(0.0, 0.5))


def _sample_gesture(rng: np.random.Generator, pose: Pose, gesture: str) -> Pose:
    sides = ("right_arm", "left_arm")
    both = sides if gesture in ("crossed", "behind the back", "spread") else None
    chosen = both or (sides if rng.random() < 0.3 else (sides[rng.integers(2)],))
    if gesture == "free":
        return pose
    return dataclasses.replace(pose, **{side: _gesture_arm(rng, gesture) for side in chosen})


def _gesture_arm(rng: np.random.Generator, gesture: str) -> Arm:
    """One arm of a gesture; angles are (lowest, highest) of swing, spread, bend and twist."""
    ranges = {
        "hand on hip": ((-0.4, -0.1), (0.75, 0.95), (1.5, 1.75), (1.2, 1.5)),
        "phone": ((0.3, 0.7), (0.1, 0.3), (1.9, 2.4), (0.1, 0.5)),
        "raised": ((0.2, 0.8), (1.9, 2.7), (0.0, 0.6), (-0.3, 0.3)),
        "crossed": ((0.4, 0.55), (0.1, 0.2), (1.5, 1.7), (1.0, 1.25)),
        "behind the back": ((-0.6, -0.4), (0.15, 0.3), (0.9, 1.2), (1.9, 2.2)),
        "spread": ((-0.1, 0.3), (0.7, 1.2), (0.1, 0.5), (0.0, 0.3)),
    }[gesture]
    return Arm(*(float(rng.uniform(low, high)) for low, high in ranges))


def _sample_view(rng: np.random.Generator, pose: Pose) -> Pose:
    yaw = rng.uniform(-math.pi, math.pi)
    turn = rng.uniform(-0.25, 0.25) if rng.random() < 0.75 else rng.uniform(-1.0, 1.0)
    return dataclasses.replace(pose, yaw=yaw, head_turn=turn)


def _sample_framing(rng: np.random.Generator, pose: Pose, framing: str) -> Pose:
    scale, row = rng.uniform(0.8, 0.9), rng.uniform(0.93, 0.975)
    column = rng.uniform(-0.035, 0.035)
    if framing == "legs cut":
        scale = rng.uniform(1.1, 1.45)
        row = scale + rng.uniform(0.03, 0.1)
    elif framing == "side cut":
        column = rng.choice((-1.0, 1.0)) * rng.uniform(0.13, 0.2)
    elif framing == "far":
        scale, row = rng.uniform(0.64, 0.76), rng.uniform(0.86, 0.94)
    return dataclasses.replace(pose, scale=float(scale), row=float(row), column=float(column))


def _choice(rng: np.random.Generator, weights: dict[str, float]) -> str:
    return list(weights)[rng.choice(len(weights), p=np.array(list(weights.values())))]

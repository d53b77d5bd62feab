"""codes.py: numbers, their documentation, and what ranges mean."""

import ast
import inspect
import itertools
from enum import IntEnum

import pytest

from hawser_engine import codes
from hawser_engine.codes import CloseCode, ErrorCode, GapReason, ResetReason, SubscribeStatus, close_advice


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (0, (True, True)),
        (99, (True, True)),
        (100, (True, True)),
        (199, (True, True)),
        (200, (True, False)),
        (299, (True, False)),
        (300, (False, False)),
        (399, (False, False)),
        (400, (True, True)),
        (2**53, (True, True)),
    ],
)
def test_a_range_says_whether_to_come_back_and_whether_to_resume(code: int, advice: tuple[bool, bool]) -> None:
    """SPEC CLS-2."""
    assert close_advice(code) == advice


def test_a_code_knows_its_own_advice() -> None:
    assert CloseCode.GOING_AWAY.advice == (True, True)
    assert CloseCode.SESSION_ENDED.advice == (True, False)
    assert CloseCode.SUPERSEDED.advice == (False, False)


@pytest.mark.parametrize("registry", [CloseCode, ResetReason, ErrorCode, SubscribeStatus, GapReason])
def test_every_number_is_explained(registry: type[IntEnum]) -> None:
    tree = ast.parse(inspect.getsource(codes))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == registry.__name__)
    members = {
        target.id
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    explained: set[str] = set()
    for node, following in itertools.pairwise(body):
        documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if documented and isinstance(node, ast.Assign):
            explained |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    assert members == explained == set(registry.__members__)

"""Judge the present condition of the night: what is silent, what waits, when the work ends, and how bad that is."""

from db.condition.condition import ConditionProblem, Level, SystemCondition, part_problems, read_condition
from db.condition.deadline import Outlook, Verdict
from db.condition.headline import headline, remedies
from db.condition.parts import Part, PartState, read_parts
from db.condition.waiting import WaitingWork

__all__ = [
    "ConditionProblem",
    "Level",
    "Outlook",
    "Part",
    "PartState",
    "SystemCondition",
    "Verdict",
    "WaitingWork",
    "headline",
    "part_problems",
    "read_condition",
    "read_parts",
    "remedies",
]

"""The mutation tool lists the changes of a source, finds the tests that concern them, and keeps verdicts."""

import ast
from pathlib import Path

import pytest
from mutants.calls import CallMap
from mutants.results import Results, load_equivalent
from mutants.sites import Mutant, mutants_of, users_of
from mutants.trial import Verdict, verdict_of


def changes(source: str) -> list[str]:
    return [mutant.change for mutant in mutants_of("a.py", source)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a < b", ["a < b -> a <= b"]),
        ("a is None", ["a is None -> a is not None"]),
        ("a and b", ["a and b -> a or b", "a and b -> b", "a and b -> a"]),
        ("not a", ["not a -> a"]),
        ("a + b", ["a + b -> a - b"]),
        ("True", ["True -> False"]),
        ("2", ["2 -> 3", "2 -> 1"]),
        ("0", ["0 -> 1"]),
        ("0.5", ["0.5 -> 1.0"]),
        ("b if a else c", ["b if a else c -> b", "b if a else c -> c"]),
        ("f(a, b=c)", ["f() without b=c"]),
        ("bindparam(a, expanding=True)", []),
        ("case(a, else_=None)", []),
        ("q.where(a, b)", ["where() without a", "where() without b"]),
        ("max(a)", ["max() -> min()"]),
        ("a.startswith(b)", [".startswith() -> .endswith()"]),
        ("a[b:]", ["b: -> :"]),
        ("{'a': b}", ["dict without 'a': b"]),
        ("[a, b]", ["list without a", "list without b"]),
        ("a in (b, c)", ["a in (b, c) -> a not in (b, c)", "list without b", "list without c"]),
        ("[a for a in b if c]", ["for ... if c -> True"]),
        ("(a, b)", []),
        ("'text'", []),
        ("f'{a + 1}'", []),
    ],
)
def test_the_changes_of_an_expression(expression: str, expected: list[str]) -> None:
    """Texts and tuples of a fixed length are not changed."""
    assert changes(f"def f():\n    return {expression}\n") == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("if a: g()", ["if a -> True", "if a -> False", "without: g()"]),
        ("while a: g()", ["while a -> False", "without: g()"]),
        ("a.b = c", ["without: a.b = c"]),
        ("a = c", []),
        ("a += c", ["without: a += c", "a += c -> plain assignment"]),
        ("raise E(1 + 1)", ["without: raise E(1 + 1)"]),
        ("with a: g()", ["without: with a:", "without: g()"]),
        ("log.warning('x', extra={'a': 1})", []),
        ("a: dict[str, int | None] = c", []),
    ],
)
def test_the_changes_of_a_statement(statement: str, expected: list[str]) -> None:
    """Log entries and annotations are not changed."""
    assert changes(f"def f():\n    {statement}\n") == expected


def test_code_outside_functions_is_changed_and_declarations_are_not() -> None:
    """A decorated function is changed too; its decorator is not."""
    source = (
        '"""Text."""\nimport a\n__all__ = ["b", "c"]\nB = tuple[int, str]\nLIMIT = 3\n'
        '@cache(size=1)\ndef f():\n    """Text."""\n    return 0\n'
    )
    found = mutants_of("a.py", source)
    assert [mutant.identity for mutant in found] == ["LIMIT: 3 -> 4", "LIMIT: 3 -> 2", "f: 0 -> 1"]
    assert [mutant.line for mutant in found] == [5, 5, 9]


def test_a_mutant_is_the_module_with_one_change() -> None:
    """The other mutants and the source itself stay as they are."""
    first, second = mutants_of("a.py", "def f(a):\n    return a < 1 and a\n")[3:5]
    results = []
    for mutant in (first, second, first):
        space: dict[str, object] = {}
        exec(mutant.code("a.py"), space)  # noqa: S102 - the code is that of this test
        results.append([space["f"](a) for a in (0, 1, 2)])  # type: ignore[operator]
    assert [mutant.change for mutant in (first, second)] == ["a < 1 -> a <= 1", "1 -> 2"]
    assert results == [[0, 1, False], [0, 1, False], [0, 1, False]]


def test_equal_changes_are_numbered() -> None:
    """Each has a name of its own in its function."""
    assert changes("def f(a):\n    return g(1, 1)\n") == ["1 -> 2", "1 -> 2 #2"]


def test_a_name_is_used_directly_or_through_other_names() -> None:
    """`_ROWS` is built from `_LIMIT`, and `f` uses `_ROWS`."""
    source = (
        "_LIMIT = 1\n_ROWS = g(_LIMIT)\n_OTHER = 2\ndef f(): return _ROWS\nclass A:\n    def m(self): return _OTHER\n"
    )
    assert users_of(ast.parse(source), frozenset({"_LIMIT"})) == {"f"}
    assert users_of(ast.parse(source), frozenset({"_OTHER"})) == {"A.m"}


def test_a_mutant_is_tried_with_the_tests_that_call_its_function() -> None:
    """The quickest comes first. A statement that no function uses is tried with all tests."""
    calls = CallMap(seconds={"slow": 2.0, "quick": 1.0, "other": 0.5}, callers={"a.py:f": ["slow", "quick"]})
    in_function, used, unused = mutants_of("a.py", "A = 0\nB = 0\ndef f(): return A < x\n")[::-1]
    assert calls.tests_for(in_function) == ["quick", "slow"]
    assert calls.tests_for(unused) == ["quick", "slow"]
    assert calls.tests_for(used) == ["other", "quick", "slow"]


def test_tests_of_speed_are_not_used() -> None:
    """They fail on a busy machine, whatever the mutant is."""
    calls = CallMap(seconds={"a::quick": 1.0, "a::speed": 0.5}, callers={"a.py:f": ["a::quick", "a::speed"]})
    left = calls.without(("speed", "races"))
    assert (left.seconds, left.callers) == ({"a::quick": 1.0}, {"a.py:f": ["a::quick"]})


def test_a_verdict_is_valid_until_its_function_or_its_tests_change(tmp_path: Path) -> None:
    """New tests change nothing for a mutant that was noticed."""
    one, two = mutants_of("a.py", "def f(): return a < b\ndef g(): return a < b\n")
    results = Results(tmp_path, "a.py", "tests 1")
    results.add(one, Verdict.KILLED)
    results.add(two, Verdict.SURVIVED)
    again, other = Results(tmp_path, "a.py", "tests 1"), Results(tmp_path, "a.py", "tests 2")
    assert [again.verdict(one), again.verdict(two)] == [Verdict.KILLED, Verdict.SURVIVED]
    assert [other.verdict(one), other.verdict(two)] == [Verdict.KILLED, None]
    (changed,) = mutants_of("a.py", "def f(): return (a < b) or c\n")[-1:]
    (same_words,) = mutants_of("a.py", "def f(): return h(a < b)\n")
    assert again.verdict(changed) is None
    assert again.verdict(same_words) is None


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(0, Verdict.SURVIVED), (1 << 8, Verdict.KILLED), (4 << 8, Verdict.KILLED), (9, Verdict.TIMEOUT)],
)
def test_an_exit_status_is_a_verdict(status: int, verdict: Verdict) -> None:
    """Tests that cannot even be imported notice the change; a signal ends tests that hang."""
    assert verdict_of(status) is verdict


@pytest.mark.parametrize("code", [5, 99])
def test_a_trial_without_tests_is_an_error(code: int) -> None:
    """It says nothing about the mutant."""
    with pytest.raises(RuntimeError, match=f"exit code {code}"):
        verdict_of(code << 8)


def test_each_equivalent_mutant_exists_and_has_a_reason() -> None:
    """One sentence at least. `make mutants` stops at a mutant that a change of its module has removed."""
    for module, equivalent in load_equivalent().items():
        source = (Path(__file__).parents[2] / module).read_text("utf-8")
        assert sorted(equivalent.keys() - {mutant.identity for mutant in mutants_of(module, source)}) == [], module
        for identity, reason in equivalent.items():
            assert len(reason) > 20, f"{module}: {identity}"


def test_the_identity_of_a_mutant_is_unique_in_its_module() -> None:
    """Results and the list of equivalent mutants rely on it."""
    source = Path(__file__).parents[2] / "db" / "ledger" / "outcomes.py"
    mutants: list[Mutant] = mutants_of("db/ledger/outcomes.py", source.read_text("utf-8"))
    assert len({mutant.identity for mutant in mutants}) == len(mutants) > 100

"""filters.py: what a filter is, what it means, and that nothing else is one."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser_engine.channels.filters import (
    MAX_DEPTH,
    MAX_LOOKS,
    NO_TAGS,
    AllOf,
    Among,
    AnyOf,
    Compared,
    Expression,
    FilterError,
    Not,
    Present,
    Tags,
    Value,
    parse_filter,
)
from tests.engine.channels.counted import Counted

TAGS = {"kind": "news", "score": "2.50", "zero": "-0", "empty": "", "in": "reserved", "ä ö": "umlaut"}


def passes(text: str, tags: Mapping[str, str]) -> bool:
    """Whether a publication with these tags passes a filter."""
    return parse_filter(text).matches(Tags(tags))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        # FLT-1, FLT-2: words, precedence, spaces.
        ("kind", True),
        ("other", False),
        ('"ä ö"', True),
        ('"in"', True),
        ("not other", True),
        ("not not kind", True),
        ("other or kind", True),
        ("other or other", False),
        ("kind and other", False),
        ("kind and score", True),
        ("kind or kind and other", True),
        ("(kind or kind) and other", False),
        ("not other and other", False),
        ("not (other and other)", True),
        (' \t\n kind==\n"news" ', True),
        # FLT-3: a tag that is not there stands in no relation, so != holds.
        ('kind == "news"', True),
        ('kind == "New"', False),
        ('kind != "news"', False),
        ('kind != "sports"', True),
        ('other == ""', False),
        ('other != "x"', True),
        ('other < "x"', False),
        ('not other < "x"', True),
        ('empty == ""', True),
        ('kind < "newt"', True),
        ('kind <= "news"', True),
        ('kind > "news"', False),
        ('kind >= "news"', True),
        ('kind in ("sports", "news")', True),
        ('kind in ("sports")', False),
        ('other in ("sports")', False),
        ('not other in ("sports")', True),
        (r'kind == "a \"quoted\" \\ word"', False),
        # FLT-4: numbers are compared as numbers, texts as texts.
        ("score == 2.5", True),
        ('score == "2.5"', False),
        ("score != 2.5", False),
        ("score != 3", True),
        ("score < 10", True),
        ('score < "10"', False),
        ("score <= 2.5", True),
        ("score > -1", True),
        ("score >= 2.51", False),
        ("zero == 0", True),
        ("kind == 0", False),
        ("kind != 0", True),
        ("kind < 0 or kind >= 0", False),
        ("empty == 0", False),
        ("score in (1, 2.5)", True),
        ('score in ("2.5", 3)', False),
        ('score in ("2.50", 3)', True),
        ("kind in (1, 2)", False),
    ],
)
def test_a_filter_means_what_it_says(text: str, holds: bool) -> None:
    """SPEC FLT-1 to FLT-4."""
    assert passes(text, TAGS) is holds
    assert parse_filter(text).text == text


@pytest.mark.parametrize(
    ("text", "holds"), [("1", True), ("-1.5", True), ("01", True), *((wrong, False) for wrong in ("", "-", "1.", ".5"))]
)
def test_a_tag_is_a_number_if_it_is_written_like_one(text: str, holds: bool) -> None:
    """SPEC FLT-4."""
    assert passes("n < 2", {"n": text}) is holds
    for wrong in (
        f"{text} ",
        f"+{text}",
        f"{text}e0",
        f"{text}.",
        f"{text}x",
        f"--{text}",
        "٣",
        "²",
        "1.²",
        "nan",
        "1_0",
    ):
        assert not passes("n < 99", {"n": wrong})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "1 to 1024 bytes, this one has 0"),
        ("x" * 1_025, "this one has 1025"),
        ("é" * 513, "this one has 1026"),
        ("   ", "saw the end, expected a tag"),
        ("kind ==", "saw the end, expected a text in double quotes or a number"),
        ("kind == news", "saw 'news' at 8, expected a text in double quotes or a number"),
        ("== 1", "saw '==' at 0, expected a tag"),
        ("1 == kind", "saw '1' at 0, expected a tag"),
        ("kind kind", "saw 'kind' at 5, expected and, or, or the end"),
        ('"kind" "kind"', "saw 'kind' at 7, expected and, or, or the end"),
        ('"and" and and', "saw 'and' at 10, expected a tag"),
        ("(kind", "saw the end, expected ')'"),
        ("kind)", "saw ')' at 4, expected and, or, or the end"),
        ('"(" == (1)', "saw '(' at 7, expected a text in double quotes or a number"),
        ("kind in ()", "saw ')' at 9, expected a text in double quotes or a number"),
        ("kind in 1", "saw '1' at 8, expected '('"),
        ("kind in (1,)", "saw ')' at 11, expected a text in double quotes or a number"),
        ("kind in (1 2)", "saw '2' at 11, expected ')'"),
        ("kind == true", "or a number; there are no booleans, for tags are texts"),
        ("kind in (False)", "or a number; there are no booleans, for tags are texts"),
        ("kind == 'news'", 'saw "\'" at 8, which has no meaning in a filter; texts stand in double quotes'),
        ("kind = 1", "saw '=' at 5, which has no meaning in a filter"),
        ("kind =~ 1", "saw '=' at 5, which has no meaning in a filter"),
        ("kind == 1.", "saw no number at 8"),
        ("kind == -", "saw no number at 8"),
        ('kind == "news', 'the text that begins at 8 has no " at its end'),
        (r'kind == "\n"', "saw 'n' at 10, expected \" or \\ behind a \\"),
        ('kind == "\\', "saw '' at 10"),
        ("ä", "saw 'ä' at 0, which has no meaning in a filter"),
        ('kind == "\ud800"', "saw half of a character at 9"),
    ],
)
def test_what_is_no_filter_is_refused_and_told_why(text: str, complaint: str) -> None:
    """SPEC FLT-1, FLT-2."""
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(("before", "behind"), [("not ", ""), ("(", ")")])
def test_depth_is_bounded(before: str, behind: str) -> None:
    """SPEC FLT-2."""
    most = before * MAX_DEPTH + "x" + behind * MAX_DEPTH
    assert passes(most, {"x": ""})
    assert passes(f"{most} and {most}", {"x": ""})
    with pytest.raises(FilterError, match="at most 8 deep"):
        parse_filter(before + most + behind)


@pytest.mark.parametrize("look", ["x", "x != 1", "not x", "(x)", "x in (1, 2, 3, 4)"])
def test_looks_at_tags_are_bounded(look: str) -> None:
    """SPEC FLT-6."""
    most = " or ".join([look] * MAX_LOOKS)
    assert parse_filter(most).looks == MAX_LOOKS
    with pytest.raises(FilterError, match=f"at most 32 times .*, here at {len(most) + 4 + look.index('x')} once more"):
        parse_filter(f"{most} or {look}")


def test_a_tag_is_read_as_a_number_once_for_all_filters() -> None:
    """What a hundred filters cost is not a hundred times the reading of a long number."""
    filters = [parse_filter(" and ".join([f"n > {number}", "n in (81)"] * 16)) for number in range(100)]
    counted = Counted({"n": "81"})
    tags = Tags(counted)
    assert sum(each.matches(tags) for each in filters) == 81
    assert counted.asked == 1
    # Of what is not there nothing is kept, for a filter may ask for anything.
    for number in range(100):
        assert not parse_filter(f"m > {number}").matches(tags)
    assert counted.asked == 101
    assert tags.number("n") == 81


def test_filters_that_say_the_same_are_equal() -> None:
    """SPEC FLT-5: those who share one share bytes."""
    one, other = parse_filter("a == 1 or b"), parse_filter('"a"==1.0\nor(b)')
    assert one == other
    assert hash(one) == hash(other)
    assert one != parse_filter('a == "1" or b')
    assert one != parse_filter("b or a == 1")
    assert parse_filter("not not not a") == parse_filter("not a")
    assert parse_filter("not a != 1") == parse_filter("a == 1")


def test_a_publication_without_tags_has_none() -> None:
    assert not parse_filter("a").matches(NO_TAGS)
    assert parse_filter('a != "x"').matches(NO_TAGS)


def quoted(tag: str) -> str:
    return '"' + tag.replace("\\", "\\\\").replace('"', '\\"') + '"'


def as_text(expression: Expression) -> str:
    """Write an expression with every parenthesis that may stand there."""
    match expression:
        case Present():
            return quoted(expression.tag)
        case Compared():
            value = expression.value
            return f"{quoted(expression.tag)} {expression.sign} {quoted(value) if isinstance(value, str) else value}"
        case Among():
            values = [quoted(value) if isinstance(value, str) else str(value) for value in expression.values]
            return f"{quoted(expression.tag)} in ({', '.join(values)})"
        case Not():
            return f"not ({as_text(expression.of)})"
        case AllOf() | AnyOf():
            word = " and " if isinstance(expression, AllOf) else " or "
            return word.join(f"({as_text(each)})" for each in expression.of)


NAMES = st.sampled_from(["a", "b", 'c"\\', "é"])
VALUES: st.SearchStrategy[Value] = st.sampled_from(["", "x", "2", '"\\', -1.5, 0.0, 2.0])
LEAVES: st.SearchStrategy[Expression] = st.one_of(
    st.builds(Present, NAMES),
    st.builds(Compared, NAMES, st.sampled_from(["==", "<", "<=", ">", ">="]), VALUES),
    st.builds(Among, NAMES, st.lists(VALUES, min_size=1, max_size=3).map(tuple)),
)


def opposite(expression: Expression) -> Expression:
    return expression.of if isinstance(expression, Not) else Not(expression)


def grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return inner.map(opposite) | st.builds(AllOf, several) | st.builds(AnyOf, several)


def parts(expression: Expression) -> int:
    """Of how many parts an expression is made, each of which is asked at most once."""
    match expression:
        case Not():
            return 1 + parts(expression.of)
        case AllOf() | AnyOf():
            return 1 + sum(map(parts, expression.of))
        case _:
            return 1


@given(st.recursive(LEAVES, grown, max_leaves=6), st.dictionaries(NAMES, VALUES.map(str), max_size=4))
def test_what_is_written_is_read_again_and_holds_alike(expression: Expression, tags: dict[str, str]) -> None:
    """SPEC FLT-1."""
    text = as_text(expression)
    try:
        found = parse_filter(text)
    except FilterError as error:
        assert "deep" in str(error) or "bytes" in str(error)
        return
    assert found.expression == expression
    counted = Counted(tags)
    assert found.matches(Tags(counted)) is expression.holds(Tags(tags))
    # What it costs is bounded by its looks: a text or a number each (two where `in` has both), and parts between them.
    assert counted.asked <= 2 * found.looks
    assert parts(found.expression) <= 4 * found.looks


PIECES = st.sampled_from(["a", '"', "(", ")", "not ", " and ", "==", "1", "-", ",", " in ", "\\"])


@given(st.text(max_size=40) | st.lists(PIECES, max_size=20).map("".join))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    """SPEC FLT-1: and a filter always has an answer."""
    try:
        found = parse_filter(text)
    except FilterError:
        return
    assert passes(text, {"a": "1"}) in {True, False}
    assert parts(found.expression) <= 4 * found.looks <= 4 * MAX_LOOKS
    assert parse_filter(text) == found

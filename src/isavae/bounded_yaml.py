"""YAML of bounded size, depth and expansion, whose names occur once."""

import yaml

# Characters of a text, and parts of it, where an alias counts as what it stands for.
MOST_CHARACTERS, MOST_PARTS = 1 << 20, 100_000
# Bytes of a file with such a text, in UTF-8 and below a line with its checksum.
MOST_BYTES = 4 * MOST_CHARACTERS + 100
# Mappings and lists inside each other.
DEEPEST = 50
# Characters of a number: a long one takes minutes to be converted, and cannot be shown.
MOST_DIGITS = 400
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# What PyYAML raises besides its own errors for values that it cannot convert.
UNCONVERTIBLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


def compose(text: str) -> yaml.Node | None:
    """The nodes of a YAML text; None if it is empty.

    Raises:
        yaml.YAMLError: If it is not YAML, too large or too deep, a name occurs twice in a mapping,
            or a number is too long.
    """
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"it must have at most {MOST_CHARACTERS:,} characters")
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise yaml.YAMLError(f"it must not nest deeper than {DEEPEST} levels")
    root = yaml.compose(text, yaml.SafeLoader)
    if root is not None and _parts(root, {}) > MOST_PARTS:
        raise yaml.YAMLError(f"it must have at most {MOST_PARTS:,} parts")
    if root is not None:
        _check_names_and_numbers(root)
    return root


def load(text: str) -> object:
    """The values of a YAML text.

    Raises:
        yaml.YAMLError: If it is not YAML, too large or too deep, a name occurs twice in a mapping,
            or a value is none.
    """
    compose(text)
    try:
        return yaml.safe_load(text)
    except UNCONVERTIBLE as error:
        raise yaml.YAMLError(f"it must have values that can be converted ({error!r:.80})") from None


def explain(error: yaml.YAMLError, source: str) -> str:
    """What is wrong with the YAML of a source, with the line where it is known."""
    if isinstance(error, yaml.MarkedYAMLError):
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return f"{source}, line {line}: {error.problem or error.context}"
    return f"{source} must be YAML: {' '.join(str(error).split())}"


def _parts(node: yaml.Node, known: dict[int, int]) -> int:
    """The number of nodes in and below one; an alias counts as what it stands for."""
    if id(node) not in known:
        known[id(node)] = MOST_PARTS + 1  # met again on the way down, it contains itself
        inner = [node.value] if isinstance(node, yaml.SequenceNode) else []
        inner = node.value if isinstance(node, yaml.MappingNode) else inner
        known[id(node)] = 1 + sum(_parts(each, known) for group in inner for each in group)
    return known[id(node)]


def _check_names_and_numbers(node: yaml.Node) -> None:
    """Check that every name occurs once in its mapping, of which PyYAML would take the last.

    Also that no number is too long to be converted and shown.
    """
    if isinstance(node, yaml.ScalarNode):
        if node.tag in NUMBERS and len(node.value) > MOST_DIGITS:
            raise yaml.MarkedYAMLError(
                problem=f"a number must have at most {MOST_DIGITS} characters; one has "
                f"{len(node.value):,}: shorten it",
                problem_mark=node.start_mark,
            )
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):  # others are refused when they are converted
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"a name must occur once; {key.value!r:.80} occurs twice: remove "
                        "one",
                        problem_mark=key.start_mark,
                    )
                seen.add(key.value)
                _check_names_and_numbers(key)
                _check_names_and_numbers(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check_names_and_numbers(value)

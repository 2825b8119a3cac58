"""Matches paths against glob patterns in time bounded by their lengths, without a regular expression."""

from __future__ import annotations

__all__ = ["matches"]


def matches(pattern: str, path: str) -> bool:
    """Whether a path fits: `*` and `?` within a name, `[abc]` and `[!a-z]`, `**` for any number of folders.

    A pattern without a slash fits a name in any folder.
    """
    if "/" not in pattern:
        return _name_matches(pattern, path.rpartition("/")[2]) if pattern != "**" else True
    return _parts_match(pattern.strip("/").split("/"), path.split("/"))


def _parts_match(patterns: list[str], parts: list[str]) -> bool:
    # reachable[i]: the patterns so far can have used up the first i parts
    reachable = [True] + [False] * len(parts)
    for pattern in patterns:
        if pattern == "**":
            first = reachable.index(True) if True in reachable else len(reachable)
            reachable = [index >= first for index in range(len(reachable))]
        else:
            fits = [_name_matches(pattern, part) for part in parts]
            reachable = [False] + [was and fit for was, fit in zip(reachable, fits, strict=False)]
    return reachable[-1]


def _name_matches(pattern: str, name: str) -> bool:
    """Two pointers and the last star: a star that took too little takes one more."""
    tokens = _tokens(pattern)
    at = index = 0
    star = retry = -1
    while index < len(name):
        if at < len(tokens) and tokens[at] == "*":
            star, retry = at, index
            at += 1
        elif at < len(tokens) and _fits(tokens[at], name[index]):
            at += 1
            index += 1
        elif star >= 0:
            retry += 1
            at, index = star + 1, retry
        else:
            return False
    return tokens[at:].count("*") == len(tokens) - at


def _tokens(pattern: str) -> list[str]:
    """Single characters, `*`, `?`, and whole sets such as `[a-z]`; a bracket that is not closed stands for itself."""
    tokens = []
    index = 0
    while index < len(pattern):
        end = pattern.find("]", index + 2 + (pattern[index + 1 : index + 2] == "!")) if pattern[index] == "[" else -1
        token = pattern[index : end + 1] if end > 0 else pattern[index]
        tokens.append(token)
        index += len(token)
    return tokens


def _fits(token: str, character: str) -> bool:
    if len(token) == 1:
        return token in {"?", character}
    negated = token[1] == "!"
    return _in_set(token[2 if negated else 1 : -1], character) != negated


def _in_set(members: str, character: str) -> bool:
    index = 0
    while index < len(members):
        if members[index + 1 : index + 2] == "-" and index + 2 < len(members):
            if members[index] <= character <= members[index + 2]:
                return True
            index += 3
        else:
            if members[index] == character:
                return True
            index += 1
    return False

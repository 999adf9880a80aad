#!/usr/bin/env python3
"""The house rules as a test: layers, budgets, banned calls, and what must not be in files.

  tests/tidy/tidy.py             everything, with clang-format; exit code 1 if a rule is broken
  tests/tidy/tidy.py --no-format without clang-format
  tests/tidy/tidy.py --summary   counts by rule and module

tests/tidy/exceptions.txt lists `rule path` pairs that are let through. It only shrinks: an entry
that is not needed any more is an offence too.
"""

import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXCEPTIONS = ROOT / "tests/tidy/exceptions.txt"

LEVELS = {
    "core": 0,
    "store": 1, "state": 1, "parquet": 1,
    "record": 2, "queue": 2, "merge": 2, "table": 2,
    "journal": 3, "notify": 3, "catalog": 3, "workflow": 3,
    "ingest": 4, "compact": 4, "cdc": 4, "query": 4, "view": 4, "timeseries": 4, "retention": 4,
    "server": 5,
    "app": 6,
}
# A third-party header is included by the module that wraps it.
WRAPPED = {
    "duckdb.h": {"query"},
    "sqlite3.h": {"state"},
    "boost/": {"server"},
    "curl/": {"app", "store"},
    "CLI/": {"app"},
    "toml++/": {"app"},
    "simdjson.h": set(),  # Arrow's libraries export another version of it under the same names
    "arrow/": {"parquet", "record", "merge", "table", "query"},
    "parquet/": {"parquet", "record", "merge", "table", "query"},
}
HEAVY = ("duckdb.h", "boost/", "nlohmann/", "simdjson.h", "arrow/", "parquet/", "CLI/", "toml++/")
LINES_MAX = {"header": 250, "source": 500, "test": 700}
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100

BANNED_OUTSIDE_CORE_AND_APP = [
    (r"\bsystem_clock\b", "the wall clock: take a Clock"),
    (r"\b(gettimeofday|clock_gettime|time)\s*\(\s*(NULL|nullptr|0|&|CLOCK_)", "the clock: take a Clock"),
    (r"(?<![\w.>:])s?rand\s*\(|\brandom_device\b|\bmt19937", "randomness: take a Random"),
    (r"\bgetenv\s*\(", "the environment: only app reads configuration"),
]
BANNED_IN_SOURCE = [
    (r"\bstd::regex\b|#include <regex>", "std::regex: unbounded recursion on input"),
    (r"(?<![\w.>])(std::)?(strto(u?ll?|d|f|ld)|ato[ifl]l?|sto[ifd]|stou?ll?|sscanf)\s*\(",
     "std::from_chars instead"),
    (r"#include <format>", "fmt instead: g++ 12 has no <format>"),
    (r"\b(sprintf|strcpy|strcat|gets)\s*\(", "no unbounded string functions"),
]
BANNED_IN_TESTS = [
    (r"\bGTEST_SKIP\b|\bDISABLED_|pytest\.mark\.skip|pytest\.skip\(", "a test that does not run"),
    (r"\bsleep_for\b|\busleep\s*\(|\bsleep\s*\(\s*[0-9.]+\s*\)", "await an event instead of sleeping"),
]
BANNED_WORDS = [
    (r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b", "unfinished business"),
    (r"(?<![\w/.])/(wo" r"rk|ro" r"ot|ho" r"me)/\w", "a path of one machine"),
    (r"(pypi\.o" r"rg|files\.pythonhosted|registry\.npm" r"js|crates\.i" r"o\b|proxy\.golang|deb\.debi"
     r"an\.org)", "a registry's host: use its ordinary client"),
]
TEXT = {".h", ".cc", ".c", ".py", ".sh", ".md", ".cmake", ".txt", ".yaml", ".yml", ".toml", ".json",
        ".mjs", ".ts", ""}


class Offences:
    def __init__(self):
        self.allowed = {}
        if EXCEPTIONS.exists():
            for line in EXCEPTIONS.read_text().splitlines():
                line = line.split("#")[0].split()
                if line:
                    self.allowed[tuple(line)] = False
        self.found = []

    def add(self, rule, path, line, what):
        name = path.relative_to(ROOT).as_posix()
        if (rule, name) in self.allowed:
            self.allowed[rule, name] = True
            return
        self.found.append((rule, name, line, what))

    def close(self):
        for (rule, name), used in self.allowed.items():
            if not used:
                self.found.append(("exceptions", "tests/tidy/exceptions.txt", 0,
                                   f"`{rule} {name}` is not needed any more: remove it"))


def without_comments_and_strings(text):
    """The same text, its comments, strings and characters blanked, newlines kept."""
    out, i, n = [], 0, len(text)

    def blank(piece):
        out.append("".join(c if c == "\n" else " " for c in piece))

    while i < n:
        two = text[i:i + 2]
        if two == "//":
            end = text.find("\n", i)
            end = n if end < 0 else end
        elif two == "/*":
            end = text.find("*/", i)
            end = n if end < 0 else end + 2
        elif text.startswith('R"', i) and not (i and text[i - 1].isalnum()):
            mark = text[i + 2:text.find("(", i)]
            end = text.find(")" + mark + '"', i)
            end = n if end < 0 else end + len(mark) + 2
        elif text[i] == '"' or (text[i] == "'" and not (i and (text[i - 1].isalnum()))):
            end = i + 1
            while end < n and text[end] != text[i] and text[end] != "\n":
                end += 2 if text[end] == "\\" else 1
            end += 1
            out.append("_")  # something was there
            blank(text[i + 1:end])
            i = end
            continue
        else:
            out.append(text[i])
            i += 1
            continue
        blank(text[i:end])
        i = end
    return "".join(out)


CONTROL = re.compile(r"^\s*(else\b|do\b|try\b|(if|for|while|switch|catch)\b\s*(constexpr)?\s*\()")
TYPE = re.compile(r"\b(class|struct|union|enum|namespace|extern)\b(?!.*\)\s*(const|noexcept|override|"
                  r"final|\s)*$)", re.S)
FUNCTION = re.compile(r"\)\s*((const|noexcept|override|final|mutable|&&?|->[^{;]*|requires[^{;]*)\s*)*"
                      r"(:[^:].*)?$", re.S)


def functions(code):
    """(first line, lines) of each function that is in no other function."""
    stack, header, line, header_line = [], "", 1, 1
    for c in code:
        if c == "\n":
            line += 1
        inside = any(kind == "function" for kind, _, _ in stack)
        if c == "{":
            text = header.strip()
            member_init = re.search(r"\)\s*(noexcept\s*)?:[^:]", text) and re.search(r"[\w>]$", text)
            if not inside and member_init:
                stack.append(("init", header_line, header))
            elif (not inside and FUNCTION.search(text) and not CONTROL.match(text)
                  and "=" not in text.split("(")[0] and not TYPE.search(text)):
                stack.append(("function", header_line, ""))
            else:
                stack.append(("other", header_line, ""))
            header = ""
            continue
        if c == "}" and stack:
            kind, start, before = stack.pop()
            if kind == "function":
                yield start, line - start + 1
            header = before
            continue
        if c == ";" or (c == ":" and re.search(r"\b(public|private|protected)\s*$", header)):
            header = ""
            continue
        if not header.strip() and not c.isspace():
            header_line = line
        header += c if not (c == "#") else " "
        if c == "\n" and re.match(r"\s*(include|define|pragma|ifdef|ifndef|endif)\b", header):
            header = ""


def module_of(path):
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def check_layers(path, text, offences):
    module = module_of(path)
    if module is None:
        return
    if module not in LEVELS:
        offences.add("layers", path, 1, f"module {module} is not in DESIGN's table")
        return
    for number, line in enumerate(text.splitlines(), 1):
        include = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
        if not include:
            continue
        name = include.group(1)
        other = name.split("/")[0]
        if other in LEVELS and '"' in line and other != module and LEVELS[other] >= LEVELS[module]:
            offences.add("layers", path, number,
                         f"{module} (level {LEVELS[module]}) includes {name} (level {LEVELS[other]})")
        if '"' in line and other in LEVELS and (ROOT / "src" / name).exists():
            continue
        for prefix, modules in WRAPPED.items():
            if name.startswith(prefix) and module not in modules:
                offences.add("wrapped", path, number, f"<{name}> belongs to {', '.join(sorted(modules)) or 'nobody'}")


def includes_of(text):
    return re.findall(r'^\s*#\s*include\s+["<]([^">]+)[">]', text, re.M)


def check_heavy(headers, offences):
    """A header that headers of other modules include must not bring in a heavy library."""
    exported, waiting = set(), []
    for name, text in headers.items():
        waiting += [other for other in includes_of(text)
                    if other in headers and other.split("/")[0] != name.split("/")[0]]
    while waiting:
        name = waiting.pop()
        if name not in exported:
            exported.add(name)
            waiting += [other for other in includes_of(headers[name]) if other in headers]
    for name in sorted(exported):
        for other in includes_of(headers[name]):
            if other not in headers and other.startswith(HEAVY):
                offences.add("heavy", ROOT / "src" / name, 1, f"<{other}> reaches other modules")


def check_budgets(path, text, code, offences):
    in_tests = path.relative_to(ROOT).parts[0] in ("tests", "bench")
    kind = "test" if in_tests else "header" if path.suffix == ".h" else "source"
    lines = text.count("\n")
    if lines > LINES_MAX[kind]:
        offences.add("lines", path, 1, f"{lines} lines, {kind}s have at most {LINES_MAX[kind]}")
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > COLUMNS_MAX and "http" not in line and 'R"' not in line:
            offences.add("columns", path, number, f"{len(line)} columns, at most {COLUMNS_MAX}")
    for start, length in functions(code):
        if length > FUNCTION_LINES_MAX:
            offences.add("function", path, start,
                         f"{length} lines, functions have at most {FUNCTION_LINES_MAX}")


def check_banned(path, code, offences):
    top = path.relative_to(ROOT).parts[0]
    rules = list(BANNED_IN_SOURCE) if top == "src" else []
    if top == "src" and module_of(path) not in ("core", "app", None):
        rules += BANNED_OUTSIDE_CORE_AND_APP
    if top == "tests":
        rules += BANNED_IN_TESTS
    for number, line in enumerate(code.splitlines(), 1):
        for pattern, why in rules:
            if re.search(pattern, line):
                offences.add("banned", path, number, f"{line.strip()[:60]}: {why}")


def check_words(path, text, offences):
    if path == pathlib.Path(__file__).resolve():
        return
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, why in BANNED_WORDS:
            found = re.search(pattern, line)
            if found:
                offences.add("words", path, number, f"{found.group(0)}: {why}")


def check_readmes(offences):
    for module in sorted(p for p in (ROOT / "src").iterdir() if p.is_dir()):
        if any(module.glob("*.cc")) and not (module / "README.md").exists():
            offences.add("readme", module / "README.md", 1, "each module has a README")


def check_format(paths, offences):
    program = shutil.which("clang-format-14") or shutil.which("clang-format")
    if program is None:
        offences.add("format", ROOT / ".clang-format", 1, "clang-format-14 is not installed")
        return
    for at in range(0, len(paths), 40):
        done = subprocess.run([program, "--dry-run", *map(str, paths[at:at + 40])], cwd=ROOT,
                              capture_output=True, text=True)
        seen = set()
        for found in re.finditer(r"^(\S+?):(\d+):\d+: warning: code should be clang-formatted",
                                 done.stderr, re.M):
            path = (ROOT / found.group(1)).resolve()
            if path not in seen:
                offences.add("format", path, int(found.group(2)), "clang-format-14 -i it")
            seen.add(path)


def tracked():
    done = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                          cwd=ROOT, capture_output=True, check=True)
    names = [name for name in done.stdout.decode().split("\0") if name]
    return sorted({ROOT / name for name in names if (ROOT / name).is_file()})


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--no-format", action="store_true")
    arguments.add_argument("--summary", action="store_true")
    arguments = arguments.parse_args()
    offences = Offences()
    cpp, headers = [], {}
    for path in tracked():
        top = path.relative_to(ROOT).parts[0]
        if top == "data" or path.suffix not in TEXT or path.name == "package-lock.json":
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        check_words(path, text, offences)
        if path.suffix in (".cc", ".h") and top in ("src", "tests", "bench"):
            cpp.append(path)
            if top == "src" and path.suffix == ".h":
                headers[path.relative_to(ROOT / "src").as_posix()] = text
            code = without_comments_and_strings(text)
            check_layers(path, text, offences)
            check_budgets(path, text, code, offences)
            check_banned(path, code, offences)
        elif top == "tests" and path.suffix == ".py" and path != pathlib.Path(__file__).resolve():
            check_banned(path, text, offences)
    check_heavy(headers, offences)
    check_readmes(offences)
    if not arguments.no_format:
        check_format(cpp, offences)
    offences.close()
    if arguments.summary:
        counts = collections.Counter(
            (rule, "/".join(name.split("/")[:2])) for rule, name, _, _ in offences.found)
        for (rule, where), count in sorted(counts.items()):
            print(f"{count:5}  {rule:10} {where}")
    else:
        for rule, name, line, what in sorted(offences.found):
            print(f"{name}:{line}: {rule}: {what}")
    print(f"tidy: {len(offences.found)} offences in {len(cpp)} files", file=sys.stderr)
    return 1 if offences.found else 0


if __name__ == "__main__":
    sys.exit(main())

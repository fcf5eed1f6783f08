"""`python -m tests.fuzz.one TARGET [options of libFuzzer]`: one target, guided by what its code has run."""

import sys

import atheris

with atheris.instrument_imports(include=["smalt"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    name, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], TARGETS[name].take)
    atheris.Fuzz()

"""Text to tune on: the sentences of an STS file, and example sentences of WordNet, whose kinds of text are more.

    python benchmarks/tuning_text.py --sts FILE --wordnet DIR [--count N] --out FILE

DIR holds data.noun, data.verb, data.adj and data.adv of WordNet 3.0, as /usr/share/wordnet of the Debian package
wordnet-base does. Examples are the quoted parts of its glosses, of four words or more; which are taken is drawn with
seed 0.
"""

import argparse
import random
import re
from pathlib import Path

from neuromorphic.convert.text_rows import read_text_rows
from spikeattn.files import write_text

PARTS = ("noun", "verb", "adj", "adv")
WORDS = 4
COUNT = 2000


def examples(folder: Path) -> list[str]:
    """Of all parts of speech, each once, sorted."""
    found = set()
    for part in PARTS:
        for line in (folder / f"data.{part}").read_text(encoding="latin-1").splitlines():
            if not line.startswith("  "):  # the licence
                found.update(re.findall(r'"([^"]+)"', line.partition("|")[2]))
    return sorted({text.strip() for text in found if len(text.split()) >= WORDS})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sts", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, required=True)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = read_text_rows(given.sts)
    own = dict.fromkeys(text for pair in zip(rows.firsts, rows.seconds, strict=True) for text in pair)
    others = [text for text in examples(given.wordnet) if text not in own]
    drawn = random.Random(0).sample(others, given.count)
    write_text(given.out, "\n".join([*own, *drawn]) + "\n")
    print(f"{len(own)} sentences of {given.sts.name} and {given.count} of the {len(others)} examples of WordNet")


if __name__ == "__main__":
    main()

"""Reads what tests/c/tables.c has made, with a reader that knows nothing of the engine."""
import sys

from dissect.esedb import EseDB

# This reader takes the places of chunks for their sum from the third chunk on, so larger values are not asked for.
TWO_CHUNKS = 3000

seen = set()
with open(sys.argv[1], "rb") as file:
    for record in EseDB(file).table("Things").records():
        n = int(record.get("Code").split()[1])
        assert n not in seen, n
        seen.add(n)
        assert record.get("Number") == n // 3, n
        assert record.get("Title") == "Titel" + chr(ord("A") + n % 26), n
        assert (record.get("Guid") is not None) == (n % 2 == 1), n
        tags = record.get("Tags") or []
        tags = [tags] if isinstance(tags, str) else tags
        assert sorted(tags) == sorted(f"tag {i} of {n % 10}" for i in range(n % 4)), (n, tags)
        size = n * 997 % 20000
        if size < TWO_CHUNKS:
            assert bytes(record.get("Blob")) == bytes((i * 7 + n) % 256 for i in range(size)), n
assert seen == {n for n in range(600) if n % 7}, len(seen)

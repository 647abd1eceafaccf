#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every verb's real --json output, errors and empty results included, against cli/schema/.

    schemas.py MEMKV [FAKE_LIBNVME_FOLDER]

Strict in one way more than the schemas: a field that its schema does not name is an error here.  A verb of the tool
without a schema, or without a line below, fails the test.
"""
import glob
import json
import os
import sys

from cli_tool import ROOT, Missing, Scratch, Tool, skip
from fabric_machine import NQN, Machine

try:
    import jsonschema
except ImportError:
    skip("no python3-jsonschema")

KEY = "ab" * 32


def strict(schema):
    """No fields but those that are named."""
    if isinstance(schema, dict):
        made = {k: strict(v) for k, v in schema.items()}
        if made.get("type") == "object" and "properties" in made:
            made["additionalProperties"] = False
        return made
    return [strict(s) for s in schema] if isinstance(schema, list) else schema


def load():
    schemas = {}
    for path in glob.glob(os.path.join(ROOT, "cli", "schema", "*.json")):
        with open(path, encoding="utf-8") as f:
            schema = json.load(f)
        jsonschema.Draft7Validator.check_schema(schema)
        schemas[os.path.basename(path)[:-5]] = jsonschema.Draft7Validator(strict(schema))
    return schemas


class Judge:
    def __init__(self, memkv):
        self.tool = Tool(memkv)
        self.schemas = load()
        self.done, self.failed = {}, {}

    def __call__(self, verb, *words, code=0, lines=1, **more):
        """Run "@verb @words --json": @lines documents of the verb's schema, or one error when @code says so."""
        run = self.tool.run(*verb.split(), *words, "--json", **more)
        text = run.stdout.decode()
        assert run.returncode == code, f"{verb} {words}: {run.returncode}, not {code}: {run.stderr[-400:]!r}"
        documents = [json.loads(line) for line in text.splitlines()]
        assert len(documents) == lines, f"{verb} {words}: {len(documents)} documents, not {lines}: {text[:300]!r}"
        for document in documents:
            is_error = "error" in document
            schema = self.schemas["error" if is_error else verb.replace(" ", "-")]
            wrong = next(schema.iter_errors(document), None)
            assert wrong is None, f"{verb} {words}: {wrong.message} at {list(wrong.absolute_path)} in {text[:600]!r}"
            counted = self.failed if is_error else self.done
            counted[verb] = counted.get(verb, 0) + 1
        return documents[0]


def whole_life(judge, folder):
    pool, out = os.path.join(folder, "a pool"), os.path.join(folder, "out")
    judge("pool create", pool, "--size", "32M", "--dry-run")
    judge("pool create", pool, "--size", "1K", code=2)
    judge("pool create", pool, "--size", "32M", "--name", 'quo"te \n\x1b[1m ü')
    assert judge("pool info", pool)["name"] == 'quo"te \n\x1b[1m ü'
    judge("pool create", pool, code=3)
    judge("pool create", pool, "--force", "--dry-run")
    judge("pool info", pool, "--block-size", "64K")
    assert judge("ls", pool)["count"] == 0
    assert judge("match", pool, stdin=b"")["keys"] == 0
    assert judge("pool check", pool)["blocks"] == 0
    assert judge("put", pool, KEY, stdin=b"x" * 1000)["result"] == "stored"
    assert judge("put", pool, KEY, stdin=b"x" * 1000)["result"] == "exists"
    assert judge("put", pool, KEY, code=3, stdin=b"y")["error"]["code"] == "DIFFERS"
    judge("put", pool, "--name", "n", "--session", "s\t", "--ttl", "1h", "--class", "7", "--meta", pool, stdin=b"z", code=3)
    with open(out, "wb") as f:
        f.write(b"\x00\xff meta")
    judge("put", pool, "--name", "n", "--session", "s\t", "--ttl", "1h", "--class", "7", "--meta", out, stdin=b"z")
    judge("ls", pool, lines=2)
    judge("ls", pool, "--session", "s\t")
    judge("ls", pool, "--after", "zz", code=2)
    judge("stat", pool, KEY)
    assert judge("stat", pool, "--name", "n")["meta_hex"] == "00ff206d657461"
    assert judge("stat", pool, "00" * 32, code=1)["error"]["code"] == "MISS"
    judge("get", pool, KEY, "-o", out)
    judge("get", pool, "00" * 32, "-o", out, code=1)
    judge("get", pool, KEY, code=2)
    assert judge("match", pool, KEY, "00" * 32)["matched"] == 1
    judge("match", pool, "nothing", code=2)
    assert judge("pool check", pool, "--sample", "100%", "--max-rate", "1G")["blocks"] == 2
    judge("pool check", pool, "--sample", "101", code=2)
    judge("pin", pool, KEY)
    judge("pins", pool)
    judge("unpin", pool, KEY)
    judge("evict", pool, "--bytes", "1K", "--dry-run")
    judge("host fence", pool, judge("host ls", pool, "--all")["id"])
    judge("host fence", pool, "nobody", code=2)
    assert judge("host drain", pool, judge("host ls", pool, "--all")["id"])["gone"]
    assert judge("host drain", pool, "0@4000", code=1)["error"]["code"] == "MISS"
    judge("host drain", pool, "nobody", "--undo", code=2)
    judge("pin", pool, "00" * 32, "--ttl", "soon", code=2)
    judge("evict", pool, code=2)
    judge("rm", pool, KEY, "--dry-run")
    assert judge("rm", pool, KEY, "00" * 32, code=1)["missing"] == ["00" * 32]
    judge("rm", pool, "--session", "s\t", "--yes")
    judge("rm", pool, code=2)
    judge("pool scan", folder)
    judge("pool scan", os.path.join(folder, "nothing"), code=4)
    judge("pool scan", env={"MEMKV_POOL_PATH": folder})
    judge("replay", pool, "--generate", "sessions=2,turns=2,system=2", "--agents", "2", "--block-size", "64K", "--verify")
    judge("replay", os.path.join(folder, "no.jsonl"), code=2)
    judge("pool grow", pool, pool + "2", "--size", "16M", "--dry-run")
    assert judge("pool grow", pool, pool + "2", "--size", "16M")["number"] == 1
    judge("pool grow", pool, pool + "2", code=3)
    judge("pool grow", pool, code=2)
    assert [n["state"] for n in judge("pool info", pool)["namespaces"]] == ["there"] * 2
    judge("pool remove", pool, "1", "--yes", code=3)
    judge("pool drain", pool, "0", code=2)
    assert judge("pool drain", pool, "1")["evicted"] == 0
    assert judge("pool drain", pool, "1", "--undo")["undone"]
    judge("pool drain", pool, "1")
    judge("pool remove", pool, "1", "--dry-run")
    assert judge("pool remove", pool, "1", "--yes")["removed"]
    judge("pool destroy", pool, "--dry-run")
    judge("pool destroy", pool, code=2, stdin=b"")
    judge("pool destroy", pool, "--yes")
    judge("pool destroy", pool, "--yes", code=4)


def damage(judge, folder):
    """The check's list of bad blocks: a block whose payload was overwritten."""
    pool = os.path.join(folder, "damaged")
    judge("pool create", pool, "--size", "32M")
    judge("put", pool, KEY, stdin=b"x" * 100000)
    page = judge("stat", pool, KEY)["page"]
    with open(pool, "r+b") as f:
        f.seek((page + 2) * 4096)
        f.write(b"other bytes")
    found = judge("pool check", pool, code=4)
    assert found["bad"] == 1 and found["bad_blocks"][0]["key"] == KEY, found


def without_pools(judge, folder):
    judge("help")
    for verb in judge("help")["verbs"]:
        judge("help", *verb["verb"].split())
        judge(verb["verb"], "--no-such-option", code=2)
    judge("help", "nothing", code=2)
    judge("version")
    judge("doctor", folder)
    judge("doctor", "a", "b", code=2)
    judge("bench", os.path.join(folder, "nothing"), code=4)
    done = judge.tool.run("--json")
    assert done.returncode == 2 and json.loads(done.stdout)["error"]["code"] == "USAGE", done


def bench(judge, folder):
    """The smallest row there is, on a small scratch place."""
    judge("bench", folder, "--only", "match", "--blocks", "2000", "--pairs", "3")


def fabric(judge, folder, fake):
    """What verbs of NVMe over Fabrics say when it works, on a machine of the test's own."""
    target = f"nvme+tcp://192.0.2.7/{NQN}"
    judge("discover", "nvme+tcp://192.0.2.7", "--tls", code=3)
    judge("attach", target, "--tls", code=3)
    judge("detach", target, code=1)
    machine, outside = Machine(judge.tool, folder, fake), judge.tool
    try:
        machine.with_device(os.path.join(folder, "namespace"))
        judge.tool = machine.as_tool()
        judge("discover", "nvme+tcp://192.0.2.7")
        machine.time_outs("off", "off")
        judge("attach", target)
        assert judge("attach", target)["outcome"] == "tuned"
        judge("detach", target)
    finally:
        judge.tool = outside
        machine.close()


def main():
    judge = Judge(sys.argv[1])
    unseen = set()
    with Scratch() as folder:
        whole_life(judge, folder)
        damage(judge, folder)
        without_pools(judge, folder)
        bench(judge, folder)
        try:
            fabric(judge, folder, sys.argv[2] if len(sys.argv) > 2 else "")
        except Missing as why:
            print(f"missing results of discover, attach and detach: {why}")
            unseen = {"discover", "attach", "detach"}
    verbs = {v["verb"] for v in judge("help")["verbs"]}
    files = set(judge.schemas) - {"error"}
    assert {v.replace(" ", "-") for v in verbs} == files, f"verbs and schemas differ: {verbs} {files}"
    quiet = verbs - set(judge.done) - unseen
    assert not quiet, f"not seen with a result: {quiet}"
    unfailing = verbs - set(judge.failed)
    assert not unfailing, f"not seen with an error: {unfailing}"
    print(f"{len(judge.tool.calls)} calls of {len(verbs)} verbs: {sum(judge.done.values())} results and "
          f"{sum(judge.failed.values())} errors fit their schemas")


if __name__ == "__main__":
    main()

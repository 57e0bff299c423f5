"""`figway audit`: what is found, what is not called tampering, and what people may do to a trail. `make tamper` is the long form."""

from __future__ import annotations

import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.audit import tamper
from tests.audit.corpus import Corpus, corpus
from tests.unit.small import ALICE, Scripted, operation, request, service
from tests.unit.test_store_faults import disk
from tests.unit.trails import records
from tests.waiting import until
from wrapper import log
from wrapper.audit import daily, lines, show, signing
from wrapper.audit.anchor import PURGED, Anchor, Anchors
from wrapper.audit.chain import Chain
from wrapper.audit.follow import Fault
from wrapper.audit.purge import Upkeep, purge
from wrapper.audit.verify import Verified, verify
from wrapper.audit.writer import Writer
from wrapper.cli import figway
from wrapper.jobs import Runner
from wrapper.metrics import Metrics
from wrapper.operation import Auth, ObjectRule
from wrapper.problems import NotReady
from wrapper.settings import BadSettings
from wrapper.subjects import Subject
from wrapper.units import DAY

__all__ = ["disk"]
WRITING = """
import sys, itertools, json
from pathlib import Path
from wrapper.audit.writer import Writer
writer = Writer(Path(sys.argv[1]), {"process": "killed"})
for n in itertools.count(1):
    writer.put(json.dumps({"at": "now", "kind": "read", "who": "x" * 5000}).encode(), 5.0)
    print(n, flush=True)
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    with corpus(tmp_path_factory.mktemp("corpus")) as made:
        yield made


@pytest.fixture
def key(tmp_path: Path) -> Path:
    signing.make_key(tmp_path / "key")
    return tmp_path / "key"


def looked(folder: Path, anchor: Anchor | None = None) -> list[Verified]:
    known = None if anchor is None else Anchors(anchor.file, anchor.key.public_key())
    return list(verify(folder, known, None if anchor is None else anchor.key.public_key()))


def no_fault(folder: Path, anchor: Anchor | None = None) -> list[Verified]:
    found = looked(folder, anchor)
    assert [each.fault for each in found if each.fault is not None] == []
    return found


def written(folder: Path, many: int, end: bool = True) -> Chain:
    chain = Chain(folder, {"process": "test"})
    chain.append([lines.packed({"at": lines.now(), "kind": "read", "who": f"caller-{n}"}) for n in range(many)])
    if end:
        chain.end()
        chain.close()
    return chain


def test_tamperings_are_found_and_the_trail_itself_is_sound(tmp_path: Path) -> None:
    assert tamper.run(tmp_path, 42, seed=7) == (42, [])


def test_the_first_fault_is_told_with_its_file_and_line(sound: Corpus, tmp_path: Path) -> None:
    shutil.copytree(sound.trail, tmp_path / "copy")
    file = lines.segments(tmp_path / "copy" / sound.order[1])[1]
    kept = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*kept[:4], kept[4].replace(b"caller", b"nobody"), *kept[5:]]))
    (met,) = sound.faults(tmp_path / "copy")
    assert str(met.fault).startswith(f"{file}:6: record ")
    assert "is not bound to the line above" in str(met.fault)


def test_what_is_not_anchored_yet_is_counted_and_no_fault(sound: Corpus) -> None:
    met = {each.writer: each for each in verify(sound.trail, Anchors(sound.anchors, sound.public), sound.public)}
    assert [(each.waiting, each.since[:10]) for each in met.values() if each.waiting] == [(5, "2026-01-02")]
    assert sum(each.purged for each in met.values()) > 0
    assert [each.head.torn.split()[0] for each in met.values() if each.head.torn] == ["18"]


def test_without_anchors_a_clumsy_change_is_found_and_a_cut_is_not(sound: Corpus, tmp_path: Path) -> None:
    shutil.copytree(sound.trail, tmp_path / "copy")
    (lines.segments(tmp_path / "copy" / sound.order[1])[-1]).unlink()
    assert no_fault(tmp_path / "copy")
    file = lines.segments(tmp_path / "copy" / sound.order[2])[0]
    file.write_bytes(file.read_bytes().replace(b"caller-1", b"caller-2"))
    assert len([each for each in looked(tmp_path / "copy") if each.fault is not None]) == 1


@pytest.mark.parametrize("way", ["cut", "changed", "forged", "emptied", "torn"])
def test_anchors_that_are_not_sound_themselves_are_found(sound: Corpus, tmp_path: Path, key: Path, way: str) -> None:
    kept, anchors = sound.anchors.read_bytes().splitlines(keepends=True), tmp_path / "anchors"
    match way:
        case "cut":
            made = kept[:1] + kept[2:]
        case "changed":
            made = [*kept[:-1], kept[-1].replace(b'"at":"20', b'"at":"19', 1)]
        case "emptied":
            made = []
        case "torn":
            made = [kept[0][:-20]]
        case _:
            body = lines.packed({"at": lines.now(), "writers": {}})
            forged = signing.signed(lines.linked(len(kept) + 1, lines.digest(kept[-1][:-1]), body), signing.private(key))
            made = [*kept, forged + b"\n"]
    anchors.write_bytes(b"".join(made))
    with pytest.raises(Fault, match="anchor"):
        list(verify(sound.trail, Anchors(anchors, sound.public), sound.public))


def test_a_killed_writers_torn_line_is_no_tampering_and_what_is_added_later_is(tmp_path: Path, key: Path) -> None:
    trail, anchor = tmp_path / "trail", Anchor(tmp_path / "trail", key, tmp_path / "anchors")
    with subprocess.Popen([sys.executable, "-c", WRITING, str(trail)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as writing:
        assert writing.stdout is not None
        for _ in range(20):
            writing.stdout.readline()
        anchor.turn()
        for _ in range(20):
            said = int(writing.stdout.readline())
        writing.send_signal(signal.SIGKILL)
        writing.wait()
        with suppress(ValueError, IndexError):
            said = int(writing.stdout.read().split()[-1])
    (writer,) = lines.writers(trail)
    with lines.segments(writer)[-1].open("ab") as file:
        file.write(b'{"n":9')  # a kill in the middle of a write leaves this; one line is too quick to be met there
    (met,) = no_fault(trail, anchor)
    assert met.records >= said + 1  # who was told is on record
    assert met.waiting > 0
    anchor.turn()
    assert no_fault(trail, anchor)[0].waiting == 0
    with lines.segments(writer)[-1].open("ab") as file:
        file.write(b"0")
    (met,) = looked(trail, anchor)
    assert "its writer had ended" in str(met.fault)


def test_a_hundred_thousand_records_are_verified_in_seconds(tmp_path: Path, key: Path) -> None:
    anchor, chain = Anchor(tmp_path / "trail", key, tmp_path / "anchors"), Chain(tmp_path / "trail", {"process": "test"}, size=4_000_000)
    body = lines.packed({"at": lines.now(), "kind": "read", "who": "claims-ui", "op": "customer", "fields": {"clear": ["name"] * 20}})
    for _ in range(100):
        chain.append([body] * 1000)
    chain.end()
    chain.close()
    anchor.turn()
    began = time.process_time()
    (met,) = no_fault(tmp_path / "trail", anchor)
    assert met.records >= 100_001
    assert time.process_time() - began < 3.0


def test_after_an_erasure_the_chain_verifies_and_nobody_can_tell_whose_records_they_were(tmp_path: Path, key: Path) -> None:
    op = operation(auth=Auth("things:read", object={"id": ObjectRule(claim="customer")}))
    made, store = service(tmp_path, Scripted(), op)
    anchor, trail, seven = Anchor(tmp_path / "audit", key, tmp_path / "anchors"), tmp_path / "audit", Subject("customer", "7")
    for id in ("7", "8", "7"):
        made.serve(op, request(id, caller=ALICE))
    anchor.turn()
    tokens = show.tokens(store.subject_keys, seven)
    assert len(list(show.records(trail, tokens=tokens))) == 2
    assert store.erase_of(store.fingerprint(seven))["keys"] == 1
    no_fault(trail, anchor)
    assert show.tokens(store.subject_keys, seven) == []
    assert len(list(show.records(trail, tokens=show.tokens(store.subject_keys, Subject("customer", "8"))))) == 1


def test_a_full_disk_refuses_and_when_there_is_room_again_the_chain_goes_on(disk: Path) -> None:
    with closing(Writer(disk / "trail", {"process": "test"})) as writer:
        body = lines.packed({"kind": "read", "who": "x" * 5000})
        first = writer.put(body, 5.0)
        filler = disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        with pytest.raises(NotReady):
            list(map(writer.put, [body] * 3, [5.0] * 3))
        told = writer.tell(body, 0.1)
        filler.unlink()
        until(lambda: writer.put(body, 5.0) > first + 1)
        assert not told
    assert len(lines.writers(disk / "trail")) == 1
    (met,) = no_fault(disk / "trail")
    assert met.head.ended


def test_a_day_that_is_over_ends_its_segment_and_can_be_purged_from_a_living_writer(tmp_path: Path, key: Path) -> None:
    days, trail = ["2026-01-01"], tmp_path / "trail"
    anchor, chain = Anchor(trail, key, tmp_path / "anchors"), Chain(trail, {"process": "test"}, day=lambda: days[-1])
    with closing(chain):
        body = lines.packed({"at": "2026-01-01T10:00:00.000Z", "kind": "read"})
        chain.append([body])
        days.append("2026-01-02")
        chain.roll()
        assert purge(trail, "2026-01-01", "carol", "too old", anchor) == 0
        assert purge(trail, "2026-01-02", "carol", "too old", anchor) == 1
        chain.append([body])
        assert purge(trail, "2026-01-02", "carol", "too old", anchor) == 0  # it is being written
        met = {each.writer: each for each in no_fault(trail, anchor)}
        assert met[chain.id].purged == 2
    (stone,) = [record for record in records(trail) if record["kind"] == "purged"]
    assert (stone["writer"], stone["first"], stone["last"], stone["who"], stone["why"]) == (chain.id, 1, 2, "carol", "too old")
    shutil.rmtree(trail / PURGED)
    assert {each.writer for each in looked(trail, anchor) if each.fault is not None} == {PURGED, chain.id}


def test_upkeep_anchors_what_there_is_and_purges_what_was_kept_for_long_enough(tmp_path: Path, key: Path) -> None:
    trail, now = tmp_path / "trail", [time.time()]
    anchor = Anchor(trail, key, tmp_path / "anchors")
    upkeep = Upkeep(trail, anchor, 30 * DAY, lambda: now[0])
    written(trail, 5)
    assert upkeep.turn() == []
    assert [(each.records, each.waiting) for each in no_fault(trail, anchor)] == [(7, 0)]
    now[0] += 31 * DAY
    assert upkeep.turn() == []
    assert sum(each.purged for each in no_fault(trail, anchor)) == 7


def test_a_running_job_worker_finds_what_was_changed_long_after_it_was_anchored_and_says_so(
    tmp_path: Path, key: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trail, anchor = tmp_path / "trail", Anchor(tmp_path / "trail", key, tmp_path / "anchors")
    chain = written(trail, 5)
    anchor.turn()
    made, store = service(tmp_path, Scripted(lambda _call: []), operation())
    counted, stop = made.audit._events, threading.Event()
    assert isinstance(counted, Metrics)
    file = lines.segments(trail / chain.id)[0]
    file.write_bytes(file.read_bytes().replace(b'"at"', b'"AT"', 1))
    upkeep = Upkeep(trail, anchor, 30 * DAY, lambda: -1.0)  # no purge is due: that looks at old segments, too
    worker = Runner(made, {}, store, upkeep=upkeep, verify_in=0.0)
    running = threading.Thread(target=worker.run, args=(stop,))
    running.start()
    until(lambda: b'figway_audit_faults_total{system="figway"} 1.0' in counted.page()[0])
    stop.set()
    running.join()
    log.flush()
    assert f'not as it was anchored: figway audit verify tells more","detail":"{file}:' in capfd.readouterr().err


def test_a_sound_trail_and_one_that_is_gone_are_told_apart_and_there_is_a_rest_after_each_segment(tmp_path: Path, key: Path) -> None:
    trail, anchor, rests = tmp_path / "trail", Anchor(tmp_path / "trail", key, tmp_path / "anchors"), list[float]()
    for _ in range(3):
        written(trail, 5)
    anchor.turn()
    assert daily.faults(anchor, rests.append) == []
    assert len(rests) == 3
    assert all(0 < rest < 5 for rest in rests)
    anchor.file.unlink()
    (fault,) = daily.faults(anchor, rests.append)
    assert (fault.file, fault.what) == (anchor.file, "it is not there any more")


def test_a_purge_that_was_killed_is_finished_by_the_next_one(tmp_path: Path, key: Path) -> None:
    trail, anchor = tmp_path / "trail", Anchor(tmp_path / "trail", key, tmp_path / "anchors")
    chain = written(trail, 5)
    shutil.copytree(trail / chain.id, tmp_path / "kept")
    assert purge(trail, "9999", "carol", "all", anchor) == 1
    assert not (trail / chain.id).exists()
    shutil.copytree(tmp_path / "kept", trail / chain.id)  # as if it had not come to the deletion
    no_fault(trail, anchor)
    purge(trail, "9999", "carol", "all", anchor)
    assert not (trail / chain.id).exists()
    no_fault(trail, anchor)


def test_a_trail_that_was_moved_away_is_gone_on_with_where_it_belongs_and_is_missed(tmp_path: Path, key: Path) -> None:
    trail, anchor = tmp_path / "trail", Anchor(tmp_path / "trail", key, tmp_path / "anchors")
    with closing(Writer(trail, {"process": "test"})) as writer:
        writer.put(lines.packed({"at": lines.now(), "kind": "read"}), 5.0)
        assert anchor.turn() == []
        (moved,) = lines.writers(trail)
        trail.rename(tmp_path / "elsewhere")
        assert ["not there any more" in fault.what for fault in anchor.turn()] == [True]
        assert ["not there any more" in fault.what for fault in Anchor(trail, key, tmp_path / "anchors").turn()] == [True]
        with pytest.raises(NotReady):
            writer.put(lines.packed({"at": lines.now(), "kind": "read"}), 5.0)
        writer.put(lines.packed({"at": lines.now(), "kind": "read"}), 5.0)
        assert [one.name == moved.name for one in lines.writers(trail)] == [False]
        assert ["not there any more" in fault.what for fault in anchor.turn()] == [True]


def test_a_segment_stays_where_its_tombstone_has_no_room(tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    written(trail, 5)
    assert purge(trail, "9999", "carol", "all") == 1
    stays, limit = written(trail, 5), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((trail / PURGED / lines.segment(1)).stat().st_size + 100, limit[1]))
    try:
        with pytest.raises(OSError):
            purge(trail, "9999", "carol", "all")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert lines.segments(trail / stays.id)
    assert purge(trail, "9999", "carol", "all") == 1
    no_fault(trail)


def test_what_is_not_sound_is_not_purged_and_not_anchored(tmp_path: Path, key: Path) -> None:
    trail, anchor = tmp_path / "trail", Anchor(tmp_path / "trail", key, tmp_path / "anchors")
    chain = written(trail, 5, end=False)
    anchor.turn()
    file = lines.segments(trail / chain.id)[0]
    file.write_bytes(file.read_bytes()[:-10])
    assert [fault.what for fault in anchor.turn()] == [f"{chain.id} was anchored up to record 6, and is shorter now"]
    chain.close()
    with pytest.raises(Fault):
        purge(trail, "9999", "carol", "all", anchor)
    assert file.exists()


def test_an_anchor_that_a_full_disk_cut_short_is_passed_over(tmp_path: Path, key: Path) -> None:
    trail, anchor = tmp_path / "trail", Anchor(tmp_path / "trail", key, tmp_path / "anchors")
    written(trail, 2)
    anchor.turn()
    with (tmp_path / "anchors").open("ab") as file:
        file.write(b'{"n":2,"prev":"0')
    written(trail, 2)
    assert Anchor(trail, key, tmp_path / "anchors").turn() == []
    assert [each.waiting for each in no_fault(trail, anchor)] == [0, 0]


def test_a_writer_that_no_anchor_knows_though_it_is_older_was_put_there(tmp_path: Path, key: Path) -> None:
    trail, anchor = tmp_path / "trail", Anchor(tmp_path / "trail", key, tmp_path / "anchors")
    written(trail, 2)
    anchor.turn()
    forged = written(trail, 3)
    file = lines.segments(trail / forged.id)[0]
    file.write_bytes(re.sub(rb'"at":"20\d\d', b'"at":"2019', file.read_bytes()))
    tamper._fitted(file.parent)
    assert [each.writer for each in looked(trail, anchor) if each.fault is not None] == [forged.id]


@pytest.mark.parametrize("place", ["key", "anchors"])
def test_key_and_anchors_may_not_lie_with_the_trail(tmp_path: Path, key: Path, place: str) -> None:
    trail = tmp_path / "trail"
    trail.mkdir()
    shutil.copy(key, trail / "key")
    with pytest.raises(BadSettings, match="outside"):
        Anchor(trail, trail / "key" if place == "key" else key, trail / "a" if place == "anchors" else tmp_path / "a")


def run(*words: str, env: dict[str, str] | None = None, code: int = 0) -> str:
    said = CliRunner().invoke(figway, words, env=env)
    assert said.exit_code == code, said.output
    return said.output


def test_the_commands_make_a_key_anchor_verify_show_and_purge(tmp_path: Path) -> None:
    state, trail = f"sqlite:///{tmp_path}/state/state.sqlite", tmp_path / "state" / "audit"
    env = {"FIGWAY_STATE": state}
    run("key", "new", "claims-ui", "--scope", "things:read", env=env)
    assert "nothing is anchored" in run("audit", "verify", env=env)
    assert "nothing is anchored" in run("audit", "anchor", env=env, code=1)
    run("audit", "key", str(tmp_path / "key"))
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    env |= {"FIGWAY_AUDIT_KEY": str(tmp_path / "key"), "FIGWAY_AUDIT_ANCHOR": str(tmp_path / "anchors")}
    run("audit", "anchor", env=env)
    said = run("audit", "verify", "--public", str(tmp_path / "key.pub"), env=env)
    assert "no fault" in said
    shown = [json.loads(line) for line in run("audit", "show", env=env).splitlines()]
    assert [(r["kind"], r["what"]) for r in shown if "what" in r][:2] == [("act", "key new"), ("done", "key new")]
    assert shown[1]["of"] == "claims-ui"
    assert "must be like 2026-01-31" in run("audit", "show", "--since", "31/01/2026", env=env, code=2)
    assert run("audit", "purge", "--before", "9999-01-01", "--why", "a test", env=env).startswith("2 purged")
    assert "no fault" in run("audit", "verify", env=env)
    (file,) = (trail / PURGED).iterdir()
    file.write_bytes(file.read_bytes().replace(b"a test", b"a joke"))
    assert "at fault" in run("audit", "verify", env=env, code=1)


def test_of_many_people_each_record_says_whose_it_is_and_that_one_looked_names_them_by_their_tokens(tmp_path: Path) -> None:
    env, people = {"FIGWAY_STATE": f"sqlite:///{tmp_path}/state.sqlite"}, tmp_path / "people.txt"
    op = operation(auth=Auth("things:read", object={"id": ObjectRule(claim="customer")}))
    made, _ = service(tmp_path, Scripted(), op)
    for customer in "789":
        made.serve(op, request(customer, caller=ALICE))
    made.audit.close()
    people.write_text("customer=7\n\ncustomer=9\ncustomer=none\n")
    shown = [json.loads(line) for line in run("audit", "show", "--subjects", str(people), env=env).splitlines()]
    assert [record["whose"] for record in shown if record["kind"] == "read"] == [["customer=7"], ["customer=9"]]
    (act,) = [record for record in records(tmp_path / "audit", "act") if record["what"] == "audit show"]
    assert act["subjects"] == [record["subjects"][0] for record in shown if record["kind"] == "read"]
    assert "=9" not in json.dumps(act)
    again = [json.loads(line) for line in run("audit", "show", "--subject", "customer=9", env=env).splitlines()]
    assert [record["kind"] for record in again][:2] == ["read", "act"]  # who asks about a person sees who has asked
    for wrong in ("", "customer", "=7", "customer=7\n" * 10_001):
        people.write_text(wrong)
        run("audit", "show", "--subjects", str(people), env=env, code=2)


def test_a_bare_name_finds_who_is_of_an_issuer_or_a_tenant(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    names = ["ann", "sso:ann", "retail/ann", "retail/sso:ann", "joann", "ann:bob"]
    (tmp_path / "w" / lines.segment(1)).write_text("".join(json.dumps({"who": name}) + "\n" for name in names) + "{}\n")
    assert [record["who"] for record in show.records(tmp_path, "ann")] == names[:4]
    assert [record["who"] for record in show.records(tmp_path, "sso:ann")] == ["sso:ann", "retail/sso:ann"]


def test_half_an_anchor_is_refused(tmp_path: Path) -> None:
    env = {"FIGWAY_STATE": f"sqlite:///{tmp_path}/state.sqlite", "FIGWAY_AUDIT_ANCHOR": str(tmp_path / "anchors")}
    assert "takes both" in run("audit", "anchor", env=env, code=1)


def test_a_place_that_is_not_there_is_named(tmp_path: Path, key: Path) -> None:
    env = {"FIGWAY_STATE": f"sqlite:///{tmp_path}/state.sqlite", "FIGWAY_AUDIT_KEY": str(key)}
    run("key", "new", "ui", env=env)
    said = run("audit", "anchor", env=env | {"FIGWAY_AUDIT_ANCHOR": f"{tmp_path}/nowhere/anchors"}, code=1)
    assert "nothing was anchored" in said
    assert f"{tmp_path}/nowhere/anchors" in said
    assert f"can't be written: {tmp_path}/nowhere/audit" in run(
        "key", "new", "ui", env=env | {"FIGWAY_AUDIT": f"{tmp_path}/nowhere/audit"}, code=1
    )

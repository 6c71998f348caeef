"""What the flags of a test binary say of files."""

from __future__ import annotations

import json
from pathlib import Path

from goanna.program.test_flags import written_by


def test_outputs_stand_in_the_outputdir_and_the_log_where_the_test_stands() -> None:
    words = ["-test.outputdir=/out", "-test.cpuprofile=cpu", "-test.trace=/t", "-test.testlogfile=log", "-test.v=true"]
    assert written_by(words, "/here").files == ["/out/cpu", "/t", "/here/log"]


def test_values_may_be_words_of_their_own_and_follow_flags_of_the_tests_own() -> None:
    words = ["-test.v", "-test.run", "TestX", "-word", "x", "--test.cpuprofile", "cpu", "--", "-test.trace=t"]
    assert written_by(words, "/here").files == ["/here/cpu"]


def test_artifacts_stand_in_the_outputdir_if_they_are_wanted() -> None:
    assert written_by(["-test.artifacts", "-test.outputdir=/out"], "/here").folders == ["/out/_artifacts"]
    assert written_by(["-test.artifacts=true"], "/here").folders == ["/here/_artifacts"]
    assert written_by(["-test.artifacts=false"], "/here").folders == []


def test_fuzzing_gives_back_its_corpus() -> None:
    assert written_by(["-test.fuzz=F", "-test.fuzzcachedir=/c"], "/here").folders == ["/c", "/here/testdata/fuzz"]
    assert written_by(["-test.run=F"], "/here").folders == []


def test_descriptions_of_other_packages_are_read_where_they_lie(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    names = [str(there), str(tmp_path / "gone"), "relative", 5]
    (tmp_path / "metafiles.txt").write_text(json.dumps({"ImportPaths": ["a"], "MetaFileFragments": names}))
    assert written_by([f"-test.gocoverdir={tmp_path}"], "/here").read == [str(there)]


def test_a_list_of_descriptions_that_is_none_is_left_alone(tmp_path: Path) -> None:
    for text in ("", "[]", "{", '{"MetaFileFragments": null}'):
        (tmp_path / "metafiles.txt").write_text(text)
        assert written_by([f"-test.gocoverdir={tmp_path}"], "/here").read == []

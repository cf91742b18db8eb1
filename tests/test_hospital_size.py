"""Memory does not grow with the hospital; impossible sizes are refused; the command replaces."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.hospital import make, truth, truth_stay
from pipeline.stage.errors import InputError


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs the command with these arguments, without the ceilings (a population quantity)."""
    for oracles in (truth, truth_stay):
        monkeypatch.setattr(oracles, "ceilings", lambda *_: {})

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["make", "--output", str(tmp_path), *arguments])
        make.main()
        return json.loads((tmp_path / "hospital.json").read_text())

    return run


def peak_mb(folder, patients):
    """Peak memory of a process that makes the files of so many patients, films left out."""
    made = f"""if 1:
        import resource
        from pathlib import Path
        from pipeline.hospital import make, settings, truth, truth_stay
        truth.ceilings = truth_stay.ceilings = lambda *_: {{}}
        make.make(Path("{folder / str(patients)}"), settings.Settings({patients}, films=False))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"""
    at = Path(__file__).parents[1]
    run = [sys.executable, "-c", made]
    return float(subprocess.run(run, cwd=at, stdout=subprocess.PIPE, text=True, check=True).stdout)


def test_memory_is_bounded_whatever_the_number_of_patients(tmp_path):
    small, large = (peak_mb(tmp_path, patients) for patients in (1500, 4000))
    assert large < 1.15 * small


def test_load_tests_may_leave_the_films_out(command, tmp_path):
    summary = command("--patients", "30", "--no-films", "--seed", "4")
    assert (summary["patients"], summary["seed"]) == (30, 4)
    assert summary["rows"]["hosp/patients"] == 30 and summary["rows"]["cxr/metadata"] > 30
    assert not list(tmp_path.rglob("*.jpg"))


@pytest.mark.parametrize("patients", ["0", "-5", "400000"])
def test_impossible_sizes_are_refused_before_anything_is_written(command, tmp_path, patients):
    with pytest.raises(InputError, match=f"--patients is {patients}: expected 1 to 384615"):
        command("--patients", patients)
    assert not any(tmp_path.iterdir())


def test_a_hospital_made_again_in_the_same_place_replaces_the_first(command, tmp_path):
    command("--patients", "30", "--release", "1.0")
    command("--patients", "20")
    assert [path.name for path in (tmp_path / "mimiciv").iterdir()] == ["3.1"]
    assert 0 < len({path.parts[-3] for path in tmp_path.rglob("*.jpg")}) <= 20

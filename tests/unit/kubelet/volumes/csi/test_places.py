from __future__ import annotations

from pathlib import Path

from kubelet.volumes.csi import places
from kubelet.volumes.csi.places import Note, Places


def test_notes_tell_a_later_kubelet_what_there_is(tmp_path: Path) -> None:
    found = Places(tmp_path)
    note = Note("d", "h", "pv", "csi-1", node="n")
    device = Note("d", "i", "block-pv", block=True)
    for one in (note, device):
        places.write(found.staged_note(one), one)
    places.write(tmp_path / "pods/u/volumes/kubernetes.io~csi/pv/vol_data.json", note)
    places.write(tmp_path / "pods/u/volumeDevices/kubernetes.io~csi/block-pv/vol_data.json", device)
    assert set(found.published()) == {note, device} and set(found.staged()) == {note, device}
    assert found.staging(note).parent == found.staged_note(note).parent
    assert found.staging(note).name == "globalmount"


def test_half_a_note_is_none(tmp_path: Path) -> None:
    file = tmp_path / "vol_data.json"
    assert places.read(file) is None
    file.write_text('{"driverName": "d"')
    assert places.read(file) is None


def test_what_is_not_empty_stays(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    (tmp_path / "empty").mkdir()
    places.remove(tmp_path / "full", tmp_path / "empty", tmp_path / "none")
    assert (tmp_path / "full/file").exists() and not (tmp_path / "empty").exists()

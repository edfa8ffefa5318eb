"""The last words of a container: its termination message file, or the end of its log after an error."""

from __future__ import annotations

from pathlib import Path

from kubelet.runtime import interface, logs
from kubelet.runtime.interface import ContainerStatus

MAX_MESSAGE = 4096  # bytes of the file
MAX_LOG = 2048  # bytes of the log
MAX_LOG_LINES = 80


def message_of(status: ContainerStatus) -> str:
    """The text for `terminated.message`."""
    path = status.annotations.get(interface.TERMINATION_MESSAGE_PATH, "")
    policy = status.annotations.get(interface.TERMINATION_MESSAGE_POLICY, "File")
    text = _read_file(next((host for host, inside, _ in status.mounts if path and inside == path), ""))
    if (
        not text
        and policy == "FallbackToLogsOnError"
        and (status.exit_code != 0 or status.reason == "ContainerCannotRun")
    ):
        text = _read_log(status.log_path)
    if status.message and text:
        return f"{status.message}: {text}"
    return status.message or text


def _read_file(path: str) -> str:
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_MESSAGE).decode(errors="replace")
    except OSError:
        return ""


def _read_log(path: str) -> str:
    """The text of the last log lines, without what the runtime wrote before each."""
    try:
        with Path(path).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 64 * 1024))
            lines = file.read().splitlines()[-MAX_LOG_LINES:]
    except OSError:
        return ""
    out = b""
    for line in lines:
        parts = logs.parts_of(line)
        if parts is not None:
            out += parts[3] + (b"" if parts[2] == b"P" else b"\n")
    return out[-MAX_LOG:].decode(errors="replace")

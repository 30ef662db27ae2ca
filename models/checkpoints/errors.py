"""What is wrong with a checkpoint file."""

from pathlib import Path


class CheckpointError(ValueError):
    """A file cannot be used; the message names the file and the fault."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path}: {fault}")
        self.path = path
        self.fault = fault

    def __reduce__(self) -> tuple[type["CheckpointError"], tuple[Path, str]]:
        return type(self), (self.path, self.fault)


class UnsupportedVersionError(CheckpointError):
    """A GPT-SoVITS checkpoint of another version than v2."""

    def __init__(self, path: Path, version: str) -> None:
        super().__init__(path, f"this is a GPT-SoVITS {version} checkpoint; only v2 is supported")
        self.version = version

    def __reduce__(self) -> tuple[type["CheckpointError"], tuple[Path, str]]:
        return type(self), (self.path, self.version)

"""What was kept and what was dropped, for a program and for a person."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

from models.checkpoints.replacing import replacing
from training.data.config import PrepareConfig
from training.data.shards import ClipRecord
from training.data.sources import Rejection

_LISTED = 50


@dataclass
class Report:
    """Counts over a prepared corpus, filled clip by clip."""

    num_clips: int = 0
    num_augmented: int = 0
    total_s: float = 0.0
    seconds_of: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    labels: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    rejections: list[Rejection] = field(default_factory=list)

    def add(self, entry: ClipRecord | Rejection) -> None:
        if isinstance(entry, Rejection):
            self.rejections.append(entry)
            return
        self.num_clips += 1
        self.num_augmented += entry.is_augmented
        self.total_s += entry.duration_s
        self.seconds_of[entry.speaker] += entry.duration_s
        for name, value in entry.labels.items():
            self.labels[name][value] += 1

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """How often each reason occurred, most frequent first."""
        counts = Counter(rejection.reason for rejection in self.rejections)
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    def write(self, folder: Path, config: PrepareConfig) -> None:
        """Write `report.json` and `report.md`."""
        content = {
            "clips": self.num_clips,
            "augmented_copies": self.num_augmented,
            "hours": round(self.total_s / 3600, 4),
            "hours_of_speaker": {
                name: round(seconds / 3600, 4) for name, seconds in sorted(self.seconds_of.items())
            },
            "labels": {name: dict(counts.most_common()) for name, counts in self.labels.items()},
            "dropped": dict(self.reasons),
            "settings": json.loads(config.settings()),
            "rejections": [asdict(rejection) for rejection in self.rejections],
        }
        with replacing(folder / "report.json") as path:
            path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        with replacing(folder / "report.md") as path:
            path.write_text(self._markdown(), encoding="utf-8")

    def _markdown(self) -> str:
        lines = [
            "# Prepared corpus",
            "",
            f"{self.num_clips} clips ({self.num_augmented} of them augmented copies), "
            f"{self.total_s / 3600:.2f} hours; {len(self.rejections)} dropped.",
            "",
            "| speaker | hours |",
            "| --- | --- |",
            *(f"| {name} | {s / 3600:.2f} |" for name, s in sorted(self.seconds_of.items())),
        ]
        for name, counts in self.labels.items():
            values = ", ".join(f"{value} {count}" for value, count in counts.most_common())
            lines += ["", f"{name}: {values}"]
        if self.rejections:
            lines += ["", "| dropped because | clips |", "| --- | --- |"]
            lines += [f"| {reason} | {count} |" for reason, count in self.reasons]
            lines += ["", "| recording | dropped because | found |", "| --- | --- | --- |"]
            lines += [
                f"| {_cell(r.origin)} | {r.reason} | {_cell(r.detail)} |"
                for r in self.rejections[:_LISTED]
            ]
        if len(self.rejections) > _LISTED:
            lines += ["", f"{len(self.rejections) - _LISTED} more are in report.json."]
        return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

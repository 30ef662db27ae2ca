from deployments.autoscaling.stage_report import stage_report
from deployments.messages import StageStats


def test_a_replica_reports_its_slots_and_what_waits_for_them() -> None:
    assert stage_report(StageStats(active=6, waiting=2, queued_audio_s=24.0), num_slots=8) == {
        "slot_use": 0.75,
        "waiting": 2.0,
        "waiting_audio_s": 6.0,
        "queued_audio_s": 24.0,
    }


def test_an_idle_replica_reports_zeros() -> None:
    assert set(stage_report(StageStats(0, 0, 0.0), num_slots=8).values()) == {0.0}

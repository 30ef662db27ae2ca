"""Networks that predict what listeners would say. They are predictors, not listeners."""

from training.evaluation.predictors.panel import Panel, Prediction, open_panel

__all__ = ["Panel", "Prediction", "open_panel"]

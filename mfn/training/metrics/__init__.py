"""Figures of predicted faces, as torchmetrics."""

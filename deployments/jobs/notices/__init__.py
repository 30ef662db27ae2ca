"""Notices: who is told, and how, that a job has ended."""

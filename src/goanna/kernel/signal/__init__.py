"""Signals: who gets them, when, and how a handler runs and returns."""

"""Decides what goes wrong on purpose: which faults, where, when, and how badly."""

"""Telling people what is wrong, and what devices do: the live stream and the webhooks."""

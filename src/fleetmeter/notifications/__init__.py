"""Notifications for people and programs: the live stream and webhooks."""

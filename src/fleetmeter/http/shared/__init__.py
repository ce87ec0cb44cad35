"""Shared by endpoints: parameters, paths, problems, streaming, the OpenAPI document."""
